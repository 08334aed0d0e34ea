/**
 * Learning-rate schedules.
 *
 * @module
 */
export {
  CosineAnnealingLR,
  type CosineAnnealingLROptions,
  CosineAnnealingWarmRestarts,
  type CosineAnnealingWarmRestartsOptions,
} from "./cosine.ts";
export { CyclicLR, type CyclicLROptions, OneCycleLR, type OneCycleLROptions } from "./cyclic.ts";
export {
  cosineWithWarmup,
  type CosineWithWarmupOptions,
  LambdaLR,
  type LambdaLROptions,
  type LrLambda,
  MultiplicativeLR,
} from "./lambda.ts";
export { ReduceLROnPlateau, type ReduceLROnPlateauOptions } from "./plateau.ts";
export { LinearLR, type LinearLROptions, PolynomialLR, type PolynomialLROptions } from "./polynomial.ts";
export { LRScheduler, type Scheduled, type SchedulerOptions, type SchedulerStateDict } from "./scheduler.ts";
export { ChainedScheduler, SequentialLR, type SequentialLROptions } from "./sequential.ts";
export {
  ConstantLR,
  type ConstantLROptions,
  ExponentialLR,
  type ExponentialLROptions,
  MultiStepLR,
  type MultiStepLROptions,
  StepLR,
  type StepLROptions,
} from "./steps.ts";
