/**
 * Views without recording, for forward functions and derivatives.
 *
 * @module
 */
import { viewOf } from "../core/op.ts";
import { contiguousStrides, type Shape, viewStrides } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous } from "./launch.ts";

/** The same elements in another shape, without recording: a view where strides can express it, else a copy. */
export function reshapeView(x: Tensor, shape: Shape, origin: string): Tensor {
  if (!x.isContiguous) {
    const strides = viewStrides(x.shape, x.strides, shape);
    if (strides !== null) return viewOf(x, shape, strides, x.offset, origin);
  }
  const source = contiguous(x);
  return viewOf(source, shape, contiguousStrides(shape), source.offset, origin);
}

/** A view that repeats dimensions of size 1, without recording. */
export function expandView(x: Tensor, shape: Shape, origin: string): Tensor {
  const lead = shape.length - x.shape.length;
  const strides = shape.map((size, i) => i < lead || (x.shape[i - lead] === 1 && size !== 1) ? 0 : x.strides[i - lead]);
  return viewOf(x, shape, strides, x.offset, origin);
}
