/**
 * Filling with random numbers: Philox with the process's seed and counter.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { dtypeId } from "../core/dtype.ts";
import { takeRandom } from "../core/random.ts";
import type { Tensor } from "../tensor.ts";

/** Fills with uniform numbers in [low, high). */
export function uniformInto(out: Tensor, low: number, high: number): Tensor {
  const { seedLow, seedHigh, counter } = takeRandom(out.size);
  const library = out.storage.device.library;
  check(
    library.ax_random_uniform(
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      out.size,
      low,
      high,
      seedLow,
      seedHigh,
      counter,
    ),
    "ax_random_uniform",
    library,
  );
  return out;
}

/** Fills with normal numbers. */
export function normalInto(out: Tensor, mean: number, std: number): Tensor {
  const { seedLow, seedHigh, counter } = takeRandom(out.size);
  const library = out.storage.device.library;
  check(
    library.ax_random_normal(
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      out.size,
      mean,
      std,
      seedLow,
      seedHigh,
      counter,
    ),
    "ax_random_normal",
    library,
  );
  return out;
}
