/**
 * Taking slices of a dimension by an index tensor; with dimension 0 this is an embedding.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { dtypeId } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape, normalizeDim, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous, copied, fillInto } from "./launch.ts";

function selectedShape(x: Tensor, index: Tensor, dim: number): Shape {
  return [...x.shape.slice(0, dim), ...index.shape, ...x.shape.slice(dim + 1)];
}

const indexSelectOp: Op<number> = {
  name: "indexSelect",
  outputShape([x, index], dim) {
    if (index.dtype !== "int32" && index.dtype !== "int64") {
      throw new DTypeError(`Cannot index with ${index.dtype}: the index must be int32 or int64`);
    }
    if (x.shape.length === 0) throw new ShapeError(`Cannot index ${formatShape(x.shape)}: it has no dimension`);
    return selectedShape(x, index, dim);
  },
  forward([x, index], dim, shape, node) {
    const source = contiguous(x);
    const indices = contiguous(index);
    const out = empty(x.storage.device, shape, x.dtype, "indexSelect");
    const library = out.storage.device.library;
    check(
      library.ax_index_select(
        dtypeId(x.dtype),
        dtypeId(index.dtype),
        out.storage.id,
        out.offset,
        source.storage.id,
        source.offset,
        indices.storage.id,
        indices.offset,
        sizeOf(x.shape.slice(0, dim)),
        x.shape[dim],
        indices.size,
        sizeOf(x.shape.slice(dim + 1)),
      ),
      "ax_index_select",
      library,
    );
    node?.save(indices);
    return out;
  },
  vjp(node, gradient) {
    const [index] = node.saved;
    const shape = node.inputShapes[0];
    const dim = node.attrs;
    // 16-bit gradients are added in float32 and rounded once.
    const { dtype } = gradient;
    const isNarrow = dtype === "bfloat16" || dtype === "float16";
    const g = isNarrow ? copied(gradient, "grad", "float32") : contiguous(gradient);
    const out = fillInto(empty(g.storage.device, shape, g.dtype, "grad"), 0);
    const library = out.storage.device.library;
    check(
      library.ax_index_add(
        dtypeId(g.dtype),
        dtypeId(index.dtype),
        out.storage.id,
        out.offset,
        g.storage.id,
        g.offset,
        index.storage.id,
        index.offset,
        sizeOf(shape.slice(0, dim)),
        shape[dim],
        index.size,
        sizeOf(shape.slice(dim + 1)),
      ),
      "ax_index_add",
      library,
    );
    return [isNarrow ? copied(out, "grad", dtype) : out, null];
  },
};

/**
 * The slices of dimension `dim` that `index` names; an index of more dimensions replaces `dim` by all of them.
 *
 * @throws {NativeError} When an index lies outside the dimension.
 */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  return apply(indexSelectOp, [x, index], normalizeDim(dim, x.shape.length, "index"));
}
