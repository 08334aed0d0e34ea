/**
 * Comparisons of values that fail on NaN and on another number of them.
 *
 * @module
 */
import type { Tensor } from "../../mod.ts";

/** Numbers as the goldens spell them: JSON has no infinities. */
export function decode(values: readonly (number | string)[]): number[] {
  return values.map((value) => typeof value === "number" ? value : Number(value.replace("inf", "Infinity")));
}

/** Throws unless every value is within `bound(expected)` of the expected one; NaN and infinities must be equal. */
export function assertWithin(
  what: string,
  actual: readonly number[],
  expected: readonly number[],
  bound: (expected: number) => number,
): void {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} values, not ${expected.length}`);
  let bad = 0;
  let first = "";
  for (let i = 0; i < actual.length; i++) {
    const value = actual[i];
    const want = expected[i];
    if (value === want || (Number.isFinite(want) && Math.abs(value - want) <= bound(want))) continue;
    if (Number.isNaN(value) && Number.isNaN(want)) continue;
    if (bad++ === 0) {
      first = `element ${i} is ${value}, not ${want} (off by ${Math.abs(value - want)}, allowed ${bound(want)})`;
    }
  }
  if (bad > 0) throw new Error(`${what}: ${bad} of ${actual.length} values differ: ${first}`);
}

/**
 * Throws unless every element equals its expected value, or is within `atol + rtol * |expected|` of it. NaN equals only NaN.
 *
 * @param actual What was computed.
 * @param expected As many values, at least one.
 */
export function assertClose(
  actual: Tensor,
  expected: readonly number[],
  { rtol = 0, atol = 0 }: { rtol?: number; atol?: number } = {},
): void {
  const values = Array.from(actual.data(), Number);
  if (expected.length === 0) throw new Error("nothing to compare");
  assertWithin("tensor", values, expected, (want) => atol + rtol * Math.abs(want));
}
