/**
 * Batches on their way to a device, and indices on their way to a data set.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { forEachTensor } from "../core/scope.ts";
import { Tensor } from "../tensor.ts";
import { isTensor } from "./source.ts";

/**
 * Indices that a sampler of the user's gave.
 *
 * @throws {RangeError} When one is none of the data set's.
 */
export function checkedIndices(indices: readonly number[], count: number): readonly number[] {
  for (const index of indices) {
    if (Number.isInteger(index) && index >= 0 && index < count) continue;
    throw new RangeError(`Cannot load sample ${index}: the data set has ${count} samples, numbered from 0`);
  }
  return indices;
}

function moved(value: unknown, device: Device): unknown {
  if (value instanceof Tensor) return value.to({ device });
  if (Array.isArray(value)) return value.map((item) => moved(item, device));
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, moved(item, device)]));
  }
  return value;
}

/** A batch with its tensors on a device; the batch itself when they are there. */
export function placed(batch: unknown, device: Device | undefined): unknown {
  if (device === undefined) return batch;
  let moves = false;
  forEachTensor(batch, isTensor, (tensor) => moves ||= tensor.storage.device !== device);
  return moves ? moved(batch, device) : batch;
}
