/**
 * The elementwise methods of a tensor: arithmetic and comparisons.
 *
 * @module
 */
import { isFloating } from "./core/dtype.ts";
import { noGrad } from "./core/op.ts";
import {
  applyBinary,
  applyBinaryNumber,
  applyCompare,
  applyCompareNumber,
  type BinaryName,
  type CompareName,
} from "./ops/binary.ts";
import { clampByTensors, lerp, nanToNum, type NanToNumOptions } from "./ops/blend.ts";
import { applyUnary } from "./ops/unary.ts";
import type { Tensor } from "./tensor.ts";
import { TensorViews } from "./tensor_views.ts";

/** A tensor or a number where either is accepted. */
export type Operand = Tensor | number;

/** The operand itself, unless a caller without types gave something else. */
function operand(other: Tensor): Tensor {
  if (other instanceof TensorViews) return other;
  const given = other === null ? "null" : Array.isArray(other) ? "an array" : typeof other;
  throw new TypeError(`Cannot compute with ${given}: an operand must be a tensor or a number. Use tensor()`);
}

// Not private methods: these would cost every tensor that is made a brand.
function compare(name: CompareName, x: Tensor, other: Operand): Tensor {
  return typeof other === "number" ? applyCompareNumber(name, x, other) : applyCompare(name, x, operand(other));
}

function binary(name: BinaryName, x: Tensor, other: Operand): Tensor {
  return typeof other === "number" ? applyBinaryNumber(name, x, other) : applyBinary(name, x, operand(other));
}

/** Arithmetic and comparisons. */
export abstract class TensorElementwise extends TensorViews {
  // Arithmetic. A number keeps the tensor's dtype, unless a fraction meets an integer tensor.

  /** `this + alpha * other`. */
  add(other: Operand, { alpha = 1 }: { alpha?: number } = {}): Tensor {
    if (typeof other === "number") return applyUnary("addScalar", this.self, { alpha: other * alpha, beta: 0 });
    return applyBinary("add", this.self, operand(other), alpha);
  }
  /** `this - alpha * other`. */
  sub(other: Operand, { alpha = 1 }: { alpha?: number } = {}): Tensor {
    if (typeof other === "number" && this.dtype === "bool") return applyBinary("sub", this.self, this.self);
    if (typeof other === "number") return applyUnary("addScalar", this.self, { alpha: -other * alpha, beta: 0 });
    return applyBinary("sub", this.self, operand(other), alpha);
  }
  /** Product, elementwise. */
  mul(other: Operand): Tensor {
    if (typeof other === "number") return applyUnary("mulScalar", this.self, { alpha: other, beta: 0 });
    return applyBinary("mul", this.self, operand(other));
  }
  /**
   * Quotient, elementwise; integers give float32.
   *
   * @param options `roundingMode` rounds the quotient down or towards zero; integers then stay integers.
   */
  div(other: Operand, { roundingMode }: { roundingMode?: "floor" | "trunc" } = {}): Tensor {
    if (roundingMode !== undefined) {
      return binary(roundingMode === "floor" ? "floorDivide" : "truncDivide", this.self, other);
    }
    if (typeof other === "number") return applyUnary("divScalar", this.self, { alpha: other, beta: 0 });
    return applyBinary("div", this.self, operand(other));
  }
  /** Power, elementwise. */
  pow(exponent: Operand): Tensor {
    // PyTorch computes these two by other functions, which differ for infinities.
    if (exponent === 2) return applyUnary("square", this.self);
    if (exponent === 0.5) return applyUnary("sqrt", this.self);
    if (typeof exponent === "number") return applyUnary("powScalar", this.self, { alpha: exponent, beta: 0 });
    return applyBinary("pow", this.self, operand(exponent));
  }
  /** The larger of two, elementwise. */
  maximum(other: Tensor): Tensor {
    return applyBinary("maximum", this.self, operand(other));
  }
  /** The smaller of two, elementwise. */
  minimum(other: Tensor): Tensor {
    return applyBinary("minimum", this.self, operand(other));
  }
  /** The negative. */
  neg(): Tensor {
    return applyUnary("neg", this.self);
  }
  /** The absolute value; its derivative at 0 is 0. */
  abs(): Tensor {
    return applyUnary("abs", this.self);
  }
  /** The square. */
  square(): Tensor {
    return applyUnary("square", this.self);
  }
  /** e to the power of an element. */
  exp(): Tensor {
    return applyUnary("exp", this.self);
  }
  /** Natural logarithm. */
  log(): Tensor {
    return applyUnary("log", this.self);
  }
  /** Square root. */
  sqrt(): Tensor {
    return applyUnary("sqrt", this.self);
  }
  /** 1 / square root. */
  rsqrt(): Tensor {
    return applyUnary("rsqrt", this.self);
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return applyUnary("tanh", this.self);
  }
  /** 1 / (1 + e^-x). */
  sigmoid(): Tensor {
    return applyUnary("sigmoid", this.self);
  }
  /** max(x, 0); NaN stays NaN. */
  relu(): Tensor {
    return applyUnary("relu", this.self);
  }
  /** GELU, exact or by the tanh approximation. */
  gelu({ approximate = "none" }: { approximate?: "none" | "tanh" } = {}): Tensor {
    if (approximate !== "none" && approximate !== "tanh") {
      throw new RangeError(`Cannot compute gelu with approximate "${approximate}": it must be "none" or "tanh"`);
    }
    return applyUnary(approximate === "tanh" ? "geluTanh" : "gelu", this.self);
  }
  /** x * sigmoid(x). */
  silu(): Tensor {
    return applyUnary("silu", this.self);
  }
  /** The sign: -1, 0 or 1. */
  sign(): Tensor {
    return applyUnary("sign", this.self);
  }
  /** 1 / x. */
  reciprocal(): Tensor {
    return applyUnary("reciprocal", this.self);
  }
  /** exp(x) - 1, exact near 0. */
  expm1(): Tensor {
    return applyUnary("expm1", this.self);
  }
  /** 2 to the power x. */
  exp2(): Tensor {
    return applyUnary("exp2", this.self);
  }
  /** log(1 + x), exact near 0. */
  log1p(): Tensor {
    return applyUnary("log1p", this.self);
  }
  /** Logarithm to base 2. */
  log2(): Tensor {
    return applyUnary("log2", this.self);
  }
  /** Logarithm to base 10. */
  log10(): Tensor {
    return applyUnary("log10", this.self);
  }
  /** Sine of radians. */
  sin(): Tensor {
    return applyUnary("sin", this.self);
  }
  /** Cosine of radians. */
  cos(): Tensor {
    return applyUnary("cos", this.self);
  }
  /** Tangent of radians. */
  tan(): Tensor {
    return applyUnary("tan", this.self);
  }
  /** Arc sine; NaN outside [-1, 1]. */
  asin(): Tensor {
    return applyUnary("asin", this.self);
  }
  /** Arc cosine; NaN outside [-1, 1]. */
  acos(): Tensor {
    return applyUnary("acos", this.self);
  }
  /** Arc tangent. */
  atan(): Tensor {
    return applyUnary("atan", this.self);
  }
  /** Hyperbolic sine. */
  sinh(): Tensor {
    return applyUnary("sinh", this.self);
  }
  /** Hyperbolic cosine. */
  cosh(): Tensor {
    return applyUnary("cosh", this.self);
  }
  /** The error function. */
  erf(): Tensor {
    return applyUnary("erf", this.self);
  }
  /** The largest integer that is not larger. */
  floor(): Tensor {
    return applyUnary("floor", this.self);
  }
  /** The smallest integer that is not smaller. */
  ceil(): Tensor {
    return applyUnary("ceil", this.self);
  }
  /** The nearest integer; halves go to the even one. */
  round(): Tensor {
    return applyUnary("round", this.self);
  }
  /** The integer part. */
  trunc(): Tensor {
    return applyUnary("trunc", this.self);
  }
  /** All bits inverted, of integers; of bool the negation. */
  bitwiseNot(): Tensor {
    return this.dtype === "bool" ? this.logicalNot() : applyUnary("bitwiseNot", this.self);
  }
  /** Values below `min` become `min`, values above `max` become `max`: numbers, or tensors that are broadcast. */
  clamp({ min, max }: { min?: Operand; max?: Operand }): Tensor {
    if (min instanceof TensorElementwise || max instanceof TensorElementwise) {
      return clampByTensors(this.self, min, max);
    }
    return applyUnary("clamp", this.self, { alpha: min ?? -Infinity, beta: max ?? Infinity });
  }
  /** `this + weight * (end - this)`; exact at both ends. */
  lerp(end: Tensor, weight: Operand): Tensor {
    return lerp(this.self, end, weight);
  }
  /** Numbers in place of NaN and infinities: by default 0 and the dtype's largest and lowest values. */
  nanToNum(options?: NanToNumOptions): Tensor {
    return nanToNum(this.self, options);
  }

  // Divisions that stay whole, angles, bits.

  /** The quotient rounded down; integers stay integers. */
  floorDivide(other: Operand): Tensor {
    return binary("floorDivide", this.self, other);
  }
  /** What is left of a division that is rounded down: it has the divisor's sign, as Python's %. */
  remainder(other: Operand): Tensor {
    return binary("remainder", this.self, other);
  }
  /** What is left of a division that is rounded towards zero, as C's fmod. */
  fmod(other: Operand): Tensor {
    return binary("fmod", this.self, other);
  }
  /** The angle of the point (other, this); integers give float32. */
  atan2(other: Operand): Tensor {
    return binary("atan2", this.self, other);
  }
  /** Bits that are set in both. */
  bitwiseAnd(other: Operand): Tensor {
    return binary("bitwiseAnd", this.self, other);
  }
  /** Bits that are set in either. */
  bitwiseOr(other: Operand): Tensor {
    return binary("bitwiseOr", this.self, other);
  }
  /** Bits that differ. */
  bitwiseXor(other: Operand): Tensor {
    return binary("bitwiseXor", this.self, other);
  }
  /** Bits moved to the left. */
  bitwiseLeftShift(other: Operand): Tensor {
    return binary("bitwiseLeftShift", this.self, other);
  }
  /** Bits moved to the right; the sign stays. */
  bitwiseRightShift(other: Operand): Tensor {
    return binary("bitwiseRightShift", this.self, other);
  }

  // Comparisons and truth values: bool tensors.

  /** Whether elements are equal; NaN equals nothing. */
  eq(other: Operand): Tensor {
    return compare("eq", this.self, other);
  }
  /** Whether elements differ. */
  ne(other: Operand): Tensor {
    return compare("ne", this.self, other);
  }
  /** Whether an element is less than the other. */
  lt(other: Operand): Tensor {
    return compare("lt", this.self, other);
  }
  /** Whether an element is at most the other. */
  le(other: Operand): Tensor {
    return compare("le", this.self, other);
  }
  /** Whether an element is greater than the other. */
  gt(other: Operand): Tensor {
    return compare("gt", this.self, other);
  }
  /** Whether an element is at least the other. */
  ge(other: Operand): Tensor {
    return compare("ge", this.self, other);
  }
  /** Whether both are not zero. */
  logicalAnd(other: Tensor): Tensor {
    return applyCompare("logical_and", this.self, other);
  }
  /** Whether either is not zero. */
  logicalOr(other: Tensor): Tensor {
    return applyCompare("logical_or", this.self, other);
  }
  /** Whether exactly one is not zero. */
  logicalXor(other: Tensor): Tensor {
    return applyCompare("logical_xor", this.self, other);
  }
  /** Whether an element is zero. */
  logicalNot(): Tensor {
    return applyCompareNumber("eq", this.self, 0);
  }
  /** Whether an element is NaN. */
  isnan(): Tensor {
    return applyCompare("ne", this.self, this.self);
  }
  /** Whether an element is infinite; integers never are. */
  isinf(): Tensor {
    return isFloating(this.dtype) ? applyCompareNumber("eq", noGrad(() => this.abs()), Infinity) : this.ne(this.self);
  }
  /** Whether an element is neither infinite nor NaN; integers always are. */
  isfinite(): Tensor {
    return isFloating(this.dtype) ? applyCompareNumber("lt", noGrad(() => this.abs()), Infinity) : this.eq(this.self);
  }
}
