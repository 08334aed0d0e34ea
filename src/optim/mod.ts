/**
 * Optimizers, and schedules of their learning rates.
 *
 * @module
 */
export { Adafactor, type AdafactorSettings } from "./adafactor.ts";
export { Adam, type AdamSettings, AdamW, NAdam, type NAdamSettings } from "./adam.ts";
export { Adagrad, type AdagradSettings, RMSprop, type RMSpropSettings } from "./adaptive.ts";
export { Lion, type LionSettings } from "./lion.ts";
export { cosineWithWarmup } from "./lr_scheduler/mod.ts";
export * as lrScheduler from "./lr_scheduler/mod.ts";
export { Muon, type MuonSettings } from "./muon.ts";
export {
  Optimizer,
  type OptimizerGroup,
  type OptimizerStateDict,
  type ParameterGroup,
  type Run,
  type StateNumbers,
} from "./optimizer.ts";
export { SGD, type SGDSettings } from "./sgd.ts";
