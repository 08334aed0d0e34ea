/**
 * Elements taken and placed by an index tensor of the same number of dimensions.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { type DType, dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { apply, empty, type Op, viewOf } from "../core/op.ts";
import { formatShape, normalizeDim, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { contiguous, copied, copyInto, fillInto } from "./launch.ts";

type NativeName = "ax_gather" | "ax_scatter" | "ax_scatter_add";

function outside(shape: Shape, dim: number): Shape {
  return shape.filter((_, i) => i !== dim);
}

/** The part of a tensor that an index of smaller sizes reaches. */
function reached(x: Tensor, index: Tensor, dim: number): Tensor {
  if (sameShape(outside(x.shape, dim), outside(index.shape, dim))) return x;
  return viewOf(x, index.shape.map((size, i) => i === dim ? x.shape[i] : size), x.strides, x.offset, "gather");
}

/** `out` and `values` have the sizes of the index but for `dim`, and are contiguous. */
function run(name: NativeName, out: Tensor, values: Tensor, index: Tensor, dim: number, size: number): void {
  const library = out.storage.device.library;
  check(
    library[name](
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      values.storage.id,
      values.offset,
      index.storage.id,
      index.offset,
      sizeOf(index.shape.slice(0, dim)),
      size,
      index.shape[dim] ?? 1,
      sizeOf(index.shape.slice(dim + 1)),
    ),
    name,
    library,
  );
}

function checkIndex(x: Tensor, index: Tensor, dim: number, action: string): void {
  if (index.dtype !== "int64" && index.dtype !== "int32") {
    throw new DTypeError(`Cannot ${action} with an index of ${index.dtype}: it must be int64 or int32`);
  }
  if (
    index.shape.length !== x.shape.length ||
    (index.size > 0 && index.shape.some((size, i) => i !== dim && size > x.shape[i]))
  ) {
    throw new ShapeError(
      `Cannot ${action} ${formatShape(x.shape)} with an index of ${
        formatShape(index.shape)
      }: it needs as many dimensions, ` +
        `and no larger sizes but in dimension ${dim}`,
    );
  }
}

/** The values of `source` placed or added at the index, in `x`, which nobody else sees. */
function place(name: "ax_scatter" | "ax_scatter_add", x: Tensor, index: Tensor, source: Tensor, dim: number): void {
  if (index.size === 0) return;
  const part = reached(x, index, dim);
  const target = part.isContiguous ? part : copied(part, "scatter");
  const values = contiguous(reached(source, index, -1));
  run(name, target, values, contiguous(cast(index, "int64")), dim, x.shape[dim] ?? 1);
  if (target !== part) copyInto(part, target);
}

/** What additions are computed in: low precision would lose small ones, and the library adds in three dtypes. */
function sumType(dtype: DType): DType {
  return dtype === "float64" ? dtype : isFloating(dtype) ? "float32" : "int64";
}

/** `x` with the values of `source` added at the index. */
function scatterSum(x: Tensor, index: Tensor, source: Tensor, dim: number): Tensor {
  const dtype = sumType(x.dtype);
  const out = copied(x, "scatterAdd", dtype);
  place("ax_scatter_add", out, index, source.dtype === dtype ? source : copied(source, "scatterAdd", dtype), dim);
  return dtype === x.dtype ? out : copied(out, "scatterAdd", x.dtype);
}

function gathered(x: Tensor, index: Tensor, dim: number): Tensor {
  const out = empty(x.storage.device, index.shape, x.dtype, "gather");
  if (out.size === 0) return out;
  run("ax_gather", out, contiguous(reached(x, index, dim)), contiguous(cast(index, "int64")), dim, x.shape[dim] ?? 1);
  return out;
}

/** The gradient of taking elements: zeros with the gradients added at the index. */
export function scatterGradient(g: Tensor, index: Tensor, shape: Shape, dim: number): Tensor {
  const dtype = sumType(g.dtype);
  const out = fillInto(empty(g.storage.device, shape, dtype, "grad"), 0);
  place("ax_scatter_add", out, index, g.dtype === dtype ? g : copied(g, "grad", dtype), dim);
  return dtype === g.dtype ? out : copied(out, "grad", g.dtype);
}

const gatherOp: Op<number> = {
  name: "gather",
  outputShape([x, index], dim) {
    checkIndex(x, index, dim, "gather from");
    return index.shape;
  },
  forward([x, index], dim, _shape, node) {
    node?.save(index);
    return gathered(x, index, dim);
  },
  vjp: (node, g) => [scatterGradient(g, node.saved[0], node.inputShapes[0], node.attrs), null],
};

/**
 * Elements of `x` at the index: `out[i][j] = x[index[i][j]][j]` for dimension 0.
 *
 * @param index int64 or int32, of as many dimensions, no larger but in `dim`.
 * @throws {NativeError} When an index lies outside the dimension.
 */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  return apply(gatherOp, [x, index], normalizeDim(dim, x.shape.length, "gather"));
}

function checkScatter([x, index, source]: readonly Tensor[], dim: number): Shape {
  checkIndex(x, index, dim, "scatter into");
  if (source.dtype !== x.dtype) {
    throw new DTypeError(`Cannot scatter ${source.dtype} into ${x.dtype}: convert one with .to({ dtype })`);
  }
  if (source.shape.length !== index.shape.length || index.shape.some((size, i) => size > source.shape[i])) {
    throw new ShapeError(
      `Cannot scatter ${formatShape(source.shape)} with an index of ${formatShape(index.shape)}: no size may be larger`,
    );
  }
  return x.shape;
}

/** The gradient of the source: that of the output at the index, and zero where the index does not reach. */
function sourceGradient(g: Tensor, index: Tensor, shape: Shape, dim: number): Tensor {
  const part = gathered(g, index, dim);
  if (sameShape(part.shape, shape)) return part;
  const out = fillInto(empty(g.storage.device, shape, g.dtype, "grad"), 0);
  copyInto(viewOf(out, part.shape, out.strides, 0, "grad"), part);
  return out;
}

const scatterAddOp: Op<number> = {
  name: "scatterAdd",
  outputShape: checkScatter,
  forward([x, index, source], dim, _shape, node) {
    node?.save(index);
    return scatterSum(x, index, source, dim);
  },
  vjp: (node, g) => [
    g,
    null,
    node.needs(2) ? sourceGradient(g, node.saved[0], node.inputShapes[2], node.attrs) : null,
  ],
};

/**
 * `x` with the elements of `source` added at the index: `out[index[i][j]][j] += source[i][j]` for dimension 0. Sums in the order of
 * the index, so the result is the same in every run.
 */
export function scatterAdd(x: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  return apply(scatterAddOp, [x, index, source], normalizeDim(dim, x.shape.length, "scatter"));
}

const scatterOp: Op<number> = {
  name: "scatter",
  outputShape: checkScatter,
  forward([x, index, source], dim, _shape, node) {
    node?.save(index);
    const out = copied(x, "scatter");
    place("ax_scatter", out, index, source, dim);
    return out;
  },
  vjp(node, g) {
    const [index] = node.saved;
    const dim = node.attrs;
    let kept: Tensor | null = null;
    if (node.needs(0)) {
      kept = copied(g, "grad");
      const zeros = fillInto(empty(g.storage.device, index.shape, g.dtype, "grad"), 0);
      place("ax_scatter", kept, index, zeros, dim);
    }
    return [kept, null, node.needs(2) ? sourceGradient(g, index, node.inputShapes[2], dim) : null];
  },
};

/** `x` with the elements of `source` in place of those at the index; of several for one place the last stays. */
export function scatter(x: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  return apply(scatterOp, [x, index, source], normalizeDim(dim, x.shape.length, "scatter"));
}
