/**
 * The Accelerator and what belongs to it.
 *
 * @module
 */
export { Accelerator, type AcceleratorOptions, type DistributedType } from "./accelerator.ts";
export type { GradientAccumulationOptions, Region } from "./accumulation.ts";
export type { BatchSizeOptions } from "./batch_size.ts";
export type { BetweenRanks } from "./between_ranks.ts";
export type { CapturedStep, CaptureOptions } from "./capture.ts";
export type { PadOptions, Reduction } from "./collectives.ts";
export type { ProjectOptions, SaveStateOptions, StateHook, StateHookHandle } from "./checkpoints.ts";
export type { AcceleratorBackwardOptions, AccumulationTarget } from "./gradients.ts";
export type { JoinOptions } from "./join.ts";
export type { DataLoaderConfiguration } from "./loaders.ts";
export { LocalSGD, type LocalSGDOptions } from "./local_sgd.ts";
export type { Logger, LoggerOptions, LogLevel, LogOptions, LogRecord } from "./logger.ts";
export type { SchedulerStepping } from "./schedulers.ts";
export type { AnyOptimizer } from "./optimizer_link.ts";
export type { ObservingMethods } from "./observing_methods.ts";
export type { SplitOptions } from "./split.ts";
export type { StateMethods } from "./state_methods.ts";
export type { CallSite } from "../core/call_site.ts";
export {
  findExecutableBatchSize,
  type FindExecutableBatchSizeOptions,
  setSeed,
  type SetSeedOptions,
} from "./utilities.ts";
