/**
 * The extreme values over one dimension, and where they are.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { REDUCE } from "../../ffi/op_ids.ts";
import { dtypeId } from "../core/dtype.ts";
import { layout, writeReduceLayout } from "../core/layout.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { normalizeDim, reducedShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { scatterGradient } from "./gather.ts";
import { reshapeView } from "./raw_view.ts";
import { attrsOf, checkNotEmpty, reduced } from "./reduce.ts";

/** One dimension, and whether it stays as size 1. */
export interface DimOptions {
  /** Negative ones count from the end. */
  dim?: number;
  /** Keep the dimension with size 1. Default false. */
  keepDim?: boolean;
}

/** Values, and their indices (int64) in a dimension. */
export interface ValuesAndIndices {
  /** In the dtype of the input. */
  values: Tensor;
  /** Where each value was along the dimension. */
  indices: Tensor;
}

/** Index (int64) of the first maximum or minimum over one dimension, or over all of them flattened; the first NaN wins. */
export function argReduce(x: Tensor, which: "max" | "min", options: DimOptions = {}): Tensor {
  x.checkLive(`arg${which}`);
  const { dims, keepDim } = attrsOf(x, options, `take the arg${which}`);
  checkNotEmpty(x, dims, `arg${which}`);
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

interface ExtremeAttrs {
  readonly which: "max" | "min";
  readonly dim: number;
  readonly keepDim: boolean;
}

/** The gradient goes to the index that was chosen, as PyTorch's max and min over a dimension. */
const extremeOfDimOp: Op<ExtremeAttrs> = {
  name: "extremeOfDim",
  outputShape: ([x], { dim, keepDim }) => reducedShape(x.shape, x.shape.length === 0 ? [] : [dim], keepDim),
  forward([x, indices], { which, dim }, shape, node) {
    node?.save(indices);
    return reduced(REDUCE[which], x, x.shape.length === 0 ? [] : [dim], shape, which);
  },
  vjp(node, g) {
    const [shape] = node.inputShapes;
    const { dim } = node.attrs;
    const kept = reducedShape(shape, shape.length === 0 ? [] : [dim], true);
    const [gradient, indices] = [g, node.saved[0]].map((each) => reshapeView(each, kept, "grad"));
    return [scatterGradient(gradient, indices, shape, dim), null];
  },
};

/** The largest or smallest values over a dimension and their indices. */
export function extremeOfDim(
  x: Tensor,
  which: "max" | "min",
  options: DimOptions & { dim: number },
): ValuesAndIndices {
  const dim = normalizeDim(options.dim, x.shape.length, `take the ${which}`);
  const indices = argReduce(x, which, options);
  const values = apply(extremeOfDimOp, [x, indices], { which, dim, keepDim: options.keepDim ?? false });
  return { values, indices };
}
