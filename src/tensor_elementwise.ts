/**
 * The elementwise methods of a tensor: arithmetic, comparisons, and their twins in place.
 *
 * @module
 */
import { BINARY, UNARY } from "../ffi/op_ids.ts";
import { isFloating } from "./core/dtype.ts";
import { ReleasedError } from "./core/errors.ts";
import { empty, isGradEnabled } from "./core/op.ts";
import { applyBinary, applyCompare, type BinaryName } from "./ops/binary.ts";
import { cast, toDevice } from "./ops/copy.ts";
import { binaryInto, copyInto, fillInto, unaryInto } from "./ops/launch.ts";
import { applyUnary } from "./ops/unary.ts";
import * as views from "./ops/view.ts";
import type { Tensor } from "./tensor.ts";
import { TensorViews } from "./tensor_views.ts";

/** A tensor or a number where either is accepted. */
export type Operand = Tensor | number;

/** Arithmetic, comparisons, and changes in place. */
export abstract class TensorElementwise extends TensorViews {
  // Arithmetic. A number keeps the tensor's dtype, unless a fraction meets an integer tensor.

  #binary(name: BinaryName, other: Tensor, alpha = 1): Tensor {
    return applyBinary(name, this.self, other, alpha);
  }

  /** `this + alpha * other`. */
  add(other: Operand, { alpha = 1 }: { alpha?: number } = {}): Tensor {
    if (typeof other === "number") return applyUnary("addScalar", this.self, { alpha: other * alpha, beta: 0 });
    return this.#binary("add", other, alpha);
  }
  /** `this - alpha * other`. */
  sub(other: Operand, { alpha = 1 }: { alpha?: number } = {}): Tensor {
    if (typeof other === "number") return applyUnary("addScalar", this.self, { alpha: -other * alpha, beta: 0 });
    return this.#binary("sub", other, alpha);
  }
  /** Product, elementwise. */
  mul(other: Operand): Tensor {
    if (typeof other === "number") return applyUnary("mulScalar", this.self, { alpha: other, beta: 0 });
    return this.#binary("mul", other);
  }
  /** Quotient, elementwise; integers give float32. */
  div(other: Operand): Tensor {
    if (typeof other === "number") return applyUnary("divScalar", this.self, { alpha: other, beta: 0 });
    return this.#binary("div", other);
  }
  /** Power, elementwise. */
  pow(exponent: Operand): Tensor {
    // PyTorch computes these two by other functions, which differ for infinities.
    if (exponent === 2) return applyUnary("square", this.self);
    if (exponent === 0.5) return applyUnary("sqrt", this.self);
    if (typeof exponent === "number") return applyUnary("powScalar", this.self, { alpha: exponent, beta: 0 });
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
    return applyUnary("neg", this.self);
  }
  abs(): Tensor {
    return applyUnary("abs", this.self);
  }
  square(): Tensor {
    return applyUnary("square", this.self);
  }
  exp(): Tensor {
    return applyUnary("exp", this.self);
  }
  log(): Tensor {
    return applyUnary("log", this.self);
  }
  sqrt(): Tensor {
    return applyUnary("sqrt", this.self);
  }
  rsqrt(): Tensor {
    return applyUnary("rsqrt", this.self);
  }
  tanh(): Tensor {
    return applyUnary("tanh", this.self);
  }
  sigmoid(): Tensor {
    return applyUnary("sigmoid", this.self);
  }
  relu(): Tensor {
    return applyUnary("relu", this.self);
  }
  /** GELU, exact or by the tanh approximation. */
  gelu({ approximate = "none" }: { approximate?: "none" | "tanh" } = {}): Tensor {
    return applyUnary(approximate === "tanh" ? "geluTanh" : "gelu", this.self);
  }
  silu(): Tensor {
    return applyUnary("silu", this.self);
  }
  /** Values below `min` become `min`, values above `max` become `max`. */
  clamp({ min = -Infinity, max = Infinity }: { min?: number; max?: number }): Tensor {
    return applyUnary("clamp", this.self, { alpha: min, beta: max });
  }

  #compare(name: Parameters<typeof applyCompare>[0], other: Operand): Tensor {
    if (typeof other !== "number") return applyCompare(name, this.self, other);
    const dtype = isFloating(this.dtype) || !Number.isInteger(other)
      ? (isFloating(this.dtype) ? this.dtype : "float32")
      : "int64";
    return applyCompare(name, this.self, fillInto(empty(this.storage.device, [], dtype, name), other));
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
    if (typeof other === "number") unaryInto(this.self, UNARY.add_scalar, this.self, other * alpha);
    else binaryInto(this.self, BINARY.add, this.self, this.#operand(other), alpha);
    return this;
  }
  sub_(other: Operand, { alpha = 1 }: { alpha?: number } = {}): this {
    return this.add_(other, { alpha: -alpha });
  }
  mul_(other: Operand): this {
    this.#inPlace("mul_");
    if (typeof other === "number") unaryInto(this.self, UNARY.mul_scalar, this.self, other);
    else binaryInto(this.self, BINARY.mul, this.self, this.#operand(other));
    return this;
  }
  zero_(): this {
    return this.fill_(0);
  }
  fill_(value: number): this {
    this.#inPlace("fill_");
    if (this.isContiguous) fillInto(this.self, value);
    else copyInto(this.self, fillInto(empty(this.storage.device, [], this.dtype, "fill_"), value));
    return this;
  }
  copy_(source: Tensor): this {
    this.#inPlace("copy_");
    source.checkLive("copy_");
    copyInto(this.self, toDevice(views.expand(source, this.shape), this.storage.device));
    return this;
  }
  #operand(other: Tensor): Tensor {
    other.checkLive("an in-place operation");
    return views.expand(cast(other, this.dtype), this.shape);
  }
}
