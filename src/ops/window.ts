/**
 * Views of a part of a tensor: slices, single indices, diagonals, and several parts at once.
 *
 * @module
 */
import { BINARY } from "../../ffi/op_ids.ts";
import { ShapeError } from "../core/errors.ts";
import { WRITTEN } from "../core/node.ts";
import { applyView, empty, type Op, viewOf } from "../core/op.ts";
import { formatShape, normalizeDim, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { binaryInto, copyInto, fillInto } from "./launch.ts";

/** An operation whose gradient is zero outside the window that `cut` gives of any tensor of the input's shape. */
function windowOp<A>(
  name: string,
  outputShape: (shape: Shape, attrs: A) => Shape,
  cut: (x: Tensor, attrs: A, shape: Shape, origin: string) => Tensor,
): Op<A> {
  return {
    name,
    outputShape: ([x], attrs) => outputShape(x.shape, attrs),
    forward: ([x], attrs, shape) => cut(x, attrs, shape, name),
    vjp(node, g) {
      const { attrs, inputShapes, shape } = node;
      const sum = node.sumSoFar(0);
      if (sum !== null && sum.dtype === g.dtype) {
        const place = cut(sum, attrs, shape, "grad");
        binaryInto(place, BINARY.add, place, g);
        place.dispose();
        return [WRITTEN];
      }
      const out = fillInto(empty(g.storage.device, inputShapes[0], g.dtype, "grad"), 0);
      copyInto(cut(out, attrs, shape, "grad"), g);
      return [out];
    },
  };
}

interface SliceAttrs {
  readonly dim: number;
  readonly start: number;
  readonly length: number;
  readonly step: number;
}

function sliceLike(name: string): Op<SliceAttrs> {
  return windowOp(
    name,
    (shape, { dim, length }) => shape.map((size, i) => i === dim ? length : size),
    (x, { dim, start, step }, shape, origin) => {
      const strides = step === 1 ? x.strides : x.strides.map((stride, i) => i === dim ? stride * step : stride);
      // A view without elements must not begin behind its storage.
      return viewOf(x, shape, strides, sizeOf(shape) === 0 ? x.offset : x.offset + start * x.strides[dim], origin);
    },
  );
}

const sliceOp = sliceLike("slice");
const splitOp = sliceLike("split");

function dimOf(x: Tensor, dim: number, action: string): number {
  if (x.shape.length === 0) throw new ShapeError(`Cannot ${action} a scalar: it has no dimension`);
  return normalizeDim(dim, x.shape.length, action);
}

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
  const dim = dimOf(x, options.dim ?? 0, "slice");
  const size = x.shape[dim];
  const { start = 0, end = size, step = 1 } = options;
  if (!Number.isSafeInteger(step) || step < 1) {
    throw new ShapeError(`Cannot slice ${formatShape(x.shape)}: step must be a positive integer, got ${step}`);
  }
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end)) {
    throw new ShapeError(
      `Cannot slice ${formatShape(x.shape)}: start and end must be integers, got ${start} and ${end}`,
    );
  }
  const clip = (index: number): number => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  const from = clip(start);
  const length = Math.max(0, Math.ceil((clip(end) - from) / step));
  return applyView(sliceOp, [x], { dim, start: from, length, step });
}

/**
 * A view of `length` indices from `start`, which counts from the end where it is negative.
 *
 * @throws {ShapeError} When the range leaves the dimension.
 */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  const at = dimOf(x, dim, "narrow");
  const size = x.shape[at];
  const from = start < 0 ? start + size : start;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(length) || from < 0 || length < 0 || from + length > size) {
    throw new ShapeError(
      `Cannot narrow dimension ${at} of ${
        formatShape(x.shape)
      }: start ${start} and length ${length} leave its size ${size}`,
    );
  }
  return applyView(sliceOp, [x], { dim: at, start: from, length, step: 1 });
}

interface SelectAttrs {
  readonly dim: number;
  readonly index: number;
}

function selectLike(name: string): Op<SelectAttrs> {
  return windowOp(
    name,
    (shape, { dim }) => shape.filter((_, i) => i !== dim),
    (x, { dim, index }, shape, origin) => {
      // A view without elements must not begin behind its storage.
      const offset = sizeOf(shape) === 0 ? x.offset : x.offset + index * x.strides[dim];
      return viewOf(x, shape, x.strides.filter((_, i) => i !== dim), offset, origin);
    },
  );
}

const selectOp = selectLike("select");
const unbindOp = selectLike("unbind");

/**
 * A view of one index of a dimension, which disappears; a negative index counts from the end.
 *
 * @throws {ShapeError} When the index is outside the dimension.
 */
export function selectIndex(x: Tensor, dim: number, index: number): Tensor {
  const at = dimOf(x, dim, "select");
  const size = x.shape[at];
  if (!Number.isSafeInteger(index) || index < -size || index >= size) {
    throw new ShapeError(
      `Cannot select index ${index} of dimension ${at} of ${formatShape(x.shape)}: it must be an integer in ` +
        `[${-size}, ${size - 1}]`,
    );
  }
  return applyView(selectOp, [x], { dim: at, index: index < 0 ? index + size : index });
}

/** One view for each index of a dimension, which disappears. */
export function unbind(x: Tensor, dim: number): Tensor[] {
  const at = dimOf(x, dim, "unbind");
  return Array.from({ length: x.shape[at] }, (_, index) => applyView(unbindOp, [x], { dim: at, index }, true));
}

function parts(x: Tensor, dim: number, sizes: readonly number[]): Tensor[] {
  let start = 0;
  return sizes.map((length) => {
    const part = applyView(splitOp, [x], { dim, start, length, step: 1 }, true);
    start += length;
    return part;
  });
}

/**
 * Views of parts of a dimension: of one size, the last one perhaps smaller, or of the given sizes.
 *
 * @throws {ShapeError} When a size is no positive integer (0 only for an empty dimension), or sizes do not sum up to the dimension.
 */
export function split(x: Tensor, sizes: number | readonly number[], dim: number): Tensor[] {
  const at = dimOf(x, dim, "split");
  const total = x.shape[at];
  if (typeof sizes !== "number") {
    const isSize = (size: number): boolean => Number.isSafeInteger(size) && size >= 0;
    if (!sizes.every(isSize) || sizes.reduce((sum, size) => sum + size, 0) !== total) {
      throw new ShapeError(
        `Cannot split dimension ${at} of ${
          formatShape(x.shape)
        } into [${sizes}]: sizes must be non-negative integers that sum ` +
          `up to ${total}`,
      );
    }
    return parts(x, at, sizes);
  }
  if (!Number.isSafeInteger(sizes) || sizes < 0 || (sizes === 0 && total > 0)) {
    throw new ShapeError(
      `Cannot split dimension ${at} of ${
        formatShape(x.shape)
      } into parts of ${sizes}: the size must be a positive integer`,
    );
  }
  const count = sizes === 0 ? 1 : Math.max(1, Math.ceil(total / sizes));
  return parts(x, at, Array.from({ length: count }, (_, i) => Math.min(sizes, total - i * sizes)));
}

/**
 * At most `chunks` views of a dimension, all of one size but the last.
 *
 * @throws {ShapeError} When `chunks` is no positive integer.
 */
export function chunk(x: Tensor, chunks: number, dim: number): Tensor[] {
  const at = dimOf(x, dim, "chunk");
  if (!Number.isSafeInteger(chunks) || chunks < 1) {
    throw new ShapeError(
      `Cannot chunk ${formatShape(x.shape)}: the number of chunks must be a positive integer, got ${chunks}`,
    );
  }
  const size = Math.ceil(x.shape[at] / chunks);
  return size === 0 ? parts(x, at, new Array<number>(chunks).fill(0)) : split(x, size, at);
}

/** Options of {@link diagonal}. */
export interface DiagonalOptions {
  /** Above the main diagonal where positive, below it where negative. Default 0. */
  offset?: number;
  /** The dimension of the rows. Default 0. */
  dim1?: number;
  /** The dimension of the columns. Default 1. */
  dim2?: number;
}

interface DiagonalAttrs {
  readonly dim1: number;
  readonly dim2: number;
  readonly offset: number;
}

function diagonalLength(shape: Shape, { dim1, dim2, offset }: DiagonalAttrs): number {
  return Math.max(
    0,
    offset >= 0 ? Math.min(shape[dim1], shape[dim2] - offset) : Math.min(shape[dim1] + offset, shape[dim2]),
  );
}

const diagonalOp: Op<DiagonalAttrs> = windowOp<DiagonalAttrs>(
  "diagonal",
  (shape, attrs) => [...shape.filter((_, i) => i !== attrs.dim1 && i !== attrs.dim2), diagonalLength(shape, attrs)],
  (x, { dim1, dim2, offset }, shape, origin) => {
    const kept = x.strides.filter((_, i) => i !== dim1 && i !== dim2);
    const start = offset >= 0 ? offset * x.strides[dim2] : -offset * x.strides[dim1];
    const isEmpty = sizeOf(shape) === 0;
    return viewOf(
      x,
      shape,
      [...kept, x.strides[dim1] + x.strides[dim2]],
      isEmpty ? x.offset : x.offset + start,
      origin,
    );
  },
);

/** A view of a diagonal of two dimensions, which becomes the last dimension. */
export function diagonal(x: Tensor, { offset = 0, dim1 = 0, dim2 = 1 }: DiagonalOptions = {}): Tensor {
  const rows = dimOf(x, dim1, "take the diagonal of");
  const columns = dimOf(x, dim2, "take the diagonal of");
  if (rows === columns || !Number.isSafeInteger(offset)) {
    throw new ShapeError(
      `Cannot take the diagonal of ${
        formatShape(x.shape)
      }: dim1 and dim2 must differ and offset must be an integer, got ` +
        `${dim1}, ${dim2} and ${offset}`,
    );
  }
  return applyView(diagonalOp, [x], { dim1: rows, dim2: columns, offset });
}
