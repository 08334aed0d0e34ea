/**
 * Joining tensors.
 *
 * @module
 */
import { promote } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { apply, empty, type Op, viewOf } from "../core/op.ts";
import { formatShape, normalizeDim, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { copyInto } from "./launch.ts";

function part(x: Tensor, dim: number, start: number, length: number): Tensor {
  const shape = x.shape.map((size, i) => i === dim ? length : size);
  // A view without elements must not begin behind its storage.
  return viewOf(x, shape, x.strides, sizeOf(shape) === 0 ? x.offset : x.offset + start * x.strides[dim], "cat");
}

const catOp: Op<number> = {
  name: "cat",
  outputShape(inputs, dim) {
    const first = inputs[0].shape;
    let total = 0;
    for (const { shape } of inputs) {
      if (shape.length !== first.length || shape.some((size, i) => i !== dim && size !== first[i])) {
        throw new ShapeError(
          `Cannot join ${
            inputs.map((x) => formatShape(x.shape)).join(", ")
          }: sizes must be equal except in dimension ${dim}`,
        );
      }
      total += shape[dim];
    }
    return first.map((size, i) => i === dim ? total : size);
  },
  forward(inputs, dim, shape) {
    const out = empty(inputs[0].storage.device, shape, inputs[0].dtype, "cat");
    let start = 0;
    for (const x of inputs) {
      copyInto(part(out, dim, start, x.shape[dim]), x);
      start += x.shape[dim];
    }
    return out;
  },
  vjp(node, g) {
    let start = 0;
    return node.inputShapes.map((shape: Shape, i) => {
      const length = shape[node.attrs];
      start += length;
      return node.needs(i) ? part(g, node.attrs, start - length, length) : null;
    });
  },
};

/**
 * Joins tensors along an existing dimension.
 *
 * @param list At least one tensor with a dimension.
 * @throws {ShapeError} When another dimension differs.
 */
export function cat(list: readonly Tensor[], { dim = 0 }: { dim?: number } = {}): Tensor {
  if (list.length === 0) throw new ShapeError("Cannot join an empty list of tensors");
  if (list[0].shape.length === 0) throw new ShapeError("Cannot join scalars: use stack()");
  const dtype = list.reduce((common, x) => promote(common, x.dtype), list[0].dtype);
  return apply(catOp, list.map((x) => cast(x, dtype)), normalizeDim(dim, list[0].shape.length, "join"));
}

/** Joins tensors of equal shape along a new dimension. */
export function stack(list: readonly Tensor[], { dim = 0 }: { dim?: number } = {}): Tensor {
  if (list.length === 0) throw new ShapeError("Cannot stack an empty list of tensors");
  return cat(list.map((x) => x.unsqueeze(dim)), { dim });
}
