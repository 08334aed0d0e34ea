/**
 * Softmax, its logarithm, and the logarithm of the sum of exponentials.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { BINARY, UNARY } from "../../ffi/op_ids.ts";
import { dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { normalizeDim, normalizeDims, reducedShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { binary, binaryInto, contiguous, unaryInto } from "./launch.ts";
import { expandView, reshapeView } from "./raw_view.ts";
import { permute, reshape } from "./view.ts";

interface SoftmaxAttrs {
  readonly kind: number;
  /** Counted from 0. */
  readonly dim: number;
}

/** Product of the sizes of the dimensions in [from, to). */
function product(shape: Shape, from: number, to: number): number {
  let size = 1;
  for (let i = from; i < to; i++) size *= shape[i];
  return size;
}

/** Size of a dimension; of a scalar it is 1. */
function sizeAt(shape: Shape, dim: number): number {
  return shape.length === 0 ? 1 : shape[dim];
}

function forwardInto(out: Tensor, x: Tensor, { kind, dim }: SoftmaxAttrs): Tensor {
  const library = out.storage.device.library;
  const shape = x.shape;
  check(
    library.ax_softmax_forward(
      kind,
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      x.storage.id,
      x.offset,
      product(shape, 0, dim),
      sizeAt(shape, dim),
      product(shape, dim + 1, shape.length),
    ),
    "ax_softmax_forward",
    library,
  );
  return out;
}

function checkDtype(x: Tensor, name: string): void {
  if (!isFloating(x.dtype)) {
    throw new DTypeError(`Cannot take the ${name} of ${x.dtype}: convert it with .to({ dtype: "float32" }) first`);
  }
}

function softmaxOp(name: "softmax" | "logSoftmax"): Op<SoftmaxAttrs> {
  return {
    name,
    outputShape([x]) {
      checkDtype(x, name);
      return x.shape;
    },
    forward([x], attrs, shape, node) {
      const out = forwardInto(empty(x.storage.device, shape, x.dtype, name), contiguous(x), attrs);
      node?.save(out);
      return out;
    },
    vjp({ attrs: { kind, dim }, saved: [y] }, gradient) {
      const g = contiguous(gradient);
      const out = empty(y.storage.device, y.shape, y.dtype, "grad");
      const library = out.storage.device.library;
      check(
        library.ax_softmax_backward(
          kind,
          dtypeId(y.dtype),
          out.storage.id,
          out.offset,
          g.storage.id,
          g.offset,
          y.storage.id,
          y.offset,
          product(y.shape, 0, dim),
          sizeAt(y.shape, dim),
          product(y.shape, dim + 1, y.shape.length),
        ),
        "ax_softmax_backward",
        library,
      );
      return [out];
    },
  };
}

const plainOp = softmaxOp("softmax");
const logOp = softmaxOp("logSoftmax");

const logSumExpOp: Op<SoftmaxAttrs> = {
  name: "logsumexp",
  outputShape: ([x], { dim }) => reducedShape(x.shape, [dim], false),
  forward([x], attrs, shape, node) {
    const out = forwardInto(empty(x.storage.device, shape, x.dtype, "logsumexp"), contiguous(x), attrs);
    node?.save(x, out);
    return out;
  },
  // The gradient of each element is its share of the sum.
  vjp({ attrs: { dim }, saved: [x, y] }, g) {
    const kept = reducedShape(x.shape, [dim], true);
    const spread = (t: Tensor): Tensor => expandView(reshapeView(t, kept, "grad"), x.shape, "grad");
    const out = binary(BINARY.sub, x, spread(y), x.shape, "grad");
    return [binaryInto(out, BINARY.mul, unaryInto(out, UNARY.exp, out), spread(g))];
  },
};

/** exp(x) / sum(exp(x)) over one dimension. */
export function softmax(x: Tensor, dim: number): Tensor {
  return apply(plainOp, [x], { kind: AX.SOFTMAX, dim: normalizeDim(dim, x.shape.length, "take the softmax") });
}

/** x - log(sum(exp(x))) over one dimension. */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  return apply(logOp, [x], { kind: AX.LOG_SOFTMAX, dim: normalizeDim(dim, x.shape.length, "take the logSoftmax") });
}

/** log(sum(exp(x))) over dimensions. */
export function logSumExp(
  x: Tensor,
  { dim, keepDim = false }: { dim?: number | readonly number[]; keepDim?: boolean } = {},
): Tensor {
  const dims = normalizeDims(dim, x.shape.length, "take the logsumexp");
  const input = isFloating(x.dtype) ? x : cast(x, "float32");
  if (dims.length === 1 && !keepDim) return apply(logSumExpOp, [input], { kind: AX.LOGSUMEXP, dim: dims[0] });
  // Several dimensions become the last one.
  const kept = x.shape.map((_, i) => i).filter((i) => !dims.includes(i));
  const rows = reshape(permute(input, [...kept, ...dims]), [
    sizeOf(kept.map((i) => x.shape[i])),
    sizeOf(dims.map((i) => x.shape[i])),
  ]);
  return reshape(apply(logSumExpOp, [rows], { kind: AX.LOGSUMEXP, dim: 1 }), reducedShape(x.shape, dims, keepDim));
}
