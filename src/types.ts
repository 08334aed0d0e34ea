/**
 * Types that the methods of a tensor and the functions beside it name: options, results, and the classes that the methods come from.
 *
 * @module
 */
export type { BackwardOptions } from "./autograd.ts";
export type { Device } from "./core/device.ts";
export type { HostArray } from "./core/dtype.ts";
export type { AllocatorStats, CategoryStats } from "./core/memory.ts";
export type { GradientHook } from "./core/node.ts";
export type { Scope } from "./core/scope.ts";
export type { Shape } from "./core/shape.ts";
export type { NanToNumOptions } from "./ops/blend.ts";
export type { ClosenessOptions } from "./ops/closeness.ts";
export type { DimOptions, ValuesAndIndices } from "./ops/extreme.ts";
export type { ReduceOptions, TotalOptions } from "./ops/reduce.ts";
export type { ScanDim, ScanOptions } from "./ops/scan.ts";
export type { SortOptions, TopkOptions } from "./ops/sort.ts";
export type { DiagonalOptions, SliceOptions } from "./ops/window.ts";
export type { NormOptions, VarianceOptions } from "./ops/statistics.ts";
export type { NestedArray } from "./tensor.ts";
export type { TensorBase } from "./tensor_base.ts";
export type { Operand, TensorElementwise } from "./tensor_elementwise.ts";
export type { TensorInPlace } from "./tensor_in_place.ts";
export type { TensorIndexing } from "./tensor_indexing.ts";
export type { TensorReductions } from "./tensor_reductions.ts";
export type { TensorViews } from "./tensor_views.ts";
