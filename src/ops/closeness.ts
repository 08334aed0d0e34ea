/**
 * Comparison up to rounding.
 *
 * @module
 */
import { noGrad } from "../core/op.ts";
import { endScope, enterScope } from "../core/scope.ts";
import type { Tensor } from "../tensor.ts";
import { applyCompare, applyCompareNumber } from "./binary.ts";
import { cast } from "./copy.ts";
import { truth } from "./reduce.ts";

/** How far elements may be apart. */
export interface ClosenessOptions {
  /** Relative to the second operand. Default 1e-5. */
  rtol?: number;
  /** Absolute. Default 1e-8. */
  atol?: number;
  /** Whether NaN is close to NaN. Default false. */
  equalNan?: boolean;
}

/** Where |a - b| <= atol + rtol |b|, computed in float64: a bool tensor of the broadcast shape. */
export function isClose(
  a: Tensor,
  b: Tensor,
  { rtol = 1e-5, atol = 1e-8, equalNan = false }: ClosenessOptions = {},
): Tensor {
  return noGrad(() => {
    const [x, y] = [cast(a, "float64"), cast(b, "float64")];
    const distance = x.sub(y).abs();
    const isNear = applyCompare("le", distance, y.abs().mul(rtol).add(atol));
    // An infinite distance is near nothing; equal infinities are equal.
    const isFinite = applyCompareNumber("lt", distance, Infinity);
    const close = applyCompare("logical_or", applyCompare("eq", x, y), applyCompare("logical_and", isNear, isFinite));
    if (!equalNan) return close;
    const bothNaN = applyCompare("logical_and", applyCompare("ne", x, x), applyCompare("ne", y, y));
    return applyCompare("logical_or", close, bothNaN);
  });
}

/** Whether all elements of a bool tensor hold; what the function makes is released. */
export function holds(fn: () => Tensor): boolean {
  const scope = enterScope("the end of a comparison");
  try {
    return noGrad(() => truth(fn(), "all").item()) === 1;
  } finally {
    endScope(scope);
  }
}
