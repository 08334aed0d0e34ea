/**
 * The layers and losses as functions, with PyTorch's names and defaults.
 *
 * @module
 */
import * as linearOps from "../ops/matmul.ts";
import * as losses from "../ops/loss.ts";
import { dropout as dropoutOp } from "../ops/dropout.ts";
import { indexSelect } from "../ops/index_select.ts";
import type { Tensor } from "../tensor.ts";

export * from "./functional_planes.ts";

/** `x weight^T + bias`. Shapes: x (..., in), weight (out, in), bias (out) -> (..., out). */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return linearOps.linear(x, weight, bias, "none");
}

/** Rows of `weight` (count, dim) at integer indices of any shape -> (..., dim). */
export function embedding(index: Tensor, weight: Tensor): Tensor {
  return indexSelect(weight, 0, index);
}

/** Squared difference; mean over all elements by default. */
export function mseLoss(
  input: Tensor,
  target: Tensor,
  { reduction = "mean" }: { reduction?: losses.Reduction } = {},
): Tensor {
  return reduction === "none" ? input.sub(target).square() : losses.mse(input, target, reduction);
}

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** Target value whose rows do not count. Default -100. */
  ignoreIndex?: number;
  /** Default `"mean"`: over the rows that count. */
  reduction?: losses.Reduction;
  /** Share of the probability that is spread over all classes. Default 0. */
  labelSmoothing?: number;
}

/** Cross-entropy of logits (rows, classes) with integer targets (rows). */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  { ignoreIndex = -100, reduction = "mean", labelSmoothing = 0 }: CrossEntropyOptions = {},
): Tensor {
  return losses.crossEntropy(logits, target, { ignoreIndex, reduction, smoothing: labelSmoothing });
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
