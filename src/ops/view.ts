/**
 * Views: other shapes over the same memory. Windows on a part of it are in window.ts.
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { applyView, type Op, viewOf } from "../core/op.ts";
import { formatShape, normalizeDim, sameShape, type Shape, sizeOf, viewStrides } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { expandView, reshapeView } from "./raw_view.ts";
import { sumToShape } from "./reduce.ts";

const reshapeOp: Op<Shape> = {
  name: "reshape",
  outputShape: (_inputs, shape) => shape,
  forward: ([x], shape) => reshapeView(x, shape, "reshape"),
  vjp: ({ inputShapes }, g) => [reshapeView(g, inputShapes[0], "grad")],
};

/** Sizes in which one -1 is computed from the number of elements. */
function inferSizes(sizes: Shape, count: number, action: string): Shape {
  let unknown = -1;
  let known = 1;
  for (let i = 0; i < sizes.length; i++) {
    const size = sizes[i];
    if (size === -1 && unknown < 0) {
      unknown = i;
    } else if (Number.isSafeInteger(size) && size >= 0) {
      known *= size;
    } else {
      throw new ShapeError(
        `${action}: sizes must be non-negative integers, one of them may be -1, got ${formatShape(sizes)}`,
      );
    }
  }
  if (unknown < 0) {
    if (known === count) return sizes;
  } else if (known === 0) {
    throw new ShapeError(`${action}: -1 could be any size beside a size of 0. Give all sizes`);
  } else if (count % known === 0) {
    return sizes.map((size, i) => i === unknown ? count / known : size);
  }
  throw new ShapeError(`${action}: the number of elements must stay ${count}`);
}

/**
 * The same elements in another shape, of which one size may be -1: a view where strides can express it, else a copy.
 *
 * @throws {ShapeError} When the number of elements would change.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const sizes = inferSizes(shape, x.size, `Cannot reshape ${formatShape(x.shape)} into ${formatShape(shape)}`);
  return applyView(reshapeOp, [x], sizes);
}

/**
 * The same elements in another shape, always a view.
 *
 * @throws {ShapeError} When the number of elements would change, or no strides can express the shape.
 */
export function view(x: Tensor, shape: Shape): Tensor {
  const action = `Cannot view ${formatShape(x.shape)} as ${formatShape(shape)}`;
  const sizes = inferSizes(shape, x.size, action);
  if (viewStrides(x.shape, x.strides, sizes) === null) {
    throw new ShapeError(
      `${action}: with strides ${formatShape(x.strides)} a dimension would span two separate ranges of memory. ` +
        `Use reshape(), which copies`,
    );
  }
  return applyView(reshapeOp, [x], sizes);
}

/** A view with the dimensions from `startDim` to `endDim` merged into one, or a copy where they do not lie together. */
export function flatten(x: Tensor, startDim: number, endDim: number): Tensor {
  const start = normalizeDim(startDim, x.shape.length, "flatten");
  const end = normalizeDim(endDim, x.shape.length, "flatten");
  if (start > end) {
    throw new ShapeError(`Cannot flatten ${formatShape(x.shape)}: startDim ${startDim} lies after endDim ${endDim}`);
  }
  if (x.shape.length === 0) return reshape(x, [1]);
  if (start === end) return x;
  return reshape(x, [...x.shape.slice(0, start), sizeOf(x.shape.slice(start, end + 1)), ...x.shape.slice(end + 1)]);
}

/** A view with one dimension divided into several, of which one size may be -1. */
export function unflatten(x: Tensor, dim: number, sizes: Shape): Tensor {
  if (x.shape.length === 0) throw new ShapeError("Cannot unflatten a scalar: it has no dimension");
  const at = normalizeDim(dim, x.shape.length, "unflatten");
  if (sizes.length === 0) {
    throw new ShapeError(`Cannot unflatten dimension ${at} of ${formatShape(x.shape)}: no sizes given`);
  }
  const action = `Cannot unflatten dimension ${at} of ${formatShape(x.shape)} into ${formatShape(sizes)}`;
  return view(x, [...x.shape.slice(0, at), ...inferSizes(sizes, x.shape[at], action), ...x.shape.slice(at + 1)]);
}

const permuteOp: Op<readonly number[]> = {
  name: "permute",
  outputShape: ([x], dims) => dims.map((dim) => x.shape[dim]),
  forward: ([x], dims, shape) => viewOf(x, shape, dims.map((dim) => x.strides[dim]), x.offset, "permute"),
  vjp({ attrs }, g) {
    const inverse = attrs.map((_, i) => attrs.indexOf(i));
    return [viewOf(g, inverse.map((dim) => g.shape[dim]), inverse.map((dim) => g.strides[dim]), g.offset, "grad")];
  },
};

/**
 * A view with the dimensions in another order.
 *
 * @throws {ShapeError} When `dims` is not a permutation of all dimensions.
 */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  const order = dims.map((dim) => normalizeDim(dim, x.shape.length, "permute"));
  if (order.length !== x.shape.length || new Set(order).size !== order.length) {
    throw new ShapeError(`Cannot permute ${formatShape(x.shape)} by [${dims}]: each dimension must be named once`);
  }
  return applyView(permuteOp, [x], order);
}

/** A view with two dimensions exchanged. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const a = normalizeDim(dim0, x.shape.length, "transpose");
  const b = normalizeDim(dim1, x.shape.length, "transpose");
  const order = x.shape.map((_, i) => i);
  if (order.length > 0) [order[a], order[b]] = [order[b], order[a]];
  return applyView(permuteOp, [x], order);
}

/** A view with rows and columns exchanged; a vector or a scalar stays as it is. */
export function transposeMatrix(x: Tensor): Tensor {
  if (x.shape.length > 2) {
    throw new ShapeError(
      `Cannot take t() of ${formatShape(x.shape)}: at most 2 dimensions. Use mT for batches of matrices, or permute()`,
    );
  }
  return x.shape.length < 2 ? x : transpose(x, 0, 1);
}

/** A view with the last two dimensions exchanged. */
export function transposeMatrices(x: Tensor): Tensor {
  if (x.shape.length < 2) {
    throw new ShapeError(`Cannot take mT of ${formatShape(x.shape)}: it must be a matrix or a batch of matrices`);
  }
  return transpose(x, -2, -1);
}

/** A view with some dimensions at other places; the others keep their order. */
export function movedim(
  x: Tensor,
  source: number | readonly number[],
  destination: number | readonly number[],
): Tensor {
  const ndim = x.shape.length;
  const list = (dims: number | readonly number[]): number[] =>
    (typeof dims === "number" ? [dims] : dims).map((dim) => normalizeDim(dim, ndim, "movedim"));
  const from = list(source);
  const to = list(destination);
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
    throw new ShapeError(
      `Cannot move dimensions [${source}] of ${
        formatShape(x.shape)
      } to [${destination}]: as many must be given on both sides, ` +
        `each once`,
    );
  }
  const rest = x.shape.map((_, i) => i).filter((dim) => !from.includes(dim));
  const order = x.shape.map((_, i) => to.includes(i) ? from[to.indexOf(i)] : rest.shift()!);
  return applyView(permuteOp, [x], order);
}

const expandOp: Op<Shape> = {
  name: "expand",
  outputShape: (_inputs, shape) => shape,
  forward: ([x], shape) => expandView(x, shape, "expand"),
  vjp: ({ inputShapes }, g) => [sumToShape(g, inputShapes[0])],
};

/**
 * A view that repeats dimensions of size 1; -1 keeps a size.
 *
 * @throws {ShapeError} When a dimension that is not 1 would change.
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  if (sameShape(shape, x.shape)) return x;
  const lead = shape.length - x.shape.length;
  const out = shape.map((size, i) => size === -1 && i >= lead ? x.shape[i - lead] : size);
  const fits = (size: number, i: number): boolean =>
    Number.isSafeInteger(size) && size >= 0 && (i < lead || x.shape[i - lead] === size || x.shape[i - lead] === 1);
  if (lead < 0 || !out.every(fits)) {
    throw new ShapeError(
      `Cannot expand ${formatShape(x.shape)} to ${
        formatShape(shape)
      }: only sizes of 1 may grow, dimensions are added in front, ` +
        `and -1 keeps the size of one that exists`,
    );
  }
  return sameShape(out, x.shape) ? x : applyView(expandOp, [x], out);
}

/** For each dimension of the view which one of the input it is; -1 is a new one of size 1. */
const restrideOp: Op<readonly number[]> = {
  name: "squeeze",
  outputShape: ([x], entries) => entries.map((dim) => dim < 0 ? 1 : x.shape[dim]),
  forward([x], entries, shape) {
    // A new dimension strides over all of the one behind it, as in PyTorch.
    const fresh = (i: number): number =>
      i + 1 < entries.length ? x.shape[entries[i + 1]] * x.strides[entries[i + 1]] : 1;
    return viewOf(x, shape, entries.map((dim, i) => dim < 0 ? fresh(i) : x.strides[dim]), x.offset, "squeeze");
  },
  vjp: ({ inputShapes }, g) => [reshapeView(g, inputShapes[0], "grad")],
};

/** A view without those of the named dimensions that have size 1, or without all of size 1. */
export function squeeze(x: Tensor, dim?: number | readonly number[]): Tensor {
  const ndim = x.shape.length;
  const named = dim === undefined
    ? undefined
    : (typeof dim === "number" ? [dim] : dim).map((entry) => normalizeDim(entry, ndim, "squeeze"));
  if (named !== undefined && new Set(named).size !== named.length) {
    throw new ShapeError(`Cannot squeeze ${formatShape(x.shape)}: dim names a dimension twice, got [${dim}]`);
  }
  const kept: number[] = [];
  for (let i = 0; i < ndim; i++) if (x.shape[i] !== 1 || (named !== undefined && !named.includes(i))) kept.push(i);
  return kept.length === ndim ? x : applyView(restrideOp, [x], kept);
}

/** A view with a dimension of size 1 inserted. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  const at = normalizeDim(dim, x.shape.length + 1, "unsqueeze");
  const entries = x.shape.map((_, i) => i);
  entries.splice(at, 0, -1);
  return applyView(restrideOp, [x], entries);
}
