/**
 * Linear, Embedding, activations and Sequential, with PyTorch's initialisation.
 *
 * @module
 */
import { empty, randn, uniformInto } from "../creation.ts";
import { noGrad } from "../core/op.ts";
import type { Tensor } from "../tensor.ts";
import { embedding, linear } from "./functional.ts";
import { Module, type Parameter, parameter } from "./module.ts";

/** `x weight^T + bias`; both start uniform in +-1 / sqrt(in), as in PyTorch. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(inFeatures: number, outFeatures: number, { bias = true }: { bias?: boolean } = {}) {
    super();
    const bound = 1 / Math.sqrt(inFeatures);
    this.weight = parameter(noGrad(() => uniformInto(empty([outFeatures, inFeatures]), -bound, bound)));
    this.bias = bias ? parameter(noGrad(() => uniformInto(empty([outFeatures]), -bound, bound))) : null;
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** A table of vectors by integer index; starts normal. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor(count: number, dim: number) {
    super();
    this.weight = parameter(randn([count, dim]));
  }

  override forward(index: Tensor): Tensor {
    return embedding(index, this.weight);
  }
}

/** max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** Gaussian error linear unit. */
export class GELU extends Module {
  readonly #approximate: "none" | "tanh";

  constructor({ approximate = "none" }: { approximate?: "none" | "tanh" } = {}) {
    super();
    this.#approximate = approximate;
  }

  override forward(x: Tensor): Tensor {
    return x.gelu({ approximate: this.#approximate });
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** 1 / (1 + exp(-x)). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** Modules one after another. Names of parameters count the modules from 0. */
export class Sequential extends Module {
  readonly #modules: Module[];

  constructor(...modules: Module[]) {
    super();
    this.#modules = modules;
  }

  override *namedChildren(): Generator<[string, Module]> {
    for (const [i, module] of this.#modules.entries()) yield [String(i), module];
  }

  override forward(x: Tensor): Tensor {
    let out = x;
    for (const module of this.#modules) out = module.forward(out);
    return out;
  }
}
