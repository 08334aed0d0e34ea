/**
 * Training that averages parameters now and then, instead of gradients at every step.
 *
 * @module
 */
import type { Module } from "../nn/module.ts";
import { flatten } from "../optim/flat.ts";
import { bump } from "../core/version.ts";
import type { Accelerator } from "./accelerator.ts";

/** Options of {@link LocalSGD}. */
export interface LocalSGDOptions {
  /** Steps between two averages. */
  localSgdSteps: number;
  /** Default true; false trains as without it. */
  enabled?: boolean;
}

/**
 * A region in which each rank takes its own steps, and every `localSgdSteps` of them, and at the end, all take the mean of their
 * parameters (Stich, arXiv:1805.09767). The state of the optimizers stays each rank's own.
 *
 * @example
 * ```ts
 * import { Accelerator, LocalSGD, nn, ones, optim } from "../../mod.ts";
 * const accelerator = new Accelerator();
 * const model = new nn.Linear(2, 1);
 * const [net, optimizer] = await accelerator.prepare(model, new optim.SGD(model.parameters()));
 * {
 *   await using local = new LocalSGD(accelerator, net, { localSgdSteps: 4 });
 *   for (let i = 0; i < 8; i++) {
 *     optimizer.zeroGrad();
 *     accelerator.backward(net.forward(ones([1, 2])).sum());
 *     optimizer.step();
 *     await local.step();
 *   }
 * }
 * await accelerator.end();
 * ```
 */
export class LocalSGD implements AsyncDisposable {
  readonly #accelerator: Accelerator;
  readonly #model: Module;
  readonly #steps: number;
  readonly #release: (() => void) | undefined;
  #count = 0;
  #isOver = false;

  /**
   * Begins with this rank's parameters; nothing is averaged yet.
   *
   * @param accelerator Which has prepared the model.
   * @param model Whose parameters are averaged.
   * @param options See {@link LocalSGDOptions}.
   * @throws {RangeError} When `localSgdSteps` is no positive integer.
   */
  constructor(accelerator: Accelerator, model: Module, { localSgdSteps, enabled = true }: LocalSGDOptions) {
    if (!Number.isInteger(localSgdSteps) || localSgdSteps < 1) {
      throw new RangeError(`Cannot average every ${localSgdSteps} steps: localSgdSteps must be a positive integer`);
    }
    this.#accelerator = accelerator;
    this.#model = model;
    this.#steps = localSgdSteps;
    const { gradients } = accelerator.parts;
    gradients.windowsOf(model);
    if (enabled && accelerator.numProcesses > 1) this.#release = gradients.hold(model);
  }

  /** Counts a step, after that of the optimizer; micro-batches that are accumulated do not count. */
  async step(): Promise<void> {
    if (this.#release === undefined || !this.#accelerator.syncGradients) return;
    if (++this.#count % this.#steps === 0) await this.#average();
  }

  async #average(): Promise<void> {
    await this.#accelerator.parts.ranks.run("LocalSGD", (turn) => {
      turn.agree("LocalSGD", `step ${this.#count}`);
      for (const buffer of flatten(this.#model.parameters())) {
        turn.group.allReduce(buffer.values, "sum", 1 / turn.group.worldSize);
        for (const parameter of buffer.parameters) bump(parameter.storage, "LocalSGD");
      }
    });
  }

  /** Averages a last time, and lets gradients be averaged again. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver || this.#release === undefined) return;
    this.#isOver = true;
    this.#release();
    await this.#average();
  }
}
