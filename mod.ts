/**
 * Accelerate for Deno: write one training loop in TypeScript and run it in one process or in many.
 *
 * @example A model learns a sum
 * ```ts
 * import { Accelerator, data, manualSeed, nn, optim, randn } from "./mod.ts";
 *
 * manualSeed(0);
 * const accelerator = new Accelerator();
 * const model = new nn.Sequential(new nn.Linear(4, 32), new nn.ReLU(), new nn.Linear(32, 1));
 * const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
 * const x = randn([256, 4]);
 * const dataset = new data.TensorDataset(x, x.sum({ dim: 1, keepDim: true }));
 * const loader = new data.DataLoader(dataset, { batchSize: 32, shuffle: true });
 * const [net, opt, batches] = await accelerator.prepare(model, optimizer, loader);
 *
 * let last = Infinity;
 * for (let epoch = 0; epoch < 20; epoch++) {
 *   let total = 0;
 *   for await (const [input, target] of batches) {
 *     opt.zeroGrad();
 *     const loss = nn.functional.mseLoss(net.forward(input), target);
 *     accelerator.backward(loss);
 *     opt.step();
 *     total += loss.item();
 *   }
 *   last = total / batches.length;
 * }
 * accelerator.print(`loss ${last.toFixed(4)}`);
 * if (!(last < 0.1)) throw new Error("the model did not learn");
 * await accelerator.end();
 * ```
 *
 * @module
 */
import "./ffi/prefetch.ts";

export * from "./src/accelerator/mod.ts";
export { defaultDevice, device, type DeviceName, devices, setDefaultDevice } from "./src/core/device.ts";
export type { DType } from "./src/core/dtype.ts";
export * from "./src/core/errors.ts";
export { launch, type LaunchOptions } from "./src/launch/from_code.ts";
export { type MemoryStats, memoryStats } from "./src/memory_stats.ts";
export { enableGrad, noGrad } from "./src/core/op.ts";
export { manualSeed } from "./src/core/random.ts";
export * from "./src/creation.ts";
export * as data from "./src/data/mod.ts";
export { einsum } from "./src/einsum.ts";
export * as io from "./src/io/mod.ts";
export * as nn from "./src/nn/mod.ts";
export * as optim from "./src/optim/mod.ts";
export {
  GradScaler,
  type GradScalerOptions,
  type GradScalerState,
  type ScaledOptimizer,
} from "./src/optim/grad_scaler.ts";
export * as tracking from "./src/tracking/mod.ts";
export { autocast, type AutocastDType, autocastDType, type AutocastOptions } from "./src/autocast.ts";
export { cat, stack } from "./src/ops/cat.ts";
export {
  type Float32MatmulPrecision,
  getFloat32MatmulPrecision,
  setFloat32MatmulPrecision,
} from "./src/ops/product.ts";
export { where } from "./src/ops/binary.ts";
export { Tensor } from "./src/tensor.ts";
export type * from "./src/types.ts";
export { scope, tidy } from "./src/tidy.ts";
