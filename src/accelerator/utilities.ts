/**
 * Functions that belong to no Accelerator, or are also there without one.
 *
 * @module
 */
import { cpuDevice } from "../core/device.ts";
import { manualSeed } from "../core/random.ts";
import { readDistributedEnvironment } from "../distributed/environment.ts";
import type { Accelerator } from "./accelerator.ts";
import { type BatchSizeOptions, findBatchSize } from "./batch_size.ts";
import { Ranks } from "./ranks.ts";

/** Options of {@link setSeed}. */
export interface SetSeedOptions {
  /** Another seed on each rank: `seed + processIndex`. Default false. */
  deviceSpecific?: boolean;
}

/**
 * Restarts the stream of random numbers.
 *
 * @param seed A non-negative safe integer.
 * @param options See {@link SetSeedOptions}.
 */
export function setSeed(seed: number, { deviceSpecific = false }: SetSeedOptions = {}): void {
  manualSeed(deviceSpecific ? seed + readDistributedEnvironment().rank : seed);
}

/** Options of {@link findExecutableBatchSize}. */
export interface FindExecutableBatchSizeOptions extends BatchSizeOptions {
  /** On which ranks agree: needed where there are several. */
  accelerator?: Accelerator;
}

/**
 * Runs a function with a batch size, and with smaller ones for as long as memory does not suffice; on several ranks all go on with the
 * same size, also when only one of them ran out of memory in the middle of a step.
 *
 * The function should make what it needs anew, and begin with `await accelerator.freeMemory()`.
 *
 * @param fn Gets the size; its result is returned.
 * @param options `starting`, default 128; `reduce`, default nine tenths; `accelerator`.
 * @throws {Error} When no size is left, and whatever else the function throws.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { findExecutableBatchSize, OutOfMemoryError } from "../../mod.ts";
 * const found = await findExecutableBatchSize((batchSize) => {
 *   if (batchSize > 100) throw new OutOfMemoryError("too large", { symbol: "ax_storage_create", code: 1 });
 *   return batchSize;
 * }, { starting: 128 });
 * assertEquals(found, 92);
 * ```
 */
export function findExecutableBatchSize<T>(
  fn: (batchSize: number) => T | Promise<T>,
  { accelerator, ...options }: FindExecutableBatchSizeOptions = {},
): Promise<T> {
  if (accelerator !== undefined) return accelerator.findExecutableBatchSize(fn, options);
  const environment = readDistributedEnvironment();
  if (environment.worldSize > 1) {
    throw new RangeError(
      `Cannot find a batch size on ${environment.worldSize} ranks that know nothing of each other: pass { accelerator }`,
    );
  }
  return findBatchSize(new Ranks(environment, cpuDevice(), 1), fn, options);
}
