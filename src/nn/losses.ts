/**
 * Losses as modules.
 *
 * @module
 */
import type { Reduction } from "../ops/loss.ts";
import type { Tensor } from "../tensor.ts";
import { crossEntropy, type CrossEntropyOptions, mseLoss } from "./functional.ts";
import { Module } from "./module.ts";

/** Mean squared error. */
export class MSELoss extends Module {
  readonly #reduction: Reduction;

  constructor({ reduction = "mean" }: { reduction?: Reduction } = {}) {
    super();
    this.#reduction = reduction;
  }

  override forward(input: Tensor, target: Tensor): Tensor {
    return mseLoss(input, target, { reduction: this.#reduction });
  }
}

/** Cross-entropy of logits (rows, classes) with integer targets (rows). */
export class CrossEntropyLoss extends Module {
  readonly #options: CrossEntropyOptions;

  constructor(options: CrossEntropyOptions = {}) {
    super();
    this.#options = options;
  }

  override forward(logits: Tensor, target: Tensor): Tensor {
    return crossEntropy(logits, target, this.#options);
  }
}
