/**
 * Activations as modules: SiLU and the softmax. ReLU, GELU, Tanh and Sigmoid are in layers.ts.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

/** x * sigmoid(x). */
export class SiLU extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** Any shape to the same; floating. */
  override forward(x: Tensor): Tensor {
    return x.silu();
  }
}

/** exp(x) / sum(exp(x)) over one dimension. */
export class Softmax extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** The dimension that sums to 1. */
  readonly dim: number;

  /** Normalises over dimension `dim`; a negative one counts from the end. */
  constructor({ dim }: { dim: number }) {
    super();
    this.dim = dim;
  }

  /** Any shape with dimension `dim` to the same; floating. A row of -Infinity only becomes NaN, as in PyTorch. */
  override forward(x: Tensor): Tensor {
    return x.softmax({ dim: this.dim });
  }
}

/** The logarithm of the softmax over one dimension. */
export class LogSoftmax extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** The dimension whose exponentials sum to 1. */
  readonly dim: number;

  /** Normalises over dimension `dim`; a negative one counts from the end. */
  constructor({ dim }: { dim: number }) {
    super();
    this.dim = dim;
  }

  /** Any shape with dimension `dim` to the same; floating. */
  override forward(x: Tensor): Tensor {
    return x.logSoftmax({ dim: this.dim });
  }
}
