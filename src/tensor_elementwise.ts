/**
 * The elementwise methods of a tensor: arithmetic and comparisons.
 *
 * @module
 */
import { isFloating } from "./core/dtype.ts";
import { empty } from "./core/op.ts";
import { applyBinary, applyCompare, type BinaryName } from "./ops/binary.ts";
import { fillInto } from "./ops/launch.ts";
import { applyUnary } from "./ops/unary.ts";
import type { Tensor } from "./tensor.ts";
import { TensorViews } from "./tensor_views.ts";

/** A tensor or a number where either is accepted. */
export type Operand = Tensor | number;

/** Arithmetic and comparisons. */
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
}
