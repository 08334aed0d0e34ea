/**
 * Modules, and their functions.
 *
 * @module
 */
export * from "./containers.ts";
export * as functional from "./functional.ts";
export type { ForwardHook, ForwardPreHook, HookHandle } from "./hooks.ts";
export * as init from "./init.ts";
export * from "./layers.ts";
export * from "./losses.ts";
export { Module } from "./module.ts";
export { Parameter } from "./parameter.ts";
export * as utils from "./utils/mod.ts";
