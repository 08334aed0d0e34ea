/**
 * The methods of the Accelerator that save and load.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { saveModel, type SaveModelOptions } from "../io/model_files.ts";
import type { Module } from "../nn/module.ts";
import type { Tensor } from "../tensor.ts";
import { allOrNone } from "./agreement.ts";
import { BetweenRanks } from "./between_ranks.ts";
import type { Checkpoints, SaveStateOptions, StateHook, StateHookHandle } from "./checkpoints.ts";
import type { Ranks } from "./ranks.ts";
import type { Registry } from "./registry.ts";

/** What these methods need. */
export interface StateParts {
  readonly ranks: Ranks;
  readonly registry: Registry;
  readonly checkpoints: Checkpoints;
}

/** State: what outlives the process. */
export abstract class StateMethods extends BetweenRanks {
  /** @internal */
  abstract readonly parts: StateParts;

  /**
   * Saves the state of everything that was prepared or registered: models, optimizers, schedules, loaders, random numbers, and gradients that
   * wait for a step. The directory appears when it is complete. Every rank must call it.
   *
   * @param directory Where; without one checkpoints are numbered, see `project` of the options.
   * @param options `async`: write in the background; `overwrite`: replace a checkpoint.
   * @returns The directory.
   * @throws {CheckpointError} When it cannot be written, or an earlier one that was written in the background could not.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { Accelerator, nn, optim } from "../../mod.ts";
   * const accelerator = new Accelerator();
   * const model = new nn.Linear(2, 1);
   * const optimizer = new optim.AdamW(model.parameters());
   * await accelerator.prepare(model, optimizer);
   * const directory = await accelerator.saveState(`${await Deno.makeTempDir()}/first`);
   * const before = model.weight.toArray();
   * nn.init.zeros_(model.weight);
   * await accelerator.loadState(directory);
   * assertEquals(model.weight.toArray(), before);
   * ```
   */
  saveState(directory?: string, options: SaveStateOptions = {}): Promise<string> {
    return this.parts.checkpoints.save(directory, options);
  }

  /**
   * Loads what {@link saveState} saved into the same objects, in any number of processes. Every rank must call it.
   *
   * @param directory Where; without one the newest numbered checkpoint that is complete.
   * @returns The directory.
   * @throws {CheckpointError} When it is missing, damaged or does not fit; it names the file and the field. Then nothing was changed.
   */
  loadState(directory?: string): Promise<string> {
    return this.parts.checkpoints.load(directory);
  }

  /** The newest numbered checkpoint that is complete, or null: whether there is a run to go on with. Every rank must call it. */
  latestCheckpoint(): Promise<string | null> {
    return this.parts.checkpoints.latest();
  }

  /** The number of the next numbered checkpoint. */
  get saveIteration(): number {
    return this.parts.checkpoints.iteration;
  }

  /**
   * Waits until checkpoints that are written in the background are complete.
   *
   * @throws {CheckpointError} When one could not be written.
   */
  flush(): Promise<void> {
    return this.parts.checkpoints.flush();
  }

  /**
   * Makes objects of yours part of the state. They are saved by rank 0 and loaded on every rank.
   *
   * @param objects With `stateDict()`, of plain values, typed arrays and tensors, and `loadStateDict(state)`.
   * @throws {TypeError} When some have not; it names their places.
   */
  registerForCheckpointing(...objects: unknown[]): void {
    this.parts.registry.register(...objects);
  }

  /** Calls a function on every rank before state is saved; see {@link StateHook}. */
  registerSaveStatePreHook(hook: StateHook): StateHookHandle {
    return this.parts.checkpoints.beforeSave(hook);
  }

  /** Calls a function on every rank before state is loaded, when the checkpoint was found sound; see {@link StateHook}. */
  registerLoadStatePreHook(hook: StateHook): StateHookHandle {
    return this.parts.checkpoints.beforeLoad(hook);
  }

  /** The parameters and buffers of a model by name, the same as without an Accelerator: the tensors themselves, not copies. */
  getStateDict(model: Module): Record<string, Tensor> {
    return model.stateDict();
  }

  /**
   * Saves the weights of a model as Hugging Face's libraries read them; rank 0 writes. Every rank must call it. See {@link saveModel}.
   *
   * @throws {CheckpointError} When it cannot be written.
   */
  async saveModel(model: Module, directory: string, options: SaveModelOptions = {}): Promise<void> {
    const write = () => this.isMainProcess ? saveModel(directory, model, options) : undefined;
    const failure = (message: string) => new CheckpointError(message, { path: directory });
    await allOrNone(this.parts.ranks, "saveModel", async () => void await write(), failure);
  }
}
