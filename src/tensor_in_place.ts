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
  /** Negatives, in place. */
  neg_(): this {
    return unary(this, "neg", "neg_");
  }
  /** Absolute values, in place. */
  abs_(): this {
    return unary(this, "abs", "abs_");
  }
  /** Signs: -1, 0 or 1, in place. */
  sign_(): this {
    return unary(this, "sign", "sign_");
  }
  /** Squares, in place. */
  square_(): this {
    return unary(this, "square", "square_");
  }
  /** Powers of e, in place. */
  exp_(): this {
    return unary(this, "exp", "exp_");
  }
  /** Powers of e, less 1, in place. */
  expm1_(): this {
    return unary(this, "expm1", "expm1_");
  }
  /** Natural logarithms, in place. */
  log_(): this {
    return unary(this, "log", "log_");
  }
  /** Natural logarithms of 1 + x, in place. */
  log1p_(): this {
    return unary(this, "log1p", "log1p_");
  }
  /** Square roots, in place. */
  sqrt_(): this {
    return unary(this, "sqrt", "sqrt_");
  }
  /** 1 / square roots, in place. */
  rsqrt_(): this {
    return unary(this, "rsqrt", "rsqrt_");
  }
  /** 1 / x, in place. */
  reciprocal_(): this {
    return unary(this, "reciprocal", "reciprocal_");
  }
  /** Sines, in place. */
  sin_(): this {
    return unary(this, "sin", "sin_");
  }
  /** Cosines, in place. */
  cos_(): this {
    return unary(this, "cos", "cos_");
  }
  /** Hyperbolic tangents, in place. */
  tanh_(): this {
    return unary(this, "tanh", "tanh_");
  }
  /** 1 / (1 + e^-x), in place. */
  sigmoid_(): this {
    return unary(this, "sigmoid", "sigmoid_");
  }
  /** max(x, 0), in place. */
  relu_(): this {
    return unary(this, "relu", "relu_");
  }
  /** The error function, in place. */
  erf_(): this {
    return unary(this, "erf", "erf_");
  }
  /** Next integers below, in place. */
  floor_(): this {
    return unary(this, "floor", "floor_");
  }
  /** Next integers above, in place. */
  ceil_(): this {
    return unary(this, "ceil", "ceil_");
  }
  /** Nearest integers, even ones where two are as near, in place. */
  round_(): this {
    return unary(this, "round", "round_");
  }
  /** Powers of 2, in place. */
  exp2_(): this {
    return unary(this, "exp2", "exp2_");
  }
  /** Logarithms to base 2, in place. */
  log2_(): this {
    return unary(this, "log2", "log2_");
  }
  /** Logarithms to base 10, in place. */
  log10_(): this {
    return unary(this, "log10", "log10_");
  }
  /** Tangents, in place. */
  tan_(): this {
    return unary(this, "tan", "tan_");
  }
  /** Arc sines, in place. */
  asin_(): this {
    return unary(this, "asin", "asin_");
  }
  /** Arc cosines, in place. */
  acos_(): this {
    return unary(this, "acos", "acos_");
  }
  /** Arc tangents, in place. */
  atan_(): this {
    return unary(this, "atan", "atan_");
  }
  /** Hyperbolic sines, in place. */
  sinh_(): this {
    return unary(this, "sinh", "sinh_");
  }
  /** Hyperbolic cosines, in place. */
  cosh_(): this {
    return unary(this, "cosh", "cosh_");
  }
  /** Integers towards 0, in place. */
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
