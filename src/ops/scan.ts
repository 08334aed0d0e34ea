/**
 * Running totals along a dimension, and triangles of matrices.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { BINARY, COMPARE } from "../../ffi/op_ids.ts";
import { type DType, dtypeId, isFloating } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape, normalizeDim, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { binary, compare, contiguous, copied, filled, select } from "./launch.ts";

/** Running totals or products of a tensor whose dtype the library has. */
function cumulated(op: number, x: Tensor, dim: number, reverse = false): Tensor {
  const source = contiguous(x);
  const out = empty(x.storage.device, x.shape, x.dtype, "cumsum");
  const library = out.storage.device.library;
  check(
    library.ax_cumulate(
      op,
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      source.storage.id,
      source.offset,
      sizeOf(x.shape.slice(0, dim)),
      x.shape[dim] ?? 1,
      sizeOf(x.shape.slice(dim + 1)),
      reverse ? 1 : 0,
    ),
    "ax_cumulate",
    library,
  );
  return out;
}

/** The same in any floating dtype or int64: 16-bit totals are kept in float32 and rounded once. */
function cumulate(op: number, x: Tensor, dim: number, reverse = false): Tensor {
  if (x.dtype !== "bfloat16" && x.dtype !== "float16") return cumulated(op, x, dim, reverse);
  return copied(cumulated(op, copied(x, "cumsum", "float32"), dim, reverse), "cumsum", x.dtype);
}

const cumsumOp: Op<number> = {
  name: "cumsum",
  outputShape: ([x]) => x.shape,
  forward: ([x], dim) => cumulate(AX.CUMULATE_SUM, x, dim),
  vjp: ({ attrs }, g) => [cumulate(AX.CUMULATE_SUM, g, attrs, true)],
};

const cumprodOp: Op<number> = {
  name: "cumprod",
  outputShape: ([x]) => x.shape,
  forward([x], dim, _shape, node) {
    const y = cumulate(AX.CUMULATE_PROD, x, dim);
    node?.save(x, y);
    return y;
  },
  // Before the first zero the gradient is the sum of g y from there on, divided by x. At the first zero it is the sum of g times the
  // products without that zero. Behind it all products are zero.
  vjp({ saved: [x, y], attrs: dim }, g) {
    const { shape } = x;
    const scalar = (value: number): Tensor => filled(x, [], value, "grad");
    const product = (a: Tensor, b: Tensor): Tensor => binary(BINARY.mul, a, b, shape, "grad");
    const after = (products: Tensor): Tensor => cumulate(AX.CUMULATE_SUM, product(g, products), dim, true);
    const isZero = compare(COMPARE.eq, x, scalar(0), shape, "grad");
    const zeros = cumulate(AX.CUMULATE_SUM, copied(isZero, "grad", "float32"), dim);
    const isOne = compare(COMPARE.eq, zeros, filled(zeros, [], 1, "grad"), shape, "grad");
    const isFirst = compare(COMPARE.logical_and, isZero, isOne, shape, "grad");
    const isBefore = compare(COMPARE.eq, zeros, filled(zeros, [], 0, "grad"), shape, "grad");
    const nonzero = select(isZero, scalar(1), x, shape, "grad");
    const before = binary(BINARY.div, after(y), nonzero, shape, "grad");
    const withoutFirst = cumulate(AX.CUMULATE_PROD, select(isFirst, scalar(1), x, shape, "grad"), dim);
    const atFirst = select(isFirst, after(withoutFirst), scalar(0), shape, "grad");
    return [select(isBefore, before, atFirst, shape, "grad")];
  },
};

/** Options of running totals. */
export interface ScanOptions {
  /** Along which dimension; negative ones count from the end. */
  dim: number;
  /** The elements are converted to it first. Default: the tensor's, or int64 for integers and bool. */
  dtype?: DType;
}

/** The dimension alone, or with options. */
export type ScanDim = number | ScanOptions;

function scanned(op: Op<number>, x: Tensor, options: ScanDim): Tensor {
  const { dim, dtype }: ScanOptions = typeof options === "number" ? { dim: options } : options;
  const wanted = dtype ?? (isFloating(x.dtype) ? x.dtype : "int64");
  const total = apply(op, [cast(x, isFloating(wanted) ? wanted : "int64")], normalizeDim(dim, x.shape.length, op.name));
  return cast(total, wanted);
}

/** Sums of all elements up to each, along a dimension; integers and bool in int64. */
export function cumsum(x: Tensor, options: ScanDim): Tensor {
  return scanned(cumsumOp, x, options);
}

/** Products of all elements up to each, along a dimension; integers and bool in int64. */
export function cumprod(x: Tensor, options: ScanDim): Tensor {
  return scanned(cumprodOp, x, options);
}

interface TriangleAttrs {
  readonly upper: boolean;
  readonly diagonal: number;
}

function triangle(x: Tensor, { upper, diagonal }: TriangleAttrs, origin: string): Tensor {
  const source = contiguous(x);
  const out = empty(x.storage.device, x.shape, x.dtype, origin);
  const [rows, cols] = x.shape.slice(-2);
  const library = out.storage.device.library;
  check(
    library.ax_triangle(
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      source.storage.id,
      source.offset,
      sizeOf(x.shape.slice(0, -2)),
      rows,
      cols,
      diagonal,
      upper ? 1 : 0,
    ),
    "ax_triangle",
    library,
  );
  return out;
}

const triangleOp: Op<TriangleAttrs> = {
  name: "triangle",
  outputShape([x], { diagonal, upper }) {
    const name = upper ? "triu" : "tril";
    if (x.shape.length < 2) {
      throw new ShapeError(`Cannot take ${name} of ${formatShape(x.shape)}: it needs at least two dimensions`);
    }
    if (!Number.isInteger(diagonal)) {
      throw new ShapeError(`Cannot take ${name} at diagonal ${diagonal}: it must be an integer`);
    }
    return x.shape;
  },
  forward: ([x], attrs) => triangle(x, attrs, "tril"),
  vjp: ({ attrs }, g) => [triangle(g, attrs, "grad")],
};

/** The lower triangle of matrices: elements on and below a diagonal, 0 above. */
export function tril(x: Tensor, { diagonal = 0 }: { diagonal?: number } = {}): Tensor {
  return apply(triangleOp, [x], { upper: false, diagonal });
}

/** The upper triangle of matrices: elements on and above a diagonal, 0 below. */
export function triu(x: Tensor, { diagonal = 0 }: { diagonal?: number } = {}): Tensor {
  return apply(triangleOp, [x], { upper: true, diagonal });
}
