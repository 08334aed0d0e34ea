/**
 * Views without recording, for forward functions and derivatives.
 *
 * @module
 */
import { viewOf } from "../core/op.ts";
import { contiguousStrides, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous } from "./launch.ts";

/** A view of a contiguous tensor in another shape, without recording; copies one that is not contiguous. */
export function reshapeView(x: Tensor, shape: Shape, origin: string): Tensor {
  const source = contiguous(x);
  return viewOf(source, shape, contiguousStrides(shape), source.offset, origin);
}

/** A view that repeats dimensions of size 1, without recording. */
export function expandView(x: Tensor, shape: Shape, origin: string): Tensor {
  const lead = shape.length - x.shape.length;
  const strides = shape.map((size, i) => i < lead || (x.shape[i - lead] === 1 && size !== 1) ? 0 : x.strides[i - lead]);
  return viewOf(x, shape, strides, x.offset, origin);
}
