/**
 * The Accelerator: the same training loop in one process or in many.
 *
 * @module
 */
import type { DeviceName } from "../core/device.ts";
import { env } from "../core/env.ts";
import { DataLoader } from "../data/data_loader.ts";
import { readAccelerateEnvironment, readDistributedEnvironment } from "../distributed/environment.ts";
import { Module } from "../nn/module.ts";
import { clipGradNorm, type ClipGradNormOptions, clipGradValue } from "../nn/utils/clip.ts";
import { Optimizer } from "../optim/optimizer.ts";
import type { Tensor } from "../tensor.ts";
import { inRegion, Region } from "./accumulation.ts";
import { type BatchSizeOptions, findBatchSize } from "./batch_size.ts";
import { capture, type CapturedStep, type CaptureOptions } from "./capture.ts";
import type { AcceleratorBackwardOptions, AccumulationTarget, Gradients } from "./gradients.ts";
import { type JoinOptions, joinUneven } from "./join.ts";
import { freePrepared } from "./memory.ts";
import { gatherForMetrics, sampleWeights } from "./metrics.ts";
import { ObservingMethods } from "./observing_methods.ts";
import { type AcceleratorOptions, type AcceleratorParts, makeParts } from "./parts.ts";
import { chooseDevice } from "./placement.ts";
import { Ranks } from "./ranks.ts";
import { isScheduler } from "./schedulers.ts";

export type { AcceleratorOptions, AcceleratorParts } from "./parts.ts";

/** How the processes of the job work together. */
export type DistributedType = "NO" | "MULTI_CPU" | "MULTI_GPU";

/**
 * Prepares models, optimizers and loaders for the job that this process belongs to, and runs what must agree between its ranks.
 *
 * @example
 * ```ts
 * import { Accelerator, nn, ones, optim } from "../../mod.ts";
 * const accelerator = new Accelerator();
 * const model = new nn.Linear(2, 1);
 * const [net, optimizer] = await accelerator.prepare(model, new optim.SGD(model.parameters()));
 * accelerator.backward(net.forward(ones([1, 2], { device: accelerator.device })).sum());
 * optimizer.step();
 * await accelerator.end();
 * ```
 */
export class Accelerator extends ObservingMethods {
  /** @internal */
  override readonly parts: AcceleratorParts;
  /** Where checkpoints and logs go: ACCELERATE_PROJECT_DIR, else the option. */
  override readonly projectDir: string | undefined;
  readonly #gradients: Gradients;
  readonly #capturedSteps: CapturedStep<never, unknown>[] = [];

  /**
   * Reads the environment; opens no connection.
   *
   * @param options See {@link AcceleratorOptions}.
   * @throws {LaunchError} When the environment is inconsistent.
   * @throws {RangeError} When `--mixed-precision` asks for what autocast() does.
   * @throws {DeviceError} When this machine has fewer GPUs than processes.
   */
  constructor(options: AcceleratorOptions = {}) {
    const { timeoutSeconds = 600, ddp: { bucketMb = 25 } = {} } = options;
    if (!(timeoutSeconds > 0)) throw new RangeError(`Cannot wait ${timeoutSeconds} s: timeoutSeconds must be above 0`);
    if (!(bucketMb > 0)) throw new RangeError(`Cannot use buckets of ${bucketMb} MB: bucketMb must be above 0`);
    const environment = readDistributedEnvironment();
    const timeoutMs = Math.ceil(timeoutSeconds * 1000);
    const ranks = new Ranks(environment, chooseDevice(environment, options.cpu), timeoutMs);
    super(ranks);
    this.projectDir = env("ACCELERATE_PROJECT_DIR") ?? options.projectDir;
    const { projectDir } = this;
    this.parts = makeParts(options, { ranks, timeoutMs, bucketBytes: bucketMb * 2 ** 20, projectDir });
    this.#gradients = this.parts.gradients;
    const { gradientAccumulationSteps, mixedPrecision = "no" } = readAccelerateEnvironment();
    if (mixedPrecision !== "no") {
      throw new RangeError(
        `Cannot train in ${mixedPrecision}: the Accelerator does not choose a precision yet. Leave --mixed-precision out, and call ` +
          `autocast(() => model.forward(x)) in the script; for fp16 with a GradScaler`,
      );
    }
    this.gradientAccumulationSteps = this.parts.globalBatch?.fixedSteps ?? gradientAccumulationSteps ??
      options.gradientAccumulationSteps ?? 1;
  }

  /** Where models and batches are placed. */
  get device(): DeviceName {
    return this.parts.ranks.device.toString();
  }

  /** How the processes work together. */
  get distributedType(): DistributedType {
    if (this.numProcesses === 1) return "NO";
    return this.parts.ranks.device.type === "cuda" ? "MULTI_GPU" : "MULTI_CPU";
  }

  /**
   * Makes objects ready: parameters, buffers and the state of optimizers move to the device, parameters become flat and equal to those of
   * rank 0, loaders yield this rank's batches on the device, schedules count the steps of their optimizer. Other values pass through. The same
   * objects come back, so references that you hold stay good.
   *
   * @param objects Modules, optimizers, loaders, schedules, or anything else.
   * @throws {LaunchError} When the other ranks cannot be joined.
   */
  async prepare<T extends unknown[]>(...objects: T): Promise<T> {
    const { ranks, models, gradients, loaders, schedulers } = this.parts;
    ranks.regions.forbid("prepare");
    const group = await ranks.join();
    for (const object of objects) {
      if (object instanceof Module) {
        models.add(object);
        await gradients.prepareModel(object, group);
      } else if (object instanceof Optimizer) {
        gradients.prepareOptimizer(object);
      } else if (object instanceof DataLoader) {
        loaders.prepare(object);
      } else if (isScheduler(object)) {
        schedulers.prepare(object);
      }
    }
    this.parts.trace?.watch();
    return objects;
  }

  /**
   * Makes a training step that costs the host one call. On a GPU, its first call with inputs of some shapes runs as it is; the second one
   * records what it does as a CUDA graph, and from then on the graph is replayed: forward, backward, optimizer and the average between ranks.
   * The step sees changed learning rates, a schedule's step() and new random numbers as without it. On the CPU it is the function itself.
   *
   * What the function does in JavaScript happens when it is recorded, not in replays: it must do the same operations each time, must not read
   * values (`item()`; return the tensor instead), and gets what differs between calls as arguments. A returned tensor is overwritten by the
   * next call, unless it is a scalar.
   *
   * @param step Tensors, and plain values that never change the shapes, to a tensor or a structure of them. Synchronous.
   * @param options See {@link CaptureOptions}.
   * @throws {CaptureError} From the step, when it does what cannot be recorded; the message names it.
   *
   * @example
   * ```ts
   * import { Accelerator, nn, ones, optim, type Tensor } from "../../mod.ts";
   * const accelerator = new Accelerator();
   * const model = new nn.Linear(2, 1);
   * const [net, optimizer] = await accelerator.prepare(model, new optim.SGD(model.parameters()));
   * const train = accelerator.capture((x: Tensor) => {
   *   optimizer.zeroGrad();
   *   const loss = net.forward(x).square().mean();
   *   accelerator.backward(loss);
   *   optimizer.step();
   *   return loss;
   * });
   * for (let step = 0; step < 3; step++) console.log(train(ones([4, 2], { device: accelerator.device })).item());
   * await accelerator.end();
   * ```
   */
  capture<Inputs extends unknown[], Result>(
    step: (...inputs: Inputs) => Result,
    options: CaptureOptions = {},
  ): CapturedStep<Inputs, Result> {
    const { ranks, models, gradients } = this.parts;
    const captured = capture(ranks.device, step, { modules: models, buffers: gradients.buffers }, options);
    this.#capturedSteps.push(captured as unknown as CapturedStep<never, unknown>);
    return captured;
  }

  // Accumulation.

  /** Micro-batches that {@link accumulate} makes one step of; a change counts from the next micro-batch on. */
  get gradientAccumulationSteps(): number {
    return this.#gradients.steps;
  }

  set gradientAccumulationSteps(steps: number) {
    if (!Number.isSafeInteger(steps) || steps < 1) {
      throw new RangeError(
        `Cannot accumulate ${steps} micro-batches: gradientAccumulationSteps must be a positive integer`,
      );
    }
    this.#gradients.steps = this.parts.globalBatch?.fixedSteps ?? steps;
  }

  /** Whether the micro-batch that runs, or ran last, completes the gradients, so that optimizers take a step. */
  get syncGradients(): boolean {
    return this.parts.accumulation.syncs;
  }

  /**
   * Computes gradients; those of prepared models are averaged between the ranks, and over the micro-batches of {@link accumulate}.
   *
   * @param loss A scalar: a mean, or with a normalizer a sum.
   * @param options `normalizer`: what a sum is divided by, see {@link AcceleratorBackwardOptions}.
   * @throws {CollectiveError} When a rank died, or does not call the same.
   */
  backward(loss: Tensor, options?: AcceleratorBackwardOptions): void {
    this.parts.trace?.noteLoss(loss);
    this.#gradients.backward(loss, options?.normalizer);
  }

  /**
   * Runs a micro-batch: only every `gradientAccumulationSteps`-th one, or the last of the loader, completes the gradients. In the others
   * `step` and `zeroGrad` of the optimizers do nothing, wherever they stand in the loop.
   *
   * @param target The model or optimizer that is trained, or several that are trained together. Each has a count of its own.
   * @param fn What to run; without it: `using _ = accelerator.accumulate(model)`.
   */
  accumulate<T>(target: AccumulationTarget, fn: () => T): T;
  /** The same until the region ends: `using _ = accelerator.accumulate(model)`. */
  accumulate(target: AccumulationTarget): Region;
  accumulate<T>(target: AccumulationTarget, fn?: () => T): T | Region {
    return inRegion(this.parts.accumulation.enter(target), fn);
  }

  /** Keeps gradients to this rank: backward inside of it does not average them; the next one outside averages their sum. */
  noSync<T>(target: AccumulationTarget, fn: () => T): T;
  /** The same until the region ends: `using _ = accelerator.noSync(model)`. */
  noSync(target: AccumulationTarget): Region;
  noSync<T>(target: AccumulationTarget, fn?: () => T): T | Region {
    return inRegion(new Region(this.#gradients.hold(target)), fn);
  }

  /** Averages gradients inside of {@link noSync}: those of this backward and all before it. */
  triggerSyncInBackward<T>(target: AccumulationTarget, fn: () => T): T;
  /** The same until the region ends: `using _ = accelerator.triggerSyncInBackward(model)`. */
  triggerSyncInBackward(target: AccumulationTarget): Region;
  triggerSyncInBackward<T>(target: AccumulationTarget, fn?: () => T): T | Region {
    return inRegion(new Region(this.#gradients.unhold(target)), fn);
  }

  /**
   * Scales gradients so that their norm is at most `maxNorm`; while they are accumulated, only tells the norm.
   *
   * @returns The norm before, a scalar.
   */
  clipGradNorm(parameters: Iterable<Tensor> | Tensor, maxNorm: number, options?: ClipGradNormOptions): Tensor {
    return clipGradNorm(parameters, this.syncGradients ? maxNorm : Infinity, options);
  }

  /** Limits every element of the gradients to [-clipValue, clipValue]; while they are accumulated, does nothing. */
  clipGradValue(parameters: Iterable<Tensor> | Tensor, clipValue: number): void {
    if (this.syncGradients) clipGradValue(parameters, clipValue);
  }

  // Data.

  /**
   * What all ranks computed for their batches: each sample once, in the order of the epoch, without what only filled the last batches.
   * Give tensors whose first dimension counts the samples, or lists with an item for each sample (objects, or tensors of different
   * sizes), nested as you like. Scalars come once for each rank. Outside of a prepared loader's loop it is {@link gather}, or
   * {@link gatherObject} for a list of other things.
   */
  gatherForMetrics<T>(value: T): Promise<T> {
    return gatherForMetrics(this.parts.ranks, value, this.parts.loaders.current, this.#gradients.joined) as Promise<T>;
  }

  /**
   * For each sample of the current batch 1, or 0 where it only fills the batch: with a loss that is the sum over samples times these,
   * and their sum as the normalizer of {@link backward}, losses and gradients are exact although all batches are equally large.
   */
  sampleWeights(): Tensor {
    return sampleWeights(this.parts.ranks, this.parts.loaders.current);
  }

  /**
   * Runs a loop in which ranks may have different numbers of batches. A rank that has none left takes part in the averages of the others
   * with nothing; in the end all have the parameters and the state of those that trained longest. Inside, only `backward` and
   * `gatherForMetrics` work between ranks.
   *
   * @param target What is trained.
   * @param fn The loop over the batches of an epoch.
   * @param options `evenBatches` of all prepared loaders inside, default false.
   */
  joinUnevenInputs<T>(target: AccumulationTarget, fn: () => T | Promise<T>, options: JoinOptions = {}): Promise<T> {
    return joinUneven(this.parts, target, fn, options);
  }

  /** Lets the next iteration of a loader begin after some batches of its epoch; returns the loader. */
  skipFirstBatches<Loader extends DataLoader<unknown, unknown>>(loader: Loader, count: number): Loader {
    loader.skipFirstBatches(count);
    return loader;
  }

  /** Runs a function with smaller and smaller sizes until no rank runs out of memory; see the function of this name. */
  findExecutableBatchSize<T>(fn: (batchSize: number) => T | Promise<T>, options: BatchSizeOptions = {}): Promise<T> {
    return findBatchSize(this.parts.ranks, fn, options);
  }

  // Objects.

  /** The model itself: a prepared model is not wrapped. */
  unwrapModel<M extends Module>(model: M): M {
    return model;
  }

  /**
   * Forgets what was prepared and frees the memory of the objects that are given, which cannot be used any more; without objects, only
   * forgets.
   *
   * @returns A null for each object, to be assigned to the variables that hold them.
   */
  freeMemory<T extends unknown[]>(...objects: T): Promise<{ [K in keyof T]: null }> {
    return freePrepared(this.parts, objects);
  }

  /** Ends the job: finishes trackers and checkpoints, waits for every rank and leaves the group. */
  override async end(): Promise<void> {
    const { ranks, gradients, loaders, trackers, trace } = this.parts;
    trace?.finish();
    await trackers.finish();
    await this.flush();
    for (const loader of loaders.prepared) await loader.close();
    await ranks.close();
    for (const step of this.#capturedSteps.splice(0)) step.dispose();
    gradients.release();
  }
}
