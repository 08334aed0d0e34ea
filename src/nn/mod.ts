/**
 * Modules, and their functions.
 *
 * @module
 */
export * as functional from "./functional.ts";
export * from "./layers.ts";
export { Module, type Parameter, parameter } from "./module.ts";
