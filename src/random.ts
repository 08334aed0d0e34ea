/**
 * Functions that make tensors of random numbers: Philox, so that a seed gives the same tensor on every device.
 *
 * @module
 */
import { check } from "../ffi/call.ts";
import { dtypeId, isFloating } from "./core/dtype.ts";
import { DTypeError } from "./core/errors.ts";
import { philoxWords } from "./core/philox.ts";
import { takeRandom } from "./core/random.ts";
import type { Shape } from "./core/shape.ts";
import { finished, make, optionsLike, type TensorOptions } from "./making.ts";
import { cast, writeBytes } from "./ops/copy.ts";
import { normalInto, uniformInto } from "./ops/random.ts";
import type { Tensor } from "./tensor.ts";

function checkFloating(out: Tensor, name: string): void {
  if (!isFloating(out.dtype)) throw new DTypeError(`Cannot make ${out.dtype} with ${name}(): use randint()`);
}

/** Uniform random numbers in [0, 1). */
export function rand(shape: Shape, options: TensorOptions = {}): Tensor {
  const out = make(shape, options, "rand");
  checkFloating(out, "rand");
  return finished(uniformInto(out, 0, 1), options);
}

/** Uniform random numbers in [0, 1), of the same shape, dtype and device. */
export function randLike(like: Tensor, options: TensorOptions = {}): Tensor {
  return rand(like.shape, optionsLike(like, options));
}

/** Normal random numbers of mean 0 and deviation 1. */
export function randn(shape: Shape, options: TensorOptions = {}): Tensor {
  const out = make(shape, options, "randn");
  checkFloating(out, "randn");
  return finished(normalInto(out, 0, 1), options);
}

/** Normal random numbers of mean 0 and deviation 1, of the same shape, dtype and device. */
export function randnLike(like: Tensor, options: TensorOptions = {}): Tensor {
  return randn(like.shape, optionsLike(like, options));
}

/**
 * Random integers from `low` to before `high`.
 *
 * @param options Without a dtype int64.
 * @throws {RangeError} When the bounds are not integers, or hold no integer or more than 2^32.
 */
export function randint(low: number, high: number, shape: Shape, options: TensorOptions = {}): Tensor {
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || high <= low || high - low > 2 ** 32) {
    throw new RangeError(
      `Cannot draw integers from ${low} to before ${high}: the bounds must be integers with 1 to 2^32 between them`,
    );
  }
  const out = make(shape, { ...options, dtype: options.dtype ?? "int64" }, "randint");
  const { seedLow, seedHigh, counter } = takeRandom(out.size);
  const library = out.storage.device.library;
  check(
    library.ax_random_integers(
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
    "ax_random_integers",
    library,
  );
  return finished(out, options);
}

/**
 * The integers from 0 to before `n` in random order (Fisher-Yates).
 *
 * @param options Without a dtype int64.
 * @throws {RangeError} When `n` is not a non-negative integer.
 */
export function randperm(n: number, options: TensorOptions = {}): Tensor {
  if (!Number.isSafeInteger(n) || n < 0) {
    throw new RangeError(`Cannot permute ${n} integers: n must be a non-negative integer`);
  }
  const order = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
  const { seedLow, seedHigh, counter } = takeRandom(n);
  let words: readonly number[] = [];
  for (let i = n - 1, used = 0; i > 0; i--, used++) {
    if (used % 4 === 0) words = philoxWords(seedLow, seedHigh, counter + used / 4);
    const j = Math.floor(words[used % 4] / 2 ** 32 * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const { dtype = "int64" } = options;
  const out = writeBytes(make([n], { ...options, dtype: "int64" }, "randperm"), new Uint8Array(order.buffer));
  return finished(cast(out, dtype), options);
}
