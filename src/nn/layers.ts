/**
 * Linear, Embedding, activations and Dropout, with PyTorch's initialisation.
 *
 * @module
 */
import { empty, randn } from "../creation.ts";
import { uniformInto } from "../ops/random.ts";
import type { Tensor } from "../tensor.ts";
import { dropout, embedding, linear } from "./functional.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

/** `x weight^T + bias`; both start uniform in +-1 / sqrt(in), as in PyTorch. */
export class Linear extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** (outFeatures, inFeatures). */
  readonly weight: Parameter;
  /** (outFeatures), or null. */
  readonly bias: Parameter | null;

  /** A layer from `inFeatures` to `outFeatures` numbers, by default with a bias. */
  constructor(inFeatures: number, outFeatures: number, { bias = true }: { bias?: boolean } = {}) {
    super();
    const bound = 1 / Math.sqrt(inFeatures);
    this.weight = new Parameter(uniformInto(empty([outFeatures, inFeatures]), -bound, bound));
    this.bias = bias ? new Parameter(uniformInto(empty([outFeatures]), -bound, bound)) : null;
  }

  /**
   * (..., inFeatures) to (..., outFeatures), in the dtype of the weight.
   *
   * @throws {ShapeError} When the last size is not `inFeatures`.
   */
  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** A table of vectors by integer index; starts normal. */
export class Embedding extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** (count, dim): one vector for each index. */
  readonly weight: Parameter;

  /** A table of `count` vectors of `dim` numbers. */
  constructor(count: number, dim: number) {
    super();
    this.weight = new Parameter(randn([count, dim]));
  }

  /** Indices (...) in [0, count) to vectors (..., dim). The gradient adds up where an index occurs several times. */
  override forward(index: Tensor): Tensor {
    return embedding(index, this.weight);
  }
}

/** max(x, 0). */
export class ReLU extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** Any shape to the same; integers too. */
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** Gaussian error linear unit. */
export class GELU extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** `"none"` is exact. */
  readonly approximate: "none" | "tanh";

  /** By default x times the normal distribution function of x; `"tanh"` approximates it as GPT-2 does. */
  constructor({ approximate = "none" }: { approximate?: "none" | "tanh" } = {}) {
    super();
    this.approximate = approximate;
  }

  /** Any shape to the same; floating. */
  override forward(x: Tensor): Tensor {
    return x.gelu({ approximate: this.approximate });
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** Any shape to the same; floating. */
  override forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** 1 / (1 + exp(-x)). */
export class Sigmoid extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** Any shape to the same; floating. */
  override forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** Zeroes elements with probability `p` in training mode. */
export class Dropout extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** Probability of an element to be zeroed. */
  readonly p: number;

  /**
   * Takes the probability of an element to be zeroed.
   *
   * @throws {RangeError} When `p` is not in [0, 1].
   */
  constructor(p = 0.5) {
    super();
    if (!(p >= 0 && p <= 1)) throw new RangeError(`Cannot drop out with p = ${p}: it must be in [0, 1]`);
    this.p = p;
  }

  /** Any shape to the same. In training mode what stays is divided by 1 - p; otherwise the input itself comes back. */
  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }
}
