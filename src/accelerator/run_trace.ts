/**
 * What `verify-resume` sees of a run: a record of every batch, loss and step, and a stop at a given one. No other run has any of it.
 *
 * @module
 */
import { nodeCrypto } from "../core/node_modules.ts";
import { env } from "../core/env.ts";
import { CheckpointError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { getRandomState } from "../core/random.ts";
import type { DataLoader } from "../data/data_loader.ts";
import { packState } from "../io/packed_state.ts";
import { readBytes } from "../ops/copy.ts";
import type { Tensor } from "../tensor.ts";
import type { Checkpoints } from "./checkpoints.ts";
import type { AnyOptimizer, OptimizerLink } from "./optimizer_link.ts";
import type { Ranks } from "./ranks.ts";
import type { Registry } from "./registry.ts";

/** What the variable says. */
interface TraceSettings {
  /** Where the records go. */
  readonly folder: string;
  /** After which backward pass the run stops; null for never. */
  readonly stopAt: number | null;
}

/** What is recorded, and who stops. */
export interface TraceContext {
  readonly ranks: Ranks;
  readonly registry: Registry;
  readonly checkpoints: Checkpoints;
  readonly links: ReadonlyMap<AnyOptimizer, OptimizerLink>;
}

/** A short digest of plain values and tensors. */
function digestOf(state: unknown): string {
  const { json, tensors } = packState(state);
  const hash = nodeCrypto().createHash("sha256").update(JSON.stringify(json));
  for (const [name, tensor] of Object.entries(tensors)) {
    hash.update(`${name} ${tensor.dtype} ${tensor.shape}`).update(
      new Uint8Array(noGrad(() => readBytes(tensor.detach()))),
    );
  }
  return hash.digest("hex").slice(0, 16);
}

/** Records one run of one rank. */
export class RunTrace {
  readonly #context: TraceContext;
  readonly #settings: TraceSettings;
  readonly #path: string;
  #losses = 0;
  /** The loader whose batch is being used. */
  #latest: object | undefined;
  readonly #watched = new WeakSet<object>();

  private constructor(context: TraceContext, settings: TraceSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#path = `${settings.folder}/rank_${context.ranks.rank}.jsonl`;
  }

  /** The record of this run, when `verify-resume` wants one. */
  static fromEnvironment(context: TraceContext): RunTrace | undefined {
    const text = env("ACCELERATE_VERIFY_RESUME");
    return text === undefined ? undefined : new RunTrace(context, JSON.parse(text));
  }

  #note(...event: unknown[]): void {
    Deno.writeTextFileSync(this.#path, `${JSON.stringify(event)}\n`, { append: true });
  }

  /** Records the loss of a backward pass. */
  noteLoss(loss: Tensor): void {
    this.#losses++;
    // The shortest text that reads back as the same number.
    this.#note("loss", String(loss.item()));
  }

  /** Watches what has just been prepared. */
  watch(): void {
    const { registry, links } = this.#context;
    registry.loaders.forEach((loader, i) => this.#once(loader, () => this.#watchLoader(loader, i)));
    registry.optimizers.forEach((optimizer, i) =>
      this.#once(optimizer, () => {
        const step = optimizer.step;
        optimizer.step = () => {
          step.call(optimizer);
          if (links.get(optimizer)?.tookStep === true) this.#note("step", i);
        };
      })
    );
  }

  #once(object: object, watch: () => void): void {
    if (this.#watched.has(object)) return;
    this.#watched.add(object);
    watch();
  }

  #watchLoader(loader: DataLoader<unknown, unknown>, index: number): void {
    const iterate = loader[Symbol.asyncIterator];
    const watched = (): AsyncGenerator<unknown, void, undefined> => {
      const iterator = iterate.call(loader);
      const next = iterator.next.bind(iterator);
      let hasYielded = false;
      iterator.next = async () => {
        // Here the program has done everything that belongs to the batch before.
        if (hasYielded && this.#latest === loader) await this.#stopIfDue();
        const result = await next();
        if (result.done === true) this.#note("epoch", index);
        else this.#note("batch", index, digestOf(result.value));
        hasYielded = true;
        this.#latest = loader;
        return result;
      };
      return iterator;
    };
    Object.defineProperty(loader, Symbol.asyncIterator, { value: watched });
  }

  async #stopIfDue(): Promise<void> {
    const { stopAt } = this.#settings;
    if (stopAt === null || this.#losses < stopAt) return;
    const { checkpoints, ranks } = this.#context;
    if (!checkpoints.isNumbering) {
      throw new CheckpointError(
        "Cannot verify how this script resumes: it must set project.automaticCheckpointNaming and load latestCheckpoint() at its start",
        { path: "" },
      );
    }
    await checkpoints.save(undefined, {});
    this.#note("stopped");
    await ranks.run("stop", ({ agree }) => agree("stop", ""));
    // As a machine that fails: nothing is written, flushed or said any more.
    Deno.kill(Deno.pid, "SIGKILL");
    await new Promise(() => {});
  }

  /** Records in what state the run has ended. */
  finish(): void {
    const { models, optimizers, schedulers, custom } = this.#context.registry;
    this.#note("end", {
      weights: models.map((model) => digestOf(model.stateDict())),
      "optimizer state": optimizers.map((optimizer) => digestOf(optimizer.stateDict())),
      schedules: schedulers.map((scheduler) => digestOf(scheduler.stateDict())),
      "registered objects": custom.map((object) => digestOf(object.stateDict())),
      "random numbers": digestOf({ ...getRandomState() }),
    });
  }
}
