/**
 * Modules of modules.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import { type FusedActivation, linear } from "../ops/matmul.ts";
import { BatchNorm1d, BatchNorm2d } from "./batch_norm.ts";
import { Conv1d, Conv2d } from "./convolution.ts";
import { GELU, Linear, ReLU } from "./layers.ts";
import { Module } from "./module.ts";

/** Classes with a method `forwardRelu`. Subclasses may compute something else. */
const RELU_FUSING: ReadonlySet<unknown> = new Set([Conv1d, Conv2d, BatchNorm1d, BatchNorm2d]);

/** The activation that the matrix product of a linear layer can apply itself. Subclasses may compute something else. */
function fusedActivation(module: Module | undefined): FusedActivation {
  if (module?.constructor === ReLU) return "relu";
  if (module?.constructor !== GELU) return "none";
  return (module as GELU).approximate === "tanh" ? "gelu (tanh)" : "gelu";
}

/** What two modules give that are computed as one operation; null where they cannot be. */
function fused(module: Module, next: Module | undefined, x: Tensor): Tensor | null {
  const activation = fusedActivation(next);
  if (activation === "none") return null;
  if (module.constructor === Linear) return linear(x, (module as Linear).weight, (module as Linear).bias, activation);
  return activation === "relu" && RELU_FUSING.has(module.constructor) ? (module as Conv2d).forwardRelu(x) : null;
}

/**
 * Modules one after another. A Linear and the ReLU or GELU behind it are computed as one operation, as are a convolution or a batch
 * normalisation and the ReLU behind it. Names of parameters count the modules from 0.
 */
export class Sequential extends Module implements Iterable<Module> {
  readonly #modules: readonly Module[];

  constructor(...modules: Module[]) {
    super();
    this.#modules = modules;
  }

  /** Number of modules. */
  get length(): number {
    return this.#modules.length;
  }

  /** The modules in order. */
  [Symbol.iterator](): Iterator<Module> {
    return this.#modules.values();
  }

  override *namedChildren(): Generator<[string, Module]> {
    for (let i = 0; i < this.#modules.length; i++) yield [String(i), this.#modules[i]];
  }

  override forward(x: Tensor): Tensor {
    let out = x;
    for (let i = 0; i < this.#modules.length; i++) {
      const module = this.#modules[i];
      const both = fused(module, this.#modules[i + 1], out);
      if (both === null) {
        out = module.forward(out);
      } else {
        out = both;
        i++;
      }
    }
    return out;
  }
}

/** A list of modules for a `forward` of yours to call. */
export class ModuleList<T extends Module = Module> extends Module implements Iterable<T> {
  readonly #modules: T[];

  constructor(modules: Iterable<T> = []) {
    super();
    this.#modules = [...modules];
  }

  /** Number of modules. */
  get length(): number {
    return this.#modules.length;
  }

  /** The module at an index; negative counts from the end. */
  at(index: number): T | undefined {
    return this.#modules.at(index);
  }

  /** Adds a module at the end. */
  append(module: T): this {
    this.#modules.push(module);
    return this;
  }

  /** The modules in order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#modules.values();
  }

  override *namedChildren(): Generator<[string, Module]> {
    for (let i = 0; i < this.#modules.length; i++) yield [String(i), this.#modules[i]];
  }

  /** @throws {TypeError} Always: a list has no order of computation. Call its modules from your own `forward`. */
  override forward(): never {
    throw new TypeError("Cannot call forward() of a ModuleList: call its modules from your own forward()");
  }
}
