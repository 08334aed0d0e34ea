/**
 * Accelerate for Deno: train neural networks from TypeScript.
 *
 * @module
 */
import "./ffi/prefetch.ts";

export { Accelerator } from "./src/accelerator/accelerator.ts";
export { device, type DeviceName, devices } from "./src/core/device.ts";
export type { DType } from "./src/core/dtype.ts";
export * from "./src/core/errors.ts";
export { type MemoryStats, memoryStats } from "./src/memory_stats.ts";
export { noGrad } from "./src/core/op.ts";
export { manualSeed } from "./src/core/random.ts";
export * from "./src/creation.ts";
export * as data from "./src/data/mod.ts";
export * as io from "./src/io/mod.ts";
export * as nn from "./src/nn/mod.ts";
export * as optim from "./src/optim/mod.ts";
export { cat, stack } from "./src/ops/cat.ts";
export { where } from "./src/ops/binary.ts";
export { type Operand, Tensor } from "./src/tensor.ts";
export { scope, tidy } from "./src/tidy.ts";
