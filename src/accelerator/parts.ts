/**
 * What an Accelerator is made of, and how its options make it.
 *
 * @module
 */
import type { Module } from "../nn/module.ts";
import { type TrackerChoice, Trackers } from "../tracking/trackers.ts";
import { Accumulation, type GradientAccumulationOptions } from "./accumulation.ts";
import { Checkpoints, type ProjectOptions } from "./checkpoints.ts";
import { GlobalBatch } from "./global_batch.ts";
import { Gradients } from "./gradients.ts";
import { type DataLoaderConfiguration, Loaders } from "./loaders.ts";
import type { ObservingParts } from "./observing_methods.ts";
import { PartialGradients } from "./partial_gradients.ts";
import type { Ranks } from "./ranks.ts";
import { Registry } from "./registry.ts";
import { RunTrace } from "./run_trace.ts";
import { Schedulers, type SchedulerStepping } from "./schedulers.ts";

/** Options of the Accelerator. */
export interface AcceleratorOptions {
  /** Train on the CPU even where there is a GPU. Default: what ACCELERATE_USE_CPU says. */
  cpu?: boolean;
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
  readonly globalBatch: GlobalBatch | undefined;
  readonly trace: RunTrace | undefined;
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

/** What the rest is made from. */
export interface PartsSetting {
  readonly ranks: Ranks;
  readonly timeoutMs: number;
  readonly bucketBytes: number;
  readonly projectDir: string | undefined;
}

/**
 * Makes the parts of an Accelerator.
 *
 * @param options Its options.
 * @param setting What was found out about the job.
 */
export function makeParts(options: AcceleratorOptions, setting: PartsSetting): AcceleratorParts {
  const { ranks, timeoutMs, bucketBytes, projectDir } = setting;
  const { dataLoader = {} } = options;
  const isMainProcess = ranks.rank === 0;
  const gradients = new Gradients(ranks, bucketBytes);
  const globalBatch = globalBatchOf(options, ranks, () => gradients.steps);
  const loaders = new Loaders(ranks, dataLoader, globalBatch);
  const models = new Set<Module>();
  const { links } = gradients;
  const schedulers = new Schedulers({
    links,
    stepping: options.stepSchedulerWithOptimizer ?? true,
    times: dataLoader.splitBatches === true ? 1 : ranks.worldSize,
    warn: (message) => isMainProcess && console.warn(message),
  });
  const closes = (): boolean => {
    const { current } = loaders;
    if (current === undefined) return false;
    // A rank that runs out of batches before others leaves the rest of its window to their next step.
    return globalBatch?.closes(current) ?? (current.isLast && (gradients.joined === null || current.isLastOfAll));
  };
  if (globalBatch !== undefined) {
    gradients.globalBatch = {
      isDeterministic: globalBatch.isDeterministic,
      counts: () => loaders.current === undefined ? null : globalBatch.counts(loaders.current),
      closes: () => loaders.current === undefined || closes(),
    };
  }
  const registry = new Registry(() => ({
    models,
    optimizers: links.keys(),
    schedulers: schedulers.prepared,
    loaders: loaders.prepared,
  }));
  const checkpoints = new Checkpoints({
    ranks,
    registry,
    accumulation: new PartialGradients(gradients),
    ...(globalBatch === undefined ? {} : { globalBatch }),
    projectDir,
    project: options.project ?? {},
    timeoutMs,
  });
  return {
    ranks,
    gradients,
    loaders,
    models,
    accumulation: new Accumulation(gradients, closes, options.gradientAccumulation),
    schedulers,
    registry,
    checkpoints,
    trackers: new Trackers({ logWith: options.logWith ?? "jsonl", loggingDir: projectDir, isMainProcess }),
    globalBatch,
    trace: RunTrace.fromEnvironment({ ranks, registry, checkpoints, links }),
  };
}
