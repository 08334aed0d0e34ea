/**
 * The methods of a tensor that change it in place. The rules are in ops/in_place.ts.
 *
 * @module
 */
import type { UnaryAttrs, UnaryName } from "./ops/unary.ts";
import { binaryInPlace, copyInPlace, fillInPlace, maskedFillInPlace, unaryInPlace } from "./ops/in_place.ts";
import type { Tensor } from "./tensor.ts";
import type { Operand } from "./tensor_elementwise.ts";
import { TensorReductions } from "./tensor_reductions.ts";

// Not a private method: that would cost every tensor that is made a brand.
function unary<T extends TensorInPlace>(x: T, op: UnaryName, name: string, attrs?: UnaryAttrs): T {
  unaryInPlace(x as unknown as Tensor, op, name, attrs);
  return x;
}

/**
 * Changes in place: each gives the values and the dtype rules of the method without the underscore, except that the tensor keeps
 * its shape and dtype. Gradients flow through them.
 */
export abstract class TensorInPlace extends TensorReductions {
  /** `this + alpha * other`, in place. */
  add_(other: Operand, { alpha = 1 }: { alpha?: number } = {}): this {
    if (typeof other === "number") return unary(this, "addScalar", "add_", { alpha: other * alpha, beta: 0 });
    binaryInPlace(this.self, "add", other, "add_", alpha);
    return this;
  }
  /** `this - alpha * other`, in place. */
  sub_(other: Operand, { alpha = 1 }: { alpha?: number } = {}): this {
    if (typeof other === "number") return unary(this, "addScalar", "sub_", { alpha: -other * alpha, beta: 0 });
    binaryInPlace(this.self, "sub", other, "sub_", alpha);
    return this;
  }
  /** Product, in place. */
  mul_(other: Operand): this {
    if (typeof other === "number") return unary(this, "mulScalar", "mul_", { alpha: other, beta: 0 });
    binaryInPlace(this.self, "mul", other, "mul_");
    return this;
  }
  /** Quotient, in place; refused for integers, whose quotient is floating. */
  div_(other: Operand): this {
    if (typeof other === "number") return unary(this, "divScalar", "div_", { alpha: other, beta: 0 });
    binaryInPlace(this.self, "div", other, "div_");
    return this;
  }
  /** Power, in place. */
  pow_(exponent: Operand): this {
    if (typeof exponent === "number") return unary(this, "powScalar", "pow_", { alpha: exponent, beta: 0 });
    binaryInPlace(this.self, "pow", exponent, "pow_");
    return this;
  }
  /** Values below `min` become `min`, values above `max` become `max`. */
  clamp_({ min = -Infinity, max = Infinity }: { min?: number; max?: number }): this {
    return unary(this, "clamp", "clamp_", { alpha: min, beta: max });
  }
  neg_(): this {
    return unary(this, "neg", "neg_");
  }
  abs_(): this {
    return unary(this, "abs", "abs_");
  }
  sign_(): this {
    return unary(this, "sign", "sign_");
  }
  square_(): this {
    return unary(this, "square", "square_");
  }
  exp_(): this {
    return unary(this, "exp", "exp_");
  }
  expm1_(): this {
    return unary(this, "expm1", "expm1_");
  }
  log_(): this {
    return unary(this, "log", "log_");
  }
  log1p_(): this {
    return unary(this, "log1p", "log1p_");
  }
  sqrt_(): this {
    return unary(this, "sqrt", "sqrt_");
  }
  rsqrt_(): this {
    return unary(this, "rsqrt", "rsqrt_");
  }
  reciprocal_(): this {
    return unary(this, "reciprocal", "reciprocal_");
  }
  sin_(): this {
    return unary(this, "sin", "sin_");
  }
  cos_(): this {
    return unary(this, "cos", "cos_");
  }
  tanh_(): this {
    return unary(this, "tanh", "tanh_");
  }
  sigmoid_(): this {
    return unary(this, "sigmoid", "sigmoid_");
  }
  relu_(): this {
    return unary(this, "relu", "relu_");
  }
  erf_(): this {
    return unary(this, "erf", "erf_");
  }
  floor_(): this {
    return unary(this, "floor", "floor_");
  }
  ceil_(): this {
    return unary(this, "ceil", "ceil_");
  }
  round_(): this {
    return unary(this, "round", "round_");
  }
  exp2_(): this {
    return unary(this, "exp2", "exp2_");
  }
  log2_(): this {
    return unary(this, "log2", "log2_");
  }
  log10_(): this {
    return unary(this, "log10", "log10_");
  }
  tan_(): this {
    return unary(this, "tan", "tan_");
  }
  asin_(): this {
    return unary(this, "asin", "asin_");
  }
  acos_(): this {
    return unary(this, "acos", "acos_");
  }
  atan_(): this {
    return unary(this, "atan", "atan_");
  }
  sinh_(): this {
    return unary(this, "sinh", "sinh_");
  }
  cosh_(): this {
    return unary(this, "cosh", "cosh_");
  }
  trunc_(): this {
    return unary(this, "trunc", "trunc_");
  }
  /** Sets every element to zero. */
  zero_(): this {
    fillInPlace(this.self, 0, "zero_");
    return this;
  }
  /** Sets every element to a value: a number, or a tensor without dimensions, which receives the sum of the gradients. */
  fill_(value: Operand): this {
    fillInPlace(this.self, value);
    return this;
  }
  /** Copies the elements of another tensor, which is broadcast, converted and fetched from its device. */
  copy_(source: Tensor): this {
    copyInPlace(this.self, source);
    return this;
  }
  /** Sets the elements where a bool mask, which is broadcast, holds. */
  maskedFill_(mask: Tensor, value: number): this {
    maskedFillInPlace(this.self, mask, value);
    return this;
  }
}
