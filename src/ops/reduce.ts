/**
 * Reductions over dimensions.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { BINARY, COMPARE, REDUCE } from "../../ffi/op_ids.ts";
import { dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { layout, writeReduceLayout } from "../core/layout.ts";
import type { Node } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { normalizeDims, reducedShape, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { binaryInto, compare, copied, scaled } from "./launch.ts";
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

function reduced(op: number, x: Tensor, dims: readonly number[], shape: Shape, origin: string, scale = 1): Tensor {
  return reduceInto(empty(x.storage.device, shape, x.dtype, origin), op, x, dims, scale);
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

interface ReduceAttrs {
  readonly dims: readonly number[];
  readonly keepDim: boolean;
  readonly scale: number;
}

/** A gradient of the reduced shape, read as the input's. */
function spread(g: Tensor, { attrs, inputShapes: [shape] }: Node<ReduceAttrs>): Tensor {
  return expandView(reshapeView(g, reducedShape(shape, attrs.dims, true), "grad"), shape, "grad");
}

const sumOp: Op<ReduceAttrs> = {
  name: "sum",
  outputShape: ([x], { dims, keepDim }) => reducedShape(x.shape, dims, keepDim),
  forward: ([x], { dims, scale }, shape) => reduced(REDUCE.sum, x, dims, shape, "sum", scale),
  vjp(node, g) {
    const source = node.attrs.scale === 1 ? g : scaled(g, node.attrs.scale);
    return [spread(source, node)];
  },
};

function extremeOp(name: "max" | "min"): Op<ReduceAttrs> {
  return {
    name,
    outputShape([x], { dims, keepDim }) {
      if (dims.some((dim) => x.shape[dim] === 0)) {
        throw new ShapeError(`Cannot take the ${name} of (${x.shape.join(", ")}): a reduced dimension is empty`);
      }
      return reducedShape(x.shape, dims, keepDim);
    },
    forward([x], { dims }, shape, node) {
      const y = reduced(REDUCE[name], x, dims, shape, name);
      node?.save(x, y);
      return y;
    },
    // Ties share the gradient evenly, as PyTorch's amax and amin.
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

const maxOp = extremeOp("max");
const minOp = extremeOp("min");

function attrsOf(x: Tensor, options: ReduceOptions, action: string, scale = 1): ReduceAttrs {
  return { dims: normalizeDims(options.dim, x.shape.length, action), keepDim: options.keepDim ?? false, scale };
}

/** Sum over dimensions. Integers and bools are summed in int64. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  const input = isFloating(x.dtype) ? x : cast(x, "int64");
  return apply(sumOp, [input], attrsOf(x, options, "sum"));
}

/**
 * Mean over dimensions; an empty one gives NaN.
 *
 * @throws {DTypeError} For integers, as PyTorch.
 */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (!isFloating(x.dtype)) {
    throw new DTypeError(`Cannot take the mean of ${x.dtype}: convert it with .to({ dtype: "float32" }) first`);
  }
  const attrs = attrsOf(x, options, "mean");
  const count = sizeOf(attrs.dims.map((dim) => x.shape[dim]));
  return apply(sumOp, [x], { ...attrs, scale: 1 / count });
}

/** Maximum over dimensions. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return apply(maxOp, [x], attrsOf(x, options, "max"));
}

/** Minimum over dimensions. */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return apply(minOp, [x], attrsOf(x, options, "min"));
}

/** Index (int64) of the first maximum or minimum over one dimension, or over all of them flattened. */
export function argReduce(x: Tensor, which: "max" | "min", options: { dim?: number; keepDim?: boolean } = {}): Tensor {
  x.checkLive(`arg${which}`);
  const { dims, keepDim } = attrsOf(x, options, `take the arg${which}`);
  if (dims.some((dim) => x.shape[dim] === 0) || x.size === 0 && dims.length === x.shape.length) {
    throw new ShapeError(`Cannot take the arg${which} of (${x.shape.join(", ")}): a reduced dimension is empty`);
  }
  const out = empty(x.storage.device, reducedShape(x.shape, dims, keepDim), "int64", `arg${which}`);
  const library = out.storage.device.library;
  const counts = writeReduceLayout(x.shape, x.strides, dims);
  check(
    library.ax_arg_reduce(
      REDUCE[which],
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      x.storage.id,
      x.offset,
      layout,
      counts >> 4,
      counts & 15,
    ),
    "ax_arg_reduce",
    library,
  );
  return out;
}
