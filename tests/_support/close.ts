/**
 * Comparison of values that fails on NaN, on another shape and on an empty run.
 *
 * @module
 */
import type { Tensor } from "../../mod.ts";

/** Numbers as the goldens spell them: JSON has no infinities. */
export function decode(values: readonly (number | string)[]): number[] {
  return values.map((value) => typeof value === "number" ? value : Number(value.replace("inf", "Infinity")));
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
  if (values.length !== expected.length) throw new Error(`${values.length} values, expected ${expected.length}`);
  let bad = 0;
  let first = "";
  values.forEach((value, i) => {
    const want = expected[i];
    const same = Number.isNaN(want)
      ? Number.isNaN(value)
      : value === want || Math.abs(value - want) <= atol + rtol * Math.abs(want);
    if (same) return;
    if (bad++ === 0) first = `element ${i} is ${value}, expected ${want}`;
  });
  if (bad > 0) throw new Error(`${bad} of ${values.length} differ: ${first}`);
}
