/**
 * The layers and losses as functions, with PyTorch's names and defaults.
 *
 * @module
 */
import * as linearOps from "../ops/matmul.ts";
import { dropout as dropoutOp } from "../ops/dropout.ts";
import { indexSelect } from "../ops/index_select.ts";
import * as norms from "../ops/norm.ts";
import { ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";

export * from "./functional_planes.ts";
export * from "./loss_functions.ts";

/** `x weight^T + bias`. Shapes: x (..., in), weight (out, in), bias (out) -> (..., out). */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return linearOps.linear(x, weight, bias, "none");
}

/**
 * Rows of `weight` (count, dim) at integer indices of any shape -> (..., dim).
 *
 * @throws {ShapeError} When `weight` is no matrix.
 */
export function embedding(index: Tensor, weight: Tensor): Tensor {
  if (weight.shape.length !== 2) {
    throw new ShapeError(`Cannot embed with a weight of ${formatShape(weight.shape)}: its shape must be (count, dim)`);
  }
  return indexSelect(weight, 0, index);
}

/** Zeroes elements with probability `p` while training and scales the others by 1 / (1 - p); otherwise the input itself. */
export function dropout(x: Tensor, { p = 0.5, training = true }: { p?: number; training?: boolean } = {}): Tensor {
  return training && p !== 0 ? dropoutOp(x, p) : x;
}

/** max(x, 0). */
export function relu(x: Tensor): Tensor {
  return x.relu();
}

/** Gaussian error linear unit, exact or by the tanh approximation. */
export function gelu(x: Tensor, options?: { approximate?: "none" | "tanh" }): Tensor {
  return x.gelu(options);
}

/** x * sigmoid(x). */
export function silu(x: Tensor): Tensor {
  return x.silu();
}

/** 1 / (1 + exp(-x)). */
export function sigmoid(x: Tensor): Tensor {
  return x.sigmoid();
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return x.tanh();
}

/** exp(x) / sum(exp(x)) over dimension `dim`: see {@link Tensor.softmax}. */
export function softmax(x: Tensor, options: { dim: number }): Tensor {
  return x.softmax(options);
}

/** x - log(sum(exp(x))) over dimension `dim`: see {@link Tensor.logSoftmax}. */
export function logSoftmax(x: Tensor, options: { dim: number }): Tensor {
  return x.logSoftmax(options);
}

/** Options of {@link layerNorm}. */
export interface LayerNormOptions {
  /** Factor of each normalised element, of the normalised shape and the input's dtype. Default: 1. */
  weight?: Tensor | null;
  /** What is added then, likewise. Default: 0. */
  bias?: Tensor | null;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
}

/**
 * (x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions, whose shape is `normalizedShape`:
 * `torch.nn.functional.layer_norm`. The variance divides by the number of elements. 16-bit dtypes are computed in float32.
 *
 * @throws {ShapeError} When the last dimensions, the weight or the bias have another shape.
 * @throws {DTypeError} When dtypes differ.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const y = nn.functional.layerNorm(tensor([[1, 2, 3], [4, 4, 4]]), [3]);
 * assert(y.allClose(tensor([[-1.2247, 0, 1.2247], [0, 0, 0]]), { atol: 1e-4 }));
 * ```
 */
export function layerNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  { weight = null, bias = null, eps = 1e-5 }: LayerNormOptions = {},
): Tensor {
  return norms.layerNorm(x, normalizedShape, weight, bias, eps);
}

/** Options of {@link rmsNorm}. */
export interface RMSNormOptions {
  /** Factor of each normalised element, of the normalised shape and the input's dtype. Default: 1. */
  weight?: Tensor | null;
  /** Added to the mean of the squares. Default: that of the dtype it is computed in, 2^-23, or 2^-52 for float64. */
  eps?: number | null;
}

/**
 * x / sqrt(mean(x^2) + eps) * weight over the last dimensions, whose shape is `normalizedShape`: `torch.nn.functional.rms_norm`
 * (Zhang and Sennrich, 2019). 16-bit dtypes are computed in float32.
 *
 * @throws {ShapeError} When the last dimensions or the weight have another shape.
 * @throws {DTypeError} When dtypes differ.
 */
export function rmsNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  { weight = null, eps = null }: RMSNormOptions = {},
): Tensor {
  return norms.rmsNorm(x, normalizedShape, weight, eps);
}

export { type AttentionOptions, scaledDotProductAttention } from "./attention.ts";
export { groupNorm, type GroupNormOptions } from "./group_norm.ts";
