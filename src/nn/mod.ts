/**
 * Modules, and their functions.
 *
 * @module
 */
export * from "./activations.ts";
export * from "./batch_norm.ts";
export * from "./containers.ts";
export * from "./convolution.ts";
export * from "./flatten.ts";
export * as functional from "./functional.ts";
export type { ForwardHook, ForwardPreHook, HookHandle } from "./hooks.ts";
export { GroupNorm, type GroupNormModuleOptions } from "./group_norm.ts";
export * as init from "./init.ts";
export * from "./layers.ts";
export * from "./losses.ts";
export * from "./normalization.ts";
export * from "./multihead_attention.ts";
export * from "./transformer.ts";
export { Module } from "./module.ts";
export { Parameter } from "./parameter.ts";
export * from "./pooling.ts";
export * as utils from "./utils/mod.ts";
