/**
 * Reductions over dimensions.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { BINARY, COMPARE, REDUCE } from "../../ffi/op_ids.ts";
import { type DType, dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { layout, writeReduceLayout } from "../core/layout.ts";
import type { Node } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { normalizeDims, reducedShape, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { binary, binaryInto, compare, copied, filled, scaled, select } from "./launch.ts";
import { expandView, reshapeView } from "./raw_view.ts";

/** Which dimensions a reduction covers, and whether they stay as size 1. */
export interface ReduceOptions {
  /** One dimension or several, negative ones count from the end. Default: all. */
  dim?: number | readonly number[];
  /** Keep reduced dimensions with size 1. Default false. */
  keepDim?: boolean;
}

/** Reduces into `out`, which holds the kept dimensions contiguously: out = scale * reduction + beta * out. */
export function reduceInto(
  out: Tensor,
  op: number,
  x: Tensor,
  dims: readonly number[],
  scale = 1,
  beta = 0,
): Tensor {
  const library = out.storage.device.library;
  const counts = writeReduceLayout(x.shape, x.strides, dims);
  check(
    library.ax_reduce(
      op,
      dtypeId(out.dtype),
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      x.storage.id,
      x.offset,
      layout,
      counts >> 4,
      counts & 15,
      scale,
      beta,
    ),
    "ax_reduce",
    library,
  );
  return out;
}

/** Reduces into a new tensor. */
export function reduced(
  op: number,
  x: Tensor,
  dims: readonly number[],
  shape: Shape,
  origin: string,
  scale = 1,
  dtype: DType = x.dtype,
): Tensor {
  return reduceInto(empty(x.storage.device, shape, dtype, origin), op, x, dims, scale);
}

/** Sums a gradient down to the shape of a broadcast operand. */
export function sumToShape(g: Tensor, shape: Shape): Tensor {
  if (sameShape(g.shape, shape)) return g;
  const lead = g.shape.length - shape.length;
  const dims: number[] = [];
  for (let i = 0; i < g.shape.length; i++) {
    if (i < lead || (shape[i - lead] === 1 && g.shape[i] !== 1)) dims.push(i);
  }
  return reduced(REDUCE.sum, g, dims, shape, "grad");
}

/** Dimensions in ascending order, and a factor. */
export interface ReduceAttrs {
  readonly dims: readonly number[];
  readonly keepDim: boolean;
  readonly scale: number;
}

/** Sums and products of integers and bool are int64. */
function totalType(dtype: DType): DType {
  return isFloating(dtype) ? dtype : "int64";
}

/** A gradient of the reduced shape, read as the input's. */
export function spread(g: Tensor, { attrs, inputShapes: [shape] }: Node<ReduceAttrs>): Tensor {
  return expandView(reshapeView(g, reducedShape(shape, attrs.dims, true), "grad"), shape, "grad");
}

const sumOp: Op<ReduceAttrs> = {
  name: "sum",
  outputShape: ([x], { dims, keepDim }) => reducedShape(x.shape, dims, keepDim),
  forward: ([x], { dims, scale }, shape) => reduced(REDUCE.sum, x, dims, shape, "sum", scale, totalType(x.dtype)),
  vjp(node, g) {
    const source = node.attrs.scale === 1 ? g : scaled(g, node.attrs.scale);
    return [spread(source, node)];
  },
};

/** Throws when there is nothing to choose from. */
export function checkNotEmpty(x: Tensor, dims: readonly number[], action: string): void {
  if (dims.some((dim) => x.shape[dim] === 0) || (x.size === 0 && dims.length === x.shape.length)) {
    throw new ShapeError(`Cannot take the ${action} of (${x.shape.join(", ")}): a reduced dimension is empty`);
  }
}

function extremeOp(name: "max" | "min"): Op<ReduceAttrs> {
  return {
    name,
    outputShape([x], { dims, keepDim }) {
      checkNotEmpty(x, dims, name);
      return reducedShape(x.shape, dims, keepDim);
    },
    forward([x], { dims }, shape, node) {
      const y = reduced(REDUCE[name], x, dims, shape, name);
      node?.save(x, y);
      return y;
    },
    // Ties share the gradient evenly.
    vjp(node, g) {
      const [x, y] = node.saved;
      const mask = compare(COMPARE.eq, x, spread(y, node), x.shape, "grad");
      const weights = copied(mask, "grad", x.dtype);
      const ties = reduced(REDUCE.sum, weights, node.attrs.dims, reducedShape(x.shape, node.attrs.dims, true), "grad");
      const share = binaryInto(
        empty(g.storage.device, ties.shape, g.dtype, "grad"),
        BINARY.div,
        reshapeView(g, ties.shape, "grad"),
        ties,
      );
      return [binaryInto(weights, BINARY.mul, weights, expandView(share, x.shape, "grad"))];
    },
  };
}

const extremeOps = { max: extremeOp("max"), min: extremeOp("min") };

/** Options of a reduction as attributes. */
export function attrsOf(x: Tensor, options: ReduceOptions, action: string, scale = 1): ReduceAttrs {
  return { dims: normalizeDims(options.dim, x.shape.length, action), keepDim: options.keepDim ?? false, scale };
}

/** Options of sums, products and means. */
export interface TotalOptions extends ReduceOptions {
  /** The elements are converted to it first. Default: the tensor's, or int64 for integers and bool. */
  dtype?: DType;
}

function typed(x: Tensor, { dtype }: TotalOptions): Tensor {
  return dtype === undefined ? x : cast(x, dtype);
}

/** Sum over dimensions. Integers and bools are summed in int64. */
export function sum(x: Tensor, options: TotalOptions = {}): Tensor {
  const total = apply(sumOp, [typed(x, options)], attrsOf(x, options, "sum"));
  return options.dtype === undefined ? total : cast(total, options.dtype);
}

/**
 * Mean over dimensions; an empty one gives NaN.
 *
 * @throws {DTypeError} For integers, as PyTorch.
 */
export function mean(x: Tensor, options: TotalOptions = {}): Tensor {
  const input = typed(x, options);
  if (!isFloating(input.dtype)) {
    throw new DTypeError(
      `Cannot take the mean of ${input.dtype}: pass { dtype: "float32" }, or convert with .to({ dtype }) first`,
    );
  }
  const attrs = attrsOf(x, options, "mean");
  const count = sizeOf(attrs.dims.map((dim) => x.shape[dim]));
  return apply(sumOp, [input], { ...attrs, scale: 1 / count });
}

/** Maximum or minimum over dimensions; equal elements share the gradient. */
export function extreme(x: Tensor, which: "max" | "min", options: ReduceOptions = {}): Tensor {
  return apply(extremeOps[which], [x], attrsOf(x, options, which));
}

const prodOp: Op<ReduceAttrs> = {
  name: "prod",
  outputShape: ([x], { dims, keepDim }) => reducedShape(x.shape, dims, keepDim),
  forward([x], { dims }, shape, node) {
    const y = reduced(REDUCE.prod, x, dims, shape, "prod", 1, totalType(x.dtype));
    node?.save(x, y);
    return y;
  },
  // The product of the others: y / x, but where x is the only zero the product of what is not zero.
  vjp(node, g) {
    const [x, y] = node.saved;
    const { dims } = node.attrs;
    const kept = reducedShape(x.shape, dims, true);
    const scalar = (value: number): Tensor => filled(x, [], value, "grad");
    const isZero = compare(COMPARE.eq, x, scalar(0), x.shape, "grad");
    const zeros = reduced(REDUCE.sum, copied(isZero, "grad", x.dtype), dims, kept, "grad");
    const nonzero = select(isZero, scalar(1), x, x.shape, "grad");
    const isOnly = compare(COMPARE.eq, zeros, scalar(1), kept, "grad");
    const rest = select(isOnly, reduced(REDUCE.prod, nonzero, dims, kept, "grad"), scalar(0), kept, "grad");
    const quotient = binary(BINARY.div, spread(y, node), nonzero, x.shape, "grad");
    const others = select(isZero, expandView(rest, x.shape, "grad"), quotient, x.shape, "grad");
    return [binary(BINARY.mul, spread(g, node), others, x.shape, "grad")];
  },
};

/** Product over dimensions. Integers and bools are multiplied in int64. */
export function prod(x: Tensor, options: TotalOptions = {}): Tensor {
  const product = apply(prodOp, [typed(x, options)], attrsOf(x, options, "multiply"));
  return options.dtype === undefined ? product : cast(product, options.dtype);
}

/** Whether any element, or all of them, are not zero: bool, for uint8 uint8. */
export function truth(x: Tensor, which: "any" | "all", options: ReduceOptions = {}): Tensor {
  x.checkLive(which);
  const { dims, keepDim } = attrsOf(x, options, which);
  const dtype = x.dtype === "uint8" ? "uint8" : "bool";
  return reduced(REDUCE[which], x, dims, reducedShape(x.shape, dims, keepDim), which, 1, dtype);
}
