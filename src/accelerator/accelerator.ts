/**
 * The Accelerator: the same training loop in one process or in many.
 *
 * @module
 */
import { cpuDevice, type DeviceName } from "../core/device.ts";
import { env } from "../core/env.ts";
import { DataLoader } from "../data/data_loader.ts";
import { readAccelerateEnvironment, readDistributedEnvironment } from "../distributed/environment.ts";
import { Module } from "../nn/module.ts";
import { clipGradNorm, type ClipGradNormOptions, clipGradValue } from "../nn/utils/clip.ts";
import { Optimizer } from "../optim/optimizer.ts";
import type { Tensor } from "../tensor.ts";
import { type TrackerChoice, Trackers } from "../tracking/trackers.ts";
import { Accumulation, type GradientAccumulationOptions, inRegion, Region } from "./accumulation.ts";
import { type BatchSizeOptions, findBatchSize } from "./batch_size.ts";
import { Checkpoints, type ProjectOptions } from "./checkpoints.ts";
import { type AcceleratorBackwardOptions, type AccumulationTarget, Gradients } from "./gradients.ts";
import { type JoinOptions, joinUneven } from "./join.ts";
import { type DataLoaderConfiguration, Loaders } from "./loaders.ts";
import { GlobalBatch } from "./global_batch.ts";
import { freePrepared } from "./memory.ts";
import { gatherForMetrics, sampleWeights } from "./metrics.ts";
import { ObservingMethods, type ObservingParts } from "./observing_methods.ts";
import { PartialGradients } from "./partial_gradients.ts";
import { Ranks } from "./ranks.ts";
import { Registry } from "./registry.ts";
import { RunTrace } from "./run_trace.ts";
import { isScheduler, Schedulers, type SchedulerStepping } from "./schedulers.ts";

/** How the processes of the job work together. */
export type DistributedType = "NO" | "MULTI_CPU";

/** Options of the Accelerator. */
export interface AcceleratorOptions {
  /** How long a rank waits for the others before it gives up. Default 600. */
  timeoutSeconds?: number;
  /** Gradients are averaged in buckets. */
  ddp?: {
    /** Size of a bucket after the first, in megabytes. Default 25. */
    bucketMb?: number;
  };
  /** Micro-batches that `accumulate` makes one step of. The launcher's flag wins. Default 1. */
  gradientAccumulationSteps?: number;
  /** See {@link GradientAccumulationOptions}. */
  gradientAccumulation?: GradientAccumulationOptions;
  /** How loaders are shared between the ranks. */
  dataLoader?: DataLoaderConfiguration;
  /** What a step of a prepared schedule counts. Default true: steps of its optimizer. */
  stepSchedulerWithOptimizer?: SchedulerStepping;
  /**
   * Samples of one step of the optimizer, over all processes and micro-batches; it takes the place of the loaders' batchSize. Any number of
   * processes, and any gradientAccumulationSteps, then give the same losses and weights up to rounding, if the model treats samples
   * alone (batch normalisation does not) and nothing random differs between ranks. A micro-batch counts by its number of samples.
   */
  globalBatchSize?: number;
  /**
   * With globalBatchSize, also the same bits. A step is always computed in the same parts (8, or fewer for an odd size), whatever
   * gradientAccumulationSteps says; their gradients are added in order, and each has its own random numbers. It costs an exchange of all
   * gradients for each part. Default false.
   */
  deterministic?: boolean;
  /** Where checkpoints and logs of this run go. */
  projectDir?: string;
  /** How checkpoints are named and kept. */
  project?: ProjectOptions;
  /** Which trackers `initTrackers` starts. Default "jsonl". */
  logWith?: TrackerChoice | readonly TrackerChoice[];
}

/** What an Accelerator is made of, for the files of this folder. */
export interface AcceleratorParts extends ObservingParts {
  readonly models: Set<Module>;
  readonly gradients: Gradients;
  readonly accumulation: Accumulation;
  readonly loaders: Loaders;
  readonly schedulers: Schedulers;
}

function globalBatchOf(options: AcceleratorOptions, ranks: Ranks, steps: () => number): GlobalBatch | undefined {
  const { globalBatchSize: size, deterministic: isDeterministic = false } = options;
  if (size !== undefined) {
    return new GlobalBatch({ size, isDeterministic, rank: ranks.rank, worldSize: ranks.worldSize, steps });
  }
  if (isDeterministic) {
    throw new RangeError("Cannot be deterministic without globalBatchSize: give the samples of a step");
  }
  return undefined;
}

/**
 * Prepares models, optimizers and loaders for the job that this process belongs to, and runs what must agree between its ranks.
 *
 * @example
 * ```ts
 * import { Accelerator, nn, ones, optim } from "../../mod.ts";
 * const accelerator = new Accelerator();
 * const model = new nn.Linear(2, 1);
 * const [net, optimizer] = await accelerator.prepare(model, new optim.SGD(model.parameters()));
 * accelerator.backward(net.forward(ones([1, 2])).sum());
 * optimizer.step();
 * await accelerator.end();
 * ```
 */
export class Accelerator extends ObservingMethods {
  /** @internal */
  override readonly parts: AcceleratorParts;
  override readonly projectDir: string | undefined;
  readonly #gradients: Gradients;
  readonly #trace: RunTrace | undefined;
  readonly #globalBatch: GlobalBatch | undefined;

  /**
   * Reads the environment; opens no connection.
   *
   * @param options See {@link AcceleratorOptions}.
   * @throws {LaunchError} When the environment is inconsistent.
   */
  constructor(options: AcceleratorOptions = {}) {
    const { timeoutSeconds = 600, ddp: { bucketMb = 25 } = {}, dataLoader = {} } = options;
    if (!(timeoutSeconds > 0)) throw new RangeError(`Cannot wait ${timeoutSeconds} s: timeoutSeconds must be above 0`);
    if (!(bucketMb > 0)) throw new RangeError(`Cannot use buckets of ${bucketMb} MB: bucketMb must be above 0`);
    const ranks = new Ranks(readDistributedEnvironment(), Math.ceil(timeoutSeconds * 1000));
    super(ranks);
    const gradients = this.#gradients = new Gradients(ranks, bucketMb * 2 ** 20);
    const globalBatch = this.#globalBatch = globalBatchOf(options, ranks, () => gradients.steps);
    const loaders = new Loaders(ranks, dataLoader, globalBatch);
    const projectDir = this.projectDir = env("ACCELERATE_PROJECT_DIR") ?? options.projectDir;
    const models = new Set<Module>();
    const schedulers = new Schedulers({
      links: gradients.links,
      stepping: options.stepSchedulerWithOptimizer ?? true,
      times: dataLoader.splitBatches === true ? 1 : this.numProcesses,
      warn: (message) => this.isMainProcess && console.warn(message),
    });
    const registry = new Registry(() => ({
      models,
      optimizers: gradients.links.keys(),
      schedulers: schedulers.prepared,
      loaders: loaders.prepared,
    }));
    this.parts = {
      ranks,
      gradients,
      loaders,
      models,
      accumulation: new Accumulation(
        gradients,
        () => loaders.current !== undefined && (globalBatch?.closes(loaders.current) ?? loaders.current.isLast),
        options.gradientAccumulation,
      ),
      schedulers,
      registry,
      checkpoints: new Checkpoints({
        ranks,
        registry,
        accumulation: new PartialGradients(gradients),
        ...(globalBatch === undefined ? {} : { globalBatch }),
        projectDir,
        project: options.project ?? {},
        timeoutMs: Math.ceil(timeoutSeconds * 1000),
      }),
      trackers: new Trackers({
        logWith: options.logWith ?? "jsonl",
        loggingDir: projectDir,
        isMainProcess: this.isMainProcess,
      }),
    };
    this.#trace = RunTrace.fromEnvironment({ ...this.parts, links: gradients.links });
    if (globalBatch !== undefined) {
      gradients.globalBatch = {
        isDeterministic: globalBatch.isDeterministic,
        counts: () => loaders.current === undefined ? null : globalBatch.counts(loaders.current),
        closes: () => loaders.current === undefined || globalBatch.closes(loaders.current),
      };
    }
    this.gradientAccumulationSteps = globalBatch?.fixedSteps ?? readAccelerateEnvironment().gradientAccumulationSteps ??
      options.gradientAccumulationSteps ?? 1;
  }

  /** Where models and batches are placed. */
  get device(): DeviceName {
    return cpuDevice().toString();
  }

  get distributedType(): DistributedType {
    return this.numProcesses > 1 ? "MULTI_CPU" : "NO";
  }

  /**
   * Makes objects ready: parameters become flat and equal to those of rank 0, loaders yield this rank's batches, schedules count the
   * steps of their optimizer. Other values pass through. The same objects come back, so references that you hold stay good.
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
    this.#trace?.watch();
    return objects;
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
    if (this.#globalBatch?.fixedSteps === undefined) this.#gradients.steps = steps;
    else this.#gradients.steps = this.#globalBatch.fixedSteps;
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
    this.#trace?.noteLoss(loss);
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
  accumulate(target: AccumulationTarget): Region;
  accumulate<T>(target: AccumulationTarget, fn?: () => T): T | Region {
    return inRegion(this.parts.accumulation.enter(target), fn);
  }

  /** Keeps gradients to this rank: backward inside of it does not average them; the next one outside averages their sum. */
  noSync<T>(target: AccumulationTarget, fn: () => T): T;
  noSync(target: AccumulationTarget): Region;
  noSync<T>(target: AccumulationTarget, fn?: () => T): T | Region {
    return inRegion(new Region(this.#gradients.hold(target)), fn);
  }

  /** Averages gradients inside of {@link noSync}: those of this backward and all before it. */
  triggerSyncInBackward<T>(target: AccumulationTarget, fn: () => T): T;
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
    return sampleWeights(this.parts.loaders.current, this.processIndex);
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
    const { ranks, gradients, loaders, trackers } = this.parts;
    this.#trace?.finish();
    await trackers.finish();
    await this.flush();
    for (const loader of loaders.prepared) await loader.close();
    await ranks.close();
    gradients.release();
  }
}
