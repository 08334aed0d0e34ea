/**
 * Elementwise calls of the native library without recording: what forward functions and derivatives are made of. Each native
 * function has one call site here, which V8 can optimise.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { UNARY } from "../../ffi/op_ids.ts";
import { type DType, dtypeId } from "../core/dtype.ts";
import { layout, writeLayout } from "../core/layout.ts";
import { empty } from "../core/op.ts";
import { broadcastStrides, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";

/** Runs a unary operation of common/math.h into `out`, which has x's shape and dtype. */
export function unaryInto(out: Tensor, op: number, x: Tensor, alpha = 0, beta = 0): Tensor {
  const library = out.storage.device.library;
  let ndim = 0;
  if (!x.isContiguous || !out.isContiguous) ndim = writeLayout(x.shape, [out.strides, x.strides]);
  check(
    library.ax_unary(
      op,
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      x.storage.id,
      x.offset,
      x.size,
      layout,
      ndim,
      alpha,
      beta,
    ),
    "ax_unary",
    library,
  );
  return out;
}

/** A unary operation into a new tensor. */
export function unary(op: number, x: Tensor, origin: string, alpha = 0, beta = 0): Tensor {
  return unaryInto(empty(x.storage.device, x.shape, x.dtype, origin), op, x, alpha, beta);
}

/** Multiplies by a number. */
export function scaled(x: Tensor, factor: number): Tensor {
  return unary(UNARY.mul_scalar, x, "mul", factor);
}

/** Runs a binary operation of common/math.h into `out`, which may be one of the operands. */
export function binaryInto(out: Tensor, op: number, a: Tensor, b: Tensor, alpha = 1, beta = 0): Tensor {
  const library = out.storage.device.library;
  const shape = out.shape;
  let ndim = 0;
  if (a.size !== out.size || b.size !== out.size || !a.isContiguous || !b.isContiguous || !out.isContiguous) {
    ndim = writeLayout(shape, [
      out.strides,
      broadcastStrides(a.shape, a.strides, shape),
      broadcastStrides(b.shape, b.strides, shape),
    ]);
  }
  check(
    library.ax_binary(
      op,
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      a.storage.id,
      a.offset,
      b.storage.id,
      b.offset,
      out.size,
      layout,
      ndim,
      alpha,
      beta,
    ),
    "ax_binary",
    library,
  );
  return out;
}

/** A binary operation into a new tensor of the broadcast shape. */
export function binary(op: number, a: Tensor, b: Tensor, shape: Shape, origin: string, alpha = 1, beta = 0): Tensor {
  return binaryInto(empty(a.storage.device, shape, a.dtype, origin), op, a, b, alpha, beta);
}

/** A comparison into a new bool tensor of the broadcast shape. */
export function compare(op: number, a: Tensor, b: Tensor, shape: Shape, origin: string): Tensor {
  const out = empty(a.storage.device, shape, "bool", origin);
  const library = out.storage.device.library;
  let ndim = 0;
  if (a.size !== out.size || b.size !== out.size || !a.isContiguous || !b.isContiguous) {
    ndim = writeLayout(shape, [
      out.strides,
      broadcastStrides(a.shape, a.strides, shape),
      broadcastStrides(b.shape, b.strides, shape),
    ]);
  }
  check(
    library.ax_compare(
      op,
      dtypeId(a.dtype),
      out.storage.id,
      out.offset,
      a.storage.id,
      a.offset,
      b.storage.id,
      b.offset,
      out.size,
      layout,
      ndim,
    ),
    "ax_compare",
    library,
  );
  return out;
}

/** `condition ? a : b` into a new tensor. */
export function select(condition: Tensor, a: Tensor, b: Tensor, shape: Shape, origin: string): Tensor {
  const out = empty(a.storage.device, shape, a.dtype, origin);
  const library = out.storage.device.library;
  const ndim = writeLayout(shape, [
    out.strides,
    broadcastStrides(condition.shape, condition.strides, shape),
    broadcastStrides(a.shape, a.strides, shape),
    broadcastStrides(b.shape, b.strides, shape),
  ]);
  check(
    library.ax_where(
      dtypeId(a.dtype),
      out.storage.id,
      out.offset,
      condition.storage.id,
      condition.offset,
      a.storage.id,
      a.offset,
      b.storage.id,
      b.offset,
      out.size,
      layout,
      ndim,
    ),
    "ax_where",
    library,
  );
  return out;
}

/** Copies elements, converting the dtype where it differs; shapes must be equal or `x` broadcast to `out`. */
export function copyInto(out: Tensor, x: Tensor): Tensor {
  const library = out.storage.device.library;
  let ndim = 0;
  if (x.size !== out.size || !x.isContiguous || !out.isContiguous) {
    ndim = writeLayout(out.shape, [out.strides, broadcastStrides(x.shape, x.strides, out.shape)]);
  }
  check(
    library.ax_copy(
      dtypeId(out.dtype),
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      x.storage.id,
      x.offset,
      out.size,
      layout,
      ndim,
    ),
    "ax_copy",
    library,
  );
  return out;
}

/** A contiguous copy, optionally of another dtype. */
export function copied(x: Tensor, origin: string, dtype: DType = x.dtype): Tensor {
  return copyInto(empty(x.storage.device, x.shape, dtype, origin), x);
}

/** The tensor itself when it is contiguous, else a contiguous copy. */
export function contiguous(x: Tensor): Tensor {
  return x.isContiguous ? x : copied(x, "contiguous");
}

/** Sets every element of a contiguous tensor. */
export function fillInto(out: Tensor, value: number): Tensor {
  const library = out.storage.device.library;
  check(
    library.ax_fill(dtypeId(out.dtype), out.storage.id, out.offset, out.size, value),
    "ax_fill",
    library,
  );
  return out;
}

/** A new tensor of one value. */
export function filled(like: Tensor, shape: Shape, value: number, origin: string, dtype: DType = like.dtype): Tensor {
  return fillInto(empty(like.storage.device, shape, dtype, origin), value);
}
