/**
 * The comparisons of the table of operations. All fail on NaN where none is expected, and on another number of elements.
 *
 * @module
 */
import type { DType } from "../../../mod.ts";
import { assertWithin, decode } from "../close.ts";
import type { GoldenValues } from "./golden.ts";

/** Half a unit in the last place of 1: what one rounding may cost, relative to the value. */
const ROUNDOFF: Readonly<Partial<Record<string, number>>> = {
  float32: 2 ** -24,
  float64: 2 ** -53,
  bfloat16: 2 ** -8,
  float16: 2 ** -11,
};

/** Smallest numbers of float16 are 2^-24 apart, whatever the value. */
const SUBNORMAL: Readonly<Partial<Record<string, number>>> = { float16: 2 ** -25 };
const LARGEST: Readonly<Partial<Record<string, number>>> = { float16: 65504, float32: 3.4028235e38, bfloat16: 3.39e38 };

function largest(values: readonly number[]): number {
  let most = 0;
  for (const value of values) if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
  return most;
}

/** Compares values of the reference run with PyTorch's, at the elements that the golden holds. */
export function assertGolden(what: string, actual: readonly number[], dtype: string, golden: GoldenValues): void {
  const expected = decode(golden.values);
  const count = expected.length;
  const stride = actual.length / count;
  const sampled = count < actual.length ? expected.map((_, i) => actual[Math.floor(i * stride)]) : actual;
  // Goldens have 14 digits, and sums may be taken in another order. Integers and bools must be equal.
  const [relative, absolute] = dtype === "float64"
    ? [1e-12, 1e-13]
    : ROUNDOFF[dtype] !== undefined
    ? [4 * ROUNDOFF[dtype]!, 4 * ROUNDOFF[dtype]!]
    : [0, 0];
  const scale = absolute * largest(expected);
  assertWithin(what, sampled, expected, (want) => relative * Math.abs(want) + scale);
}

/**
 * Compares a run in float32 or 16 bits with float64 on the same inputs: |ours - float64| <= 2 |PyTorch - float64| + eps, where eps is
 * one rounding of the value, and two units of float32 of the largest value for sums in another order.
 */
export function assertLow(
  what: string,
  actual: readonly number[],
  dtype: DType,
  reference: readonly number[],
  torchError: number | null,
  factor: number,
): void {
  const roundoff = ROUNDOFF[dtype];
  if (roundoff === undefined) return assertWithin(what, actual, reference, () => 0);
  const scale = largest(reference);
  // Where PyTorch refuses the dtype, there is no error of its own: allow a few roundings.
  const own = torchError ?? 4 * roundoff * scale;
  const fixed = 2 * own + 4 * 2 ** -24 * scale + (SUBNORMAL[dtype] ?? 0);
  const limit = LARGEST[dtype] ?? Infinity;
  const expected = reference.map((value) => Math.abs(value) > limit ? Math.sign(value) * Infinity : value);
  assertWithin(what, actual, expected, (want) => factor * (fixed + roundoff * Math.abs(want)));
}
