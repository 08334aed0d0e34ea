/**
 * Optimizers.
 *
 * @module
 */
export * from "./adam.ts";
export { Optimizer, type OptimizerGroup, type OptimizerStateDict, type ParameterGroup } from "./optimizer.ts";
export * from "./sgd.ts";
