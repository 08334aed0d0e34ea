/**
 * The tensor: a typed, strided window on a storage, with PyTorch's methods in camelCase. Methods are thin: the operations are in
 * `ops/`.
 *
 * @module
 */
import { BINARY, UNARY } from "../ffi/op_ids.ts";
import { backward } from "./autograd.ts";
import { type Device, device as findDevice, type DeviceName } from "./core/device.ts";
import { type DType, type HostArray, hostArray, isFloating } from "./core/dtype.ts";
import { DTypeError, ReleasedError, ShapeError } from "./core/errors.ts";
import { empty, isGradEnabled, registerTensor, viewOf } from "./core/op.ts";
import { ScalarStorage } from "./core/scalar_slab.ts";
import { formatShape, sameShape, type Shape, sizeOf } from "./core/shape.ts";
import { formatTensor } from "./format.ts";
import { applyBinary, applyCompare, type BinaryName } from "./ops/binary.ts";
import { cast, clone, contiguousOf, readBytes, toDevice } from "./ops/copy.ts";
import { indexSelect } from "./ops/index_select.ts";
import { binaryInto, copyInto, fillInto, unaryInto } from "./ops/launch.ts";
import { matmul } from "./ops/matmul.ts";
import { argReduce, max, mean, min, type ReduceOptions, sum } from "./ops/reduce.ts";
import { applyUnary } from "./ops/unary.ts";
import * as views from "./ops/view.ts";
import { TensorBase } from "./tensor_base.ts";

/** A tensor or a number where either is accepted. */
export type Operand = Tensor | number;

/** Nested arrays of numbers, as `toArray` returns them. */
export type NestedArray = number | NestedArray[];

/** An n-dimensional array on a device. */
export class Tensor extends TensorBase {
  /** Sets whether gradients are computed. */
  requiresGrad_(value = true): this {
    if (value && !isFloating(this.dtype)) {
      throw new DTypeError(`Cannot require a gradient of ${this.dtype}: only floating tensors have one`);
    }
    if (this.node !== null) throw new ReleasedError("Cannot change requiresGrad of a result: use detach() first");
    this.requiresGrad = value;
    return this;
  }

  /** Adds the gradients of this tensor to the `grad` of every leaf it depends on. */
  backward(gradient?: Tensor): void {
    this.checkLive("backward");
    backward(this, gradient);
  }

  /** A view without history. */
  detach(): Tensor {
    this.checkLive("detach");
    return viewOf(this, this.shape, this.strides, this.offset, "detach");
  }

  /** The value of a tensor of one element; int64 as a number. */
  item(): number {
    this.checkLive("item");
    if (this.size !== 1) {
      throw new ShapeError(`Cannot take the item of ${formatShape(this.shape)}: it must have one element`);
    }
    if (this.dtype === "bfloat16") return cast(this, "float32").item();
    const host = this.storage instanceof ScalarStorage ? this.storage.host : undefined;
    const array = host === undefined || this.shape.length > 0
      ? hostArray(this.dtype, readBytes(this))
      : hostArray(this.dtype, host, (this.storage as ScalarStorage).byteOffset, 1);
    return Number(array[0]);
  }

  /** A copy of the elements in row-major order. */
  data(): HostArray {
    this.checkLive("data");
    return hostArray(this.dtype, readBytes(this));
  }

  /** A copy of the elements as nested arrays. */
  toArray(): NestedArray {
    const flat = this.dtype === "bfloat16" ? cast(this, "float32").data() : this.data();
    let at = 0;
    const build = (dim: number): NestedArray => {
      if (dim === this.shape.length) return Number(flat[at++]);
      return Array.from({ length: this.shape[dim] }, () => build(dim + 1));
    };
    return build(0);
  }

  /** The tensor on another device, or in another dtype; itself when nothing changes. */
  to({ device, dtype }: { device?: DeviceName | Device; dtype?: DType }): Tensor {
    this.checkLive("to");
    const typed = dtype === undefined ? this : cast(this, dtype);
    return device === undefined ? typed : toDevice(typed, findDevice(device));
  }

  /** A copy with memory of its own; gradients flow through it. */
  clone(): Tensor {
    return clone(this);
  }

  /** The tensor itself when it is contiguous, else a contiguous copy. */
  contiguous(): Tensor {
    return contiguousOf(this);
  }

  // Arithmetic. A number keeps the tensor's dtype, unless a fraction meets an integer tensor.

  #binary(name: BinaryName, other: Tensor, alpha = 1): Tensor {
    return applyBinary(name, this, other, alpha);
  }

  /** `this + alpha * other`. */
  add(other: Operand, { alpha = 1 }: { alpha?: number } = {}): Tensor {
    if (typeof other === "number") return applyUnary("addScalar", this, { alpha: other * alpha, beta: 0 });
    return this.#binary("add", other, alpha);
  }
  /** `this - alpha * other`. */
  sub(other: Operand, { alpha = 1 }: { alpha?: number } = {}): Tensor {
    if (typeof other === "number") return applyUnary("addScalar", this, { alpha: -other * alpha, beta: 0 });
    return this.#binary("sub", other, alpha);
  }
  /** Product, elementwise. */
  mul(other: Operand): Tensor {
    if (typeof other === "number") return applyUnary("mulScalar", this, { alpha: other, beta: 0 });
    return this.#binary("mul", other);
  }
  /** Quotient, elementwise; integers give float32. */
  div(other: Operand): Tensor {
    if (typeof other === "number") return applyUnary("divScalar", this, { alpha: other, beta: 0 });
    return this.#binary("div", other);
  }
  /** Power, elementwise. */
  pow(exponent: Operand): Tensor {
    if (typeof exponent === "number") return applyUnary("powScalar", this, { alpha: exponent, beta: 0 });
    return this.#binary("pow", exponent);
  }
  /** The larger of two, elementwise. */
  maximum(other: Tensor): Tensor {
    return this.#binary("maximum", other);
  }
  /** The smaller of two, elementwise. */
  minimum(other: Tensor): Tensor {
    return this.#binary("minimum", other);
  }
  neg(): Tensor {
    return applyUnary("neg", this);
  }
  abs(): Tensor {
    return applyUnary("abs", this);
  }
  square(): Tensor {
    return applyUnary("square", this);
  }
  exp(): Tensor {
    return applyUnary("exp", this);
  }
  log(): Tensor {
    return applyUnary("log", this);
  }
  sqrt(): Tensor {
    return applyUnary("sqrt", this);
  }
  rsqrt(): Tensor {
    return applyUnary("rsqrt", this);
  }
  tanh(): Tensor {
    return applyUnary("tanh", this);
  }
  sigmoid(): Tensor {
    return applyUnary("sigmoid", this);
  }
  relu(): Tensor {
    return applyUnary("relu", this);
  }
  /** GELU, exact or by the tanh approximation. */
  gelu({ approximate = "none" }: { approximate?: "none" | "tanh" } = {}): Tensor {
    return applyUnary(approximate === "tanh" ? "geluTanh" : "gelu", this);
  }
  silu(): Tensor {
    return applyUnary("silu", this);
  }
  /** Values below `min` become `min`, values above `max` become `max`. */
  clamp({ min = -Infinity, max = Infinity }: { min?: number; max?: number }): Tensor {
    return applyUnary("clamp", this, { alpha: min, beta: max });
  }

  #compare(name: Parameters<typeof applyCompare>[0], other: Operand): Tensor {
    if (typeof other !== "number") return applyCompare(name, this, other);
    const dtype = isFloating(this.dtype) || !Number.isInteger(other)
      ? (isFloating(this.dtype) ? this.dtype : "float32")
      : "int64";
    return applyCompare(name, this, fillInto(empty(this.storage.device, [], dtype, name), other));
  }
  eq(other: Operand): Tensor {
    return this.#compare("eq", other);
  }
  ne(other: Operand): Tensor {
    return this.#compare("ne", other);
  }
  lt(other: Operand): Tensor {
    return this.#compare("lt", other);
  }
  le(other: Operand): Tensor {
    return this.#compare("le", other);
  }
  gt(other: Operand): Tensor {
    return this.#compare("gt", other);
  }
  ge(other: Operand): Tensor {
    return this.#compare("ge", other);
  }

  // In place. Autograd keeps no versions yet, so these are refused where a gradient flows.

  #inPlace(name: string): void {
    this.checkLive(name);
    if (this.requiresGrad && isGradEnabled()) {
      throw new ReleasedError(
        `Cannot change a tensor that requires a gradient in place with ${name}: do it inside noGrad()`,
      );
    }
  }
  add_(other: Operand, { alpha = 1 }: { alpha?: number } = {}): this {
    this.#inPlace("add_");
    if (typeof other === "number") unaryInto(this, UNARY.add_scalar, this, other * alpha);
    else binaryInto(this, BINARY.add, this, this.#operand(other), alpha);
    return this;
  }
  sub_(other: Operand, { alpha = 1 }: { alpha?: number } = {}): this {
    return this.add_(other, { alpha: -alpha });
  }
  mul_(other: Operand): this {
    this.#inPlace("mul_");
    if (typeof other === "number") unaryInto(this, UNARY.mul_scalar, this, other);
    else binaryInto(this, BINARY.mul, this, this.#operand(other));
    return this;
  }
  zero_(): this {
    return this.fill_(0);
  }
  fill_(value: number): this {
    this.#inPlace("fill_");
    if (this.isContiguous) fillInto(this, value);
    else copyInto(this, fillInto(empty(this.storage.device, [], this.dtype, "fill_"), value));
    return this;
  }
  copy_(source: Tensor): this {
    this.#inPlace("copy_");
    source.checkLive("copy_");
    copyInto(this, toDevice(views.expand(source, this.shape), this.storage.device));
    return this;
  }
  #operand(other: Tensor): Tensor {
    other.checkLive("an in-place operation");
    return views.expand(cast(other, this.dtype), this.shape);
  }

  // Products and reductions.

  matmul(other: Tensor): Tensor {
    return matmul(this, other);
  }
  sum(options?: ReduceOptions): Tensor {
    return sum(this, options);
  }
  mean(options?: ReduceOptions): Tensor {
    return mean(this, options);
  }
  /** Variance; `unbiased` divides by n - 1. */
  var({ dim, keepDim = false, unbiased = true }: ReduceOptions & { unbiased?: boolean } = {}): Tensor {
    const dims = dim === undefined ? {} : { dim };
    const centred = this.sub(mean(this, { ...dims, keepDim: true }));
    const total = sum(centred.square(), { ...dims, keepDim });
    return total.div(this.size / Math.max(total.size, 1) - (unbiased ? 1 : 0));
  }
  max(options: ReduceOptions & { dim: number }): { values: Tensor; indices: Tensor };
  max(): Tensor;
  max(options?: ReduceOptions & { dim: number }): Tensor | { values: Tensor; indices: Tensor } {
    return options === undefined ? max(this) : { values: max(this, options), indices: argReduce(this, "max", options) };
  }
  min(options: ReduceOptions & { dim: number }): { values: Tensor; indices: Tensor };
  min(): Tensor;
  min(options?: ReduceOptions & { dim: number }): Tensor | { values: Tensor; indices: Tensor } {
    return options === undefined ? min(this) : { values: min(this, options), indices: argReduce(this, "min", options) };
  }
  argmax(options?: { dim?: number; keepDim?: boolean }): Tensor {
    return argReduce(this, "max", options);
  }
  argmin(options?: { dim?: number; keepDim?: boolean }): Tensor {
    return argReduce(this, "min", options);
  }

  // Views.

  reshape(shape: Shape): Tensor {
    return views.reshape(this, shape);
  }
  view(shape: Shape): Tensor {
    return views.view(this, shape);
  }
  transpose(dim0: number, dim1: number): Tensor {
    return views.transpose(this, dim0, dim1);
  }
  permute(dims: readonly number[]): Tensor {
    return views.permute(this, dims);
  }
  flatten(startDim = 0, endDim = -1): Tensor {
    const from = startDim < 0 ? startDim + this.shape.length : startDim;
    const to = endDim < 0 ? endDim + this.shape.length : endDim;
    const merged = sizeOf(this.shape.slice(from, to + 1));
    return this.reshape([...this.shape.slice(0, from), merged, ...this.shape.slice(to + 1)]);
  }
  unsqueeze(dim: number): Tensor {
    return views.unsqueeze(this, dim);
  }
  squeeze(dim?: number): Tensor {
    return views.squeeze(this, dim);
  }
  expand(shape: Shape): Tensor {
    return views.expand(this, shape);
  }
  narrow(dim: number, start: number, length: number): Tensor {
    return views.narrow(this, dim, start, length);
  }
  slice(options: views.SliceOptions): Tensor {
    return views.slice(this, options);
  }
  select(dim: number, index: number): Tensor {
    return views.selectIndex(this, dim, index);
  }
  indexSelect(dim: number, index: Tensor): Tensor {
    return indexSelect(this, dim, index);
  }

  /** The elements as PyTorch prints them; of large tensors the ends only. */
  override toString(): string {
    return this.isReleased ? `tensor(released, shape=${formatShape(this.shape)})` : formatTensor(this);
  }

  /** What console.log shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** Whether all elements are close: |a - b| <= atol + rtol |b|. NaN is close to nothing. */
  allClose(other: Tensor, { rtol = 1e-5, atol = 1e-8 }: { rtol?: number; atol?: number } = {}): boolean {
    if (!sameShape(this.shape, other.shape)) return false;
    const a = this.data();
    const b = other.data();
    for (let i = 0; i < a.length; i++) {
      const x = Number(a[i]);
      const y = Number(b[i]);
      if (!(x === y || Math.abs(x - y) <= atol + rtol * Math.abs(y))) return false;
    }
    return true;
  }
}

registerTensor((storage, shape, strides, offset, dtype, origin) =>
  new Tensor(storage, shape, strides, offset, dtype, origin)
);
