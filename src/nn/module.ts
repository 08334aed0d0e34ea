/**
 * The base class of layers and models.
 *
 * @module
 */
import { CATEGORY } from "../core/storage.ts";
import { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";

/** Turns a tensor into a parameter: it requires a gradient and belongs to no scope. */
export function parameter(tensor: Tensor): Parameter {
  tensor.storage.categorize(CATEGORY.parameter);
  parameters.add(tensor.keep().requiresGrad_());
  return tensor as Parameter;
}

const parameters = new WeakSet<Tensor>();

/** A tensor that an optimizer trains. */
export type Parameter = Tensor;

const instrumented = new WeakSet<object>();

/** Runs `forward` of a composite inside a scope: what nothing saved or returned is released when it returns. */
function instrument(prototype: Module): void {
  if (instrumented.has(prototype) || !Object.hasOwn(prototype, "forward")) return;
  instrumented.add(prototype);
  const forward = prototype.forward;
  prototype.forward = function (...inputs: Tensor[]): Tensor {
    return tidy(() => forward.apply(this, inputs), "the end of forward()");
  };
}

/** A layer: parameters and submodules are found from its own properties, in the order of assignment. */
export abstract class Module {
  /** Whether the module is in training mode. */
  training = true;

  constructor() {
    instrument(new.target.prototype);
  }

  /** Computes the output. */
  abstract forward(...inputs: Tensor[]): Tensor;

  /** Direct submodules with their names. */
  *namedChildren(): Generator<[string, Module]> {
    for (const [name, value] of Object.entries(this)) if (value instanceof Module) yield [name, value];
  }

  /** Parameters of the module and of its submodules, with PyTorch's dotted names; a shared one once. */
  *namedParameters(prefix = "", seen: Set<Tensor> = new Set()): Generator<[string, Parameter]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Tensor && parameters.has(value) && !seen.has(value)) {
        seen.add(value);
        yield [prefix + name, value];
      }
    }
    for (const [name, child] of this.namedChildren()) yield* child.namedParameters(`${prefix}${name}.`, seen);
  }

  /** Parameters of the module and of its submodules. */
  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, value]) => value);
  }

  /** Parameters by name. */
  stateDict(): Record<string, Tensor> {
    return Object.fromEntries(this.namedParameters());
  }

  /** Switches training mode for the module and its submodules. */
  train(mode = true): this {
    this.training = mode;
    for (const [, child] of this.namedChildren()) child.train(mode);
    return this;
  }

  /** Switches to evaluation mode. */
  eval(): this {
    return this.train(false);
  }
}
