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

/**
 * Changes in place: each gives the values and the dtype rules of the method without the underscore, except that the tensor keeps
 * its shape and dtype. Gradients flow through them.
 */
export abstract class TensorInPlace extends TensorReductions {
  #unary(op: UnaryName, name: string, attrs?: UnaryAttrs): this {
    unaryInPlace(this.self, op, name, attrs);
    return this;
  }

  /** `this + alpha * other`, in place. */
  add_(other: Operand, { alpha = 1 }: { alpha?: number } = {}): this {
    if (typeof other === "number") return this.#unary("addScalar", "add_", { alpha: other * alpha, beta: 0 });
    binaryInPlace(this.self, "add", other, "add_", alpha);
    return this;
  }
  /** `this - alpha * other`, in place. */
  sub_(other: Operand, { alpha = 1 }: { alpha?: number } = {}): this {
    if (typeof other === "number") return this.#unary("addScalar", "sub_", { alpha: -other * alpha, beta: 0 });
    binaryInPlace(this.self, "sub", other, "sub_", alpha);
    return this;
  }
  /** Product, in place. */
  mul_(other: Operand): this {
    if (typeof other === "number") return this.#unary("mulScalar", "mul_", { alpha: other, beta: 0 });
    binaryInPlace(this.self, "mul", other, "mul_");
    return this;
  }
  /** Quotient, in place; refused for integers, whose quotient is floating. */
  div_(other: Operand): this {
    if (typeof other === "number") return this.#unary("divScalar", "div_", { alpha: other, beta: 0 });
    binaryInPlace(this.self, "div", other, "div_");
    return this;
  }
  /** Power, in place. */
  pow_(exponent: Operand): this {
    if (typeof exponent === "number") return this.#unary("powScalar", "pow_", { alpha: exponent, beta: 0 });
    binaryInPlace(this.self, "pow", exponent, "pow_");
    return this;
  }
  /** Values below `min` become `min`, values above `max` become `max`. */
  clamp_({ min = -Infinity, max = Infinity }: { min?: number; max?: number }): this {
    return this.#unary("clamp", "clamp_", { alpha: min, beta: max });
  }
  neg_(): this {
    return this.#unary("neg", "neg_");
  }
  abs_(): this {
    return this.#unary("abs", "abs_");
  }
  sign_(): this {
    return this.#unary("sign", "sign_");
  }
  square_(): this {
    return this.#unary("square", "square_");
  }
  exp_(): this {
    return this.#unary("exp", "exp_");
  }
  expm1_(): this {
    return this.#unary("expm1", "expm1_");
  }
  log_(): this {
    return this.#unary("log", "log_");
  }
  log1p_(): this {
    return this.#unary("log1p", "log1p_");
  }
  sqrt_(): this {
    return this.#unary("sqrt", "sqrt_");
  }
  rsqrt_(): this {
    return this.#unary("rsqrt", "rsqrt_");
  }
  reciprocal_(): this {
    return this.#unary("reciprocal", "reciprocal_");
  }
  sin_(): this {
    return this.#unary("sin", "sin_");
  }
  cos_(): this {
    return this.#unary("cos", "cos_");
  }
  tanh_(): this {
    return this.#unary("tanh", "tanh_");
  }
  sigmoid_(): this {
    return this.#unary("sigmoid", "sigmoid_");
  }
  relu_(): this {
    return this.#unary("relu", "relu_");
  }
  erf_(): this {
    return this.#unary("erf", "erf_");
  }
  floor_(): this {
    return this.#unary("floor", "floor_");
  }
  ceil_(): this {
    return this.#unary("ceil", "ceil_");
  }
  round_(): this {
    return this.#unary("round", "round_");
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
