/**
 * A value where a mask holds.
 *
 * @module
 */
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { where } from "./binary.ts";
import { cast } from "./copy.ts";
import { filled } from "./launch.ts";

/**
 * The tensor with a value where a bool mask, which is broadcast, holds. The dtype stays; the gradient is zero there.
 *
 * @param value A number, or a tensor without dimensions, which receives the sum of the gradients.
 * @throws {DTypeError} When the mask is not bool.
 */
export function maskedFill(x: Tensor, mask: Tensor, value: number | Tensor): Tensor {
  if (mask.dtype !== "bool") {
    throw new DTypeError(
      `Cannot fill where a mask of ${mask.dtype} holds: the mask must be bool. Compare first, or use to()`,
    );
  }
  if (typeof value !== "number" && value.shape.length > 0) {
    throw new ShapeError(`Cannot fill with a tensor of shape ${formatShape(value.shape)}: it must have no dimension`);
  }
  const filler = typeof value === "number" ? filled(x, [], value, "maskedFill") : cast(value, x.dtype);
  return where(mask, filler, x);
}
