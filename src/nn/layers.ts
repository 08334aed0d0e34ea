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
  static override readonly isSingleOp = true;
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(inFeatures: number, outFeatures: number, { bias = true }: { bias?: boolean } = {}) {
    super();
    const bound = 1 / Math.sqrt(inFeatures);
    this.weight = new Parameter(uniformInto(empty([outFeatures, inFeatures]), -bound, bound));
    this.bias = bias ? new Parameter(uniformInto(empty([outFeatures]), -bound, bound)) : null;
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** A table of vectors by integer index; starts normal. */
export class Embedding extends Module {
  static override readonly isSingleOp = true;
  readonly weight: Parameter;

  constructor(count: number, dim: number) {
    super();
    this.weight = new Parameter(randn([count, dim]));
  }

  override forward(index: Tensor): Tensor {
    return embedding(index, this.weight);
  }
}

/** max(x, 0). */
export class ReLU extends Module {
  static override readonly isSingleOp = true;
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** Gaussian error linear unit. */
export class GELU extends Module {
  static override readonly isSingleOp = true;
  /** `"none"` is exact. */
  readonly approximate: "none" | "tanh";

  constructor({ approximate = "none" }: { approximate?: "none" | "tanh" } = {}) {
    super();
    this.approximate = approximate;
  }

  override forward(x: Tensor): Tensor {
    return x.gelu({ approximate: this.approximate });
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Module {
  static override readonly isSingleOp = true;
  override forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** 1 / (1 + exp(-x)). */
export class Sigmoid extends Module {
  static override readonly isSingleOp = true;
  override forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** Zeroes elements with probability `p` in training mode. */
export class Dropout extends Module {
  static override readonly isSingleOp = true;
  /** Probability of an element to be zeroed. */
  readonly p: number;

  constructor(p = 0.5) {
    super();
    if (!(p >= 0 && p <= 1)) throw new RangeError(`Cannot drop out with p = ${p}: it must be in [0, 1]`);
    this.p = p;
  }

  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }
}
