/**
 * Views: other shapes and strides over the same memory.
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { apply, empty, type Op, viewOf } from "../core/op.ts";
import { formatShape, isContiguous, normalizeDim, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { copyInto, fillInto } from "./launch.ts";
import { expandView, reshapeView } from "./raw_view.ts";
import { sumToShape } from "./reduce.ts";

const reshapeOp: Op<Shape> = {
  name: "reshape",
  outputShape: (_inputs, shape) => shape,
  forward: ([x], shape) => reshapeView(x, shape, "reshape"),
  vjp: ({ inputShapes }, g) => [reshapeView(g, inputShapes[0], "grad")],
};

/** A shape in which one -1 is computed from the number of elements. */
function inferShape(x: Tensor, shape: Shape): Shape {
  const unknown = shape.indexOf(-1);
  const known = sizeOf(shape.filter((size) => size !== -1));
  const out = unknown < 0 ? shape : shape.map((size, i) => i === unknown ? x.size / known : size);
  if (out.some((size) => !Number.isSafeInteger(size) || size < 0) || sizeOf(out) !== x.size) {
    throw new ShapeError(
      `Cannot reshape ${formatShape(x.shape)} into ${formatShape(shape)}: the number of elements must stay ${x.size}`,
    );
  }
  return out;
}

/**
 * The same elements in another shape: a view when they lie in row-major order, else a copy.
 *
 * @throws {ShapeError} When the number of elements would change.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return apply(reshapeOp, [x], inferShape(x, shape));
}

/**
 * The same elements in another shape, always a view.
 *
 * @throws {ShapeError} When the number of elements would change, or the elements do not lie in row-major order.
 */
export function view(x: Tensor, shape: Shape): Tensor {
  if (!isContiguous(x.shape, x.strides)) {
    throw new ShapeError(`Cannot view ${formatShape(x.shape)} with strides ${formatShape(x.strides)}: use reshape()`);
  }
  return reshape(x, shape);
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
  return apply(permuteOp, [x], order);
}

/** A view with two dimensions exchanged. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const order = x.shape.map((_, i) => i);
  const a = normalizeDim(dim0, x.shape.length, "transpose");
  const b = normalizeDim(dim1, x.shape.length, "transpose");
  if (order.length > 0) [order[a], order[b]] = [order[b], order[a]];
  return permute(x, order);
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
  const lead = shape.length - x.shape.length;
  const out = shape.map((size, i) => size === -1 && i >= lead ? x.shape[i - lead] : size);
  if (
    lead < 0 || out.some((size, i) => size < 0 || (i >= lead && x.shape[i - lead] !== size && x.shape[i - lead] !== 1))
  ) {
    throw new ShapeError(`Cannot expand ${formatShape(x.shape)} to ${formatShape(shape)}: only sizes of 1 may grow`);
  }
  return sameShape(out, x.shape) ? x : apply(expandOp, [x], out);
}

interface SliceAttrs {
  readonly dim: number;
  readonly start: number;
  readonly length: number;
  readonly step: number;
}

function sliceView(x: Tensor, { dim, start, length, step }: SliceAttrs, origin: string): Tensor {
  const shape = x.shape.map((size, i) => i === dim ? length : size);
  const strides = x.strides.map((stride, i) => i === dim ? stride * step : stride);
  // A view without elements must not begin behind its storage.
  return viewOf(x, shape, strides, sizeOf(shape) === 0 ? x.offset : x.offset + start * x.strides[dim], origin);
}

const sliceOp: Op<SliceAttrs> = {
  name: "slice",
  outputShape: ([x], { dim, length }) => x.shape.map((size, i) => i === dim ? length : size),
  forward: ([x], attrs) => sliceView(x, attrs, "slice"),
  vjp({ attrs, inputShapes }, g) {
    const out = fillInto(empty(g.storage.device, inputShapes[0], g.dtype, "grad"), 0);
    copyInto(sliceView(out, attrs, "grad"), g);
    return [out];
  },
};

/** Options of {@link slice}. */
export interface SliceOptions {
  /** Dimension to slice. Default 0. */
  dim?: number;
  /** First index; negative counts from the end. Default 0. */
  start?: number;
  /** Index after the last; negative counts from the end. Default: the size. */
  end?: number;
  /** Distance between taken indices, at least 1. Default 1. */
  step?: number;
}

/** A view of every `step`-th index from `start` to before `end`; bounds are clipped, as in PyTorch. */
export function slice(x: Tensor, options: SliceOptions = {}): Tensor {
  const dim = normalizeDim(options.dim ?? 0, x.shape.length, "slice");
  const size = x.shape[dim];
  const step = options.step ?? 1;
  if (x.shape.length === 0 || !Number.isInteger(step) || step < 1) {
    throw new ShapeError(`Cannot slice ${formatShape(x.shape)}: step must be a positive integer, got ${step}`);
  }
  const clip = (index: number): number => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  const start = clip(options.start ?? 0);
  const end = clip(options.end ?? size);
  return apply(sliceOp, [x], { dim, start, length: Math.max(0, Math.ceil((end - start) / step)), step });
}

/**
 * A view of `length` indices from `start`.
 *
 * @throws {ShapeError} When the range leaves the dimension.
 */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  const at = normalizeDim(dim, x.shape.length, "narrow");
  if (
    !Number.isInteger(start) || !Number.isInteger(length) || start < 0 || length < 0 ||
    start + length > (x.shape[at] ?? 0)
  ) {
    throw new ShapeError(
      `Cannot narrow dimension ${at} of ${formatShape(x.shape)}: start ${start} and length ${length} leave its size`,
    );
  }
  return apply(sliceOp, [x], { dim: at, start, length, step: 1 });
}

/** A view of one index of a dimension, which disappears. */
export function selectIndex(x: Tensor, dim: number, index: number): Tensor {
  const at = normalizeDim(dim, x.shape.length, "select");
  const size = x.shape[at] ?? 0;
  if (!Number.isInteger(index) || index < -size || index >= size) {
    throw new ShapeError(`Cannot select index ${index} of dimension ${at} of ${formatShape(x.shape)}`);
  }
  const part = narrow(x, at, index < 0 ? index + size : index, 1);
  return squeeze(part, at);
}

/** A view without one dimension of size 1, or without all of them. */
export function squeeze(x: Tensor, dim?: number): Tensor {
  const at = dim === undefined ? undefined : normalizeDim(dim, x.shape.length, "squeeze");
  const kept = x.shape.map((_, i) => i).filter((i) => x.shape[i] !== 1 || (at !== undefined && i !== at));
  return kept.length === x.shape.length ? x : apply(restrideOp, [x], kept);
}

/** A view with a dimension of size 1 inserted. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  const at = normalizeDim(dim, x.shape.length + 1, "unsqueeze");
  const entries = x.shape.map((_, i) => i);
  entries.splice(at, 0, -1);
  return apply(restrideOp, [x], entries);
}

/** For each dimension of the view which one of the input it is; -1 is a new one of size 1. */
const restrideOp: Op<readonly number[]> = {
  name: "squeeze",
  outputShape: ([x], entries) => entries.map((dim) => dim < 0 ? 1 : x.shape[dim]),
  forward: ([x], entries, shape) =>
    viewOf(x, shape, entries.map((dim) => dim < 0 ? 1 : x.strides[dim]), x.offset, "squeeze"),
  vjp: ({ inputShapes }, g) => [reshapeView(g, inputShapes[0], "grad")],
};
