/**
 * The losses as functions, with PyTorch's names and defaults.
 *
 * @module
 */
import { full } from "../creation.ts";
import { isFloating } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import * as crossEntropyOps from "../ops/cross_entropy.ts";
import { pairLoss, type PairLossName, type Reduction } from "../ops/loss.ts";
import type { Tensor } from "../tensor.ts";

/** Options that every loss has. */
export interface LossOptions {
  /** How the losses of the elements are combined. Default `"mean"`. */
  reduction?: Reduction;
}

function checkReduction(name: string, reduction: string, also = ""): void {
  if (reduction === "mean" || reduction === "sum" || reduction === "none" || reduction === also) return;
  throw new RangeError(
    `Cannot compute ${name} with reduction "${reduction}": it must be "mean", "sum"${
      also === "" ? "" : `, "${also}"`
    } or "none"`,
  );
}

function pair(name: PairLossName, input: Tensor, target: Tensor, reduction: Reduction, beta = 0): Tensor {
  checkReduction(name, reduction);
  return pairLoss(name, input, target, { reduction, beta });
}

/** What `reduction` says of losses that were computed one by one. */
function reduce(losses: Tensor, reduction: Reduction): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? losses.sum() : losses.mean();
}

/**
 * Squared difference, `torch.nn.functional.mse_loss`. Shapes are broadcast, floating dtypes promoted; both inputs get gradients.
 *
 * @throws {ShapeError} When shapes do not broadcast.
 */
export function mseLoss(input: Tensor, target: Tensor, { reduction = "mean" }: LossOptions = {}): Tensor {
  return pair("mseLoss", input, target, reduction);
}

/** Absolute difference, `torch.nn.functional.l1_loss`; its gradient is 0 where both are equal. Inputs as {@link mseLoss}. */
export function l1Loss(input: Tensor, target: Tensor, { reduction = "mean" }: LossOptions = {}): Tensor {
  return pair("l1Loss", input, target, reduction);
}

/** Options of {@link smoothL1Loss}. */
export interface SmoothL1LossOptions extends LossOptions {
  /** Differences below it count quadratically. Not negative; 0 is {@link l1Loss}. Default 1. */
  beta?: number;
}

/**
 * (x - y)^2 / (2 beta) where |x - y| < beta, else |x - y| - beta / 2: `torch.nn.functional.smooth_l1_loss`. Inputs as
 * {@link mseLoss}.
 *
 * @throws {RangeError} When `beta` is negative.
 */
export function smoothL1Loss(
  input: Tensor,
  target: Tensor,
  { reduction = "mean", beta = 1 }: SmoothL1LossOptions = {},
): Tensor {
  if (!(beta >= 0)) throw new RangeError(`Cannot compute smoothL1Loss with beta ${beta}: it must not be negative`);
  return pair("smoothL1Loss", input, target, reduction, beta);
}

/** Options of {@link binaryCrossEntropyWithLogits}. */
export interface BinaryCrossEntropyOptions extends LossOptions {
  /** Factor of each loss; broadcast to the input. */
  weight?: Tensor | null;
  /** Factor of the losses of positive targets; broadcast to the input, so (classes) is one for each class. */
  posWeight?: Tensor | null;
}

/**
 * Binary cross-entropy of logits x with probabilities y, -(posWeight y log(sigmoid(x)) + (1 - y) log(1 - sigmoid(x))) * weight:
 * `torch.nn.functional.binary_cross_entropy_with_logits`, without overflow. Both inputs have one shape.
 *
 * @throws {ShapeError} When shapes differ.
 */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  { reduction = "mean", weight = null, posWeight = null }: BinaryCrossEntropyOptions = {},
): Tensor {
  const name = "binaryCrossEntropyWithLogits";
  checkReduction(name, reduction);
  if (!sameShape(input.shape, target.shape)) {
    throw new ShapeError(
      `Cannot compute ${name} of ${formatShape(input.shape)} and a target of ${formatShape(target.shape)}: ` +
        `shapes must be equal. Reshape one of them`,
    );
  }
  if (weight === null && posWeight === null) return pair(name, input, target, reduction);
  let losses: Tensor;
  if (posWeight === null) {
    losses = pair(name, input, target, "none");
  } else {
    // The loss of target 1 is -log(sigmoid(x)); then 1 - log(sigmoid(x)) comes from log(1 - sigmoid(x)) = log(sigmoid(x)) - x.
    const one = full([], 1, { dtype: input.dtype, device: input.device });
    const positive = pair(name, input, one.expand(input.shape), "none");
    losses = positive.mul(target.mul(posWeight.sub(1)).add(1)).add(input.mul(target.neg().add(1)));
  }
  return reduce(weight === null ? losses : losses.mul(weight), reduction);
}

/** Options of {@link klDiv}. */
export interface KLDivOptions {
  /** `"batchmean"` divides the sum by the first dimension, as the definition wants it; `"mean"`, the default, by all elements. */
  reduction?: Reduction | "batchmean";
  /** The target holds log-probabilities. Default false. */
  logTarget?: boolean;
}

/**
 * Kullback-Leibler divergence y (log(y) - x) of log-probabilities x from probabilities y: `torch.nn.functional.kl_div`. Where y is 0
 * the loss is 0. Inputs as {@link mseLoss}.
 */
export function klDiv(
  input: Tensor,
  target: Tensor,
  { reduction = "mean", logTarget = false }: KLDivOptions = {},
): Tensor {
  const name = logTarget ? "klDiv (logTarget)" : "klDiv";
  checkReduction(name, reduction, "batchmean");
  if (reduction !== "batchmean") return pair(name, input, target, reduction);
  return pairLoss(name, input, target, { reduction: "sum", divisor: input.shape[0] ?? 1 });
}

/** Options of {@link nllLoss}. */
export interface NLLLossOptions extends LossOptions {
  /** Factor of each class (classes), of the input's dtype; a mean is then divided by the sum of the factors. Default: all 1. */
  weight?: Tensor | null;
  /** Target value whose positions do not count. Default -100. */
  ignoreIndex?: number;
}

/**
 * Negative log-likelihood, `torch.nn.functional.nll_loss`: minus the log-probability of each position's class.
 *
 * @param input Log-probabilities (rows, classes, ...), or (classes).
 * @param target Classes (rows, ...), or a scalar; int32 or int64.
 * @throws {ShapeError} When shapes do not fit.
 * @throws {NativeError} When a class lies outside [0, classes).
 */
export function nllLoss(
  input: Tensor,
  target: Tensor,
  { reduction = "mean", weight = null, ignoreIndex = -100 }: NLLLossOptions = {},
): Tensor {
  checkReduction("nllLoss", reduction);
  return crossEntropyOps.crossEntropy(input, target, weight, {
    reduction,
    ignoreIndex,
    smoothing: 0,
    takesLogProbabilities: true,
  });
}

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions extends NLLLossOptions {
  /** Share of the probability that is spread over all classes, in [0, 1]. Default 0. */
  labelSmoothing?: number;
}

/** The cross-entropy of targets that are probabilities, of the logits' shape. */
function crossEntropyOfProbabilities(
  logits: Tensor,
  target: Tensor,
  weight: Tensor | null,
  reduction: Reduction,
  smoothing: number,
): Tensor {
  if (!sameShape(logits.shape, target.shape) || logits.shape.length === 0) {
    throw new ShapeError(
      `Cannot compute crossEntropy of ${formatShape(logits.shape)} and probabilities ${formatShape(target.shape)}: ` +
        `shapes must be equal. For classes pass int64 targets`,
    );
  }
  const dim = logits.shape.length > 1 ? 1 : 0;
  const classes = logits.shape[dim];
  const wanted = smoothing === 0 ? target : target.mul(1 - smoothing).add(smoothing / classes);
  let products = logits.logSoftmax({ dim }).mul(wanted);
  if (weight !== null) products = products.mul(weight.reshape([classes, ...logits.shape.slice(dim + 1).map(() => 1)]));
  const losses = products.sum({ dim }).neg();
  return reduction === "mean" ? losses.sum().div(logits.size / classes) : reduce(losses, reduction);
}

/**
 * Cross-entropy, `torch.nn.functional.cross_entropy`: minus the logarithm of the softmax at each position's class.
 *
 * @param logits Shape (rows, classes, ...), or (classes); any floating dtype.
 * @param target Classes (rows, ...) of int32 or int64, or probabilities of the logits' shape and a floating dtype.
 * @returns A scalar, or with reduction `"none"` a loss for each position. A mean over positions that are all ignored is NaN.
 * @throws {ShapeError} When shapes do not fit.
 * @throws {NativeError} When a class lies outside [0, classes) and is not `ignoreIndex`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const logits = tensor([[2, 0, 0], [0, 3, 0]], { requiresGrad: true });
 * const loss = nn.functional.crossEntropy(logits, tensor([0, 1], { dtype: "int64" }));
 * loss.backward();
 * assert(loss.item() < 0.2 && logits.grad !== null);
 * ```
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  { reduction = "mean", weight = null, ignoreIndex = -100, labelSmoothing = 0 }: CrossEntropyOptions = {},
): Tensor {
  checkReduction("crossEntropy", reduction);
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new RangeError(`Cannot compute crossEntropy with labelSmoothing ${labelSmoothing}: it must be in [0, 1]`);
  }
  if (isFloating(target.dtype)) {
    return crossEntropyOfProbabilities(logits, target, weight, reduction, labelSmoothing);
  }
  return crossEntropyOps.crossEntropy(logits, target, weight, {
    reduction,
    ignoreIndex,
    smoothing: labelSmoothing,
    takesLogProbabilities: false,
  });
}
