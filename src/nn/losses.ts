/**
 * Losses as modules. Each is the function of the same name in `functional` with its options fixed.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import * as functions from "./loss_functions.ts";
import { Module } from "./module.ts";

/** A loss with its options; the tensors among them are not part of the state, as they are given and not learned. */
abstract class Loss<Options> extends Module {
  readonly #options: Options;
  readonly #compute: (input: Tensor, target: Tensor, options: Options) => Tensor;

  constructor(compute: (input: Tensor, target: Tensor, options: Options) => Tensor, options: Options) {
    super();
    this.#compute = compute;
    this.#options = options;
  }

  /** The loss of an input and a target. */
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.#compute(input, target, this.#options);
  }
}

/** Mean squared error: {@link functions.mseLoss}. */
export class MSELoss extends Loss<functions.LossOptions> {
  /** Options of `functional.mseLoss`: by default the mean over all elements. */
  constructor(options: functions.LossOptions = {}) {
    super(functions.mseLoss, options);
  }
}

/** Mean absolute error: {@link functions.l1Loss}. */
export class L1Loss extends Loss<functions.LossOptions> {
  /** Options of `functional.l1Loss`: by default the mean over all elements. */
  constructor(options: functions.LossOptions = {}) {
    super(functions.l1Loss, options);
  }
}

/** Absolute error that is quadratic near 0: {@link functions.smoothL1Loss}. */
export class SmoothL1Loss extends Loss<functions.SmoothL1LossOptions> {
  /** Options of `functional.smoothL1Loss`: by default quadratic below 1, and the mean. */
  constructor(options: functions.SmoothL1LossOptions = {}) {
    super(functions.smoothL1Loss, options);
  }
}

/** Binary cross-entropy of logits: {@link functions.binaryCrossEntropyWithLogits}. */
export class BCEWithLogitsLoss extends Loss<functions.BinaryCrossEntropyOptions> {
  /** Options of `functional.binaryCrossEntropyWithLogits`: weights of elements and of positive targets. */
  constructor(options: functions.BinaryCrossEntropyOptions = {}) {
    super(functions.binaryCrossEntropyWithLogits, options);
  }
}

/** Negative log-likelihood of log-probabilities: {@link functions.nllLoss}. */
export class NLLLoss extends Loss<functions.NLLLossOptions> {
  /** Options of `functional.nllLoss`: weights of classes, and a target that is ignored. */
  constructor(options: functions.NLLLossOptions = {}) {
    super(functions.nllLoss, options);
  }
}

/** Kullback-Leibler divergence: {@link functions.klDiv}. */
export class KLDivLoss extends Loss<functions.KLDivOptions> {
  /** Options of `functional.klDiv`: `"batchmean"` is the mathematical divergence. */
  constructor(options: functions.KLDivOptions = {}) {
    super(functions.klDiv, options);
  }
}

/** Cross-entropy of logits (rows, classes, ...) with targets (rows, ...): {@link functions.crossEntropy}. */
export class CrossEntropyLoss extends Loss<functions.CrossEntropyOptions> {
  /** Options of `functional.crossEntropy`: weights of classes, a target that is ignored, label smoothing. */
  constructor(options: functions.CrossEntropyOptions = {}) {
    super(functions.crossEntropy, options);
  }
}
