/**
 * The base class of layers and models.
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";
import { Parameter } from "./parameter.ts";

const instrumented = new WeakSet<object>();

/** Runs `forward` inside a scope: what nothing saved or returned is released when it returns. */
function instrument(prototype: Module, isSingleOp: boolean): void {
  if (isSingleOp || instrumented.has(prototype) || !Object.hasOwn(prototype, "forward")) return;
  instrumented.add(prototype);
  const forward = prototype.forward;
  // deno-lint-ignore no-explicit-any
  prototype.forward = function (...inputs: any[]): any {
    return tidy(() => forward.apply(this, inputs), "the end of forward()");
  };
}

/**
 * A layer or a model. Parameters and submodules are found from its own properties, in the order of assignment; names are PyTorch's.
 *
 * `forward` runs in a scope of its own: keep what it stores in `this` with `.keep()`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones, type Tensor } from "../../mod.ts";
 * class Net extends nn.Module {
 *   readonly hidden = new nn.Linear(4, 8);
 *   readonly out = new nn.Linear(8, 1);
 *   override forward(x: Tensor): Tensor {
 *     return this.out.forward(this.hidden.forward(x).relu());
 *   }
 * }
 * const net = new Net();
 * assert(Object.keys(net.stateDict()).join() === "hidden.weight,hidden.bias,out.weight,out.bias");
 * assert(net.forward(ones([2, 4])).shape.join() === "2,1");
 * ```
 */
export abstract class Module {
  /** Declared by classes whose `forward` is one operation, and makes nothing that a scope could release. */
  static readonly isSingleOp: true | undefined;
  /** Whether the module is in training mode. */
  training = true;
  readonly #buffers = new Set<string>();

  constructor() {
    instrument(new.target.prototype, Object.hasOwn(new.target, "isSingleOp"));
  }

  /** Computes the output. */
  // deno-lint-ignore no-explicit-any
  abstract forward(...inputs: any[]): any;

  /** Makes a tensor part of the state without training it; it becomes the property `name`. */
  registerBuffer(name: string, value: Tensor): void {
    this.#buffers.add(name);
    Object.assign(this, { [name]: value.keep() });
  }

  /** Direct submodules with their names. */
  *namedChildren(): Generator<[string, Module]> {
    for (const [name, value] of Object.entries(this)) if (value instanceof Module) yield [name, value];
  }

  /** Direct submodules. */
  children(): Module[] {
    return Array.from(this.namedChildren(), ([, child]) => child);
  }

  /** The module and all modules inside it, with dotted names; a shared one once. */
  *namedModules(prefix = "", seen: Set<Module> = new Set()): Generator<[string, Module]> {
    if (seen.has(this)) return;
    seen.add(this);
    yield [prefix, this];
    for (const [name, child] of this.namedChildren()) {
      yield* child.namedModules(prefix === "" ? name : `${prefix}.${name}`, seen);
    }
  }

  /** The module and all modules inside it. */
  modules(): Module[] {
    return Array.from(this.namedModules(), ([, module]) => module);
  }

  *#named(select: (module: Module, name: string, value: unknown) => boolean): Generator<[string, Tensor]> {
    const seen = new Set<unknown>();
    for (const [prefix, module] of this.namedModules()) {
      for (const [name, value] of Object.entries(module)) {
        if (!select(module, name, value) || seen.has(value)) continue;
        seen.add(value);
        yield [prefix === "" ? name : `${prefix}.${name}`, value as Tensor];
      }
    }
  }

  /** All parameters with PyTorch's dotted names; a shared one once. */
  *namedParameters(): Generator<[string, Parameter]> {
    yield* this.#named((_module, _name, value) => value instanceof Parameter) as Generator<[string, Parameter]>;
  }

  /** All parameters; a shared one once. */
  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, value]) => value);
  }

  /** All buffers with their dotted names. */
  *namedBuffers(): Generator<[string, Tensor]> {
    yield* this.#named((module, name, value) => value instanceof Tensor && module.#buffers.has(name));
  }

  /** All buffers. */
  buffers(): Tensor[] {
    return Array.from(this.namedBuffers(), ([, value]) => value);
  }

  /** Number of elements of all parameters. */
  numParameters(): number {
    return this.parameters().reduce((total, { size }) => total + size, 0);
  }

  /** Parameters and buffers by name, as PyTorch spells them. A shared parameter stands under each of its names. */
  stateDict(): Record<string, Tensor> {
    const out: Record<string, Tensor> = {};
    const visit = (module: Module, prefix: string): void => {
      for (const [name, value] of Object.entries(module)) {
        if (value instanceof Parameter || (value instanceof Tensor && module.#buffers.has(name))) {
          out[prefix + name] = value;
        }
      }
      for (const [name, child] of module.namedChildren()) visit(child, `${prefix}${name}.`);
    };
    visit(this, "");
    return out;
  }

  /**
   * Copies values into parameters and buffers; dtypes are converted.
   *
   * @param state Tensors by name.
   * @param options `strict`, default true: every name must be on both sides.
   * @returns The names that were missing and those that nobody wanted.
   * @throws {RangeError} When `strict` and names differ; then nothing was changed.
   * @throws {ShapeError} When a shape differs; then nothing was changed.
   */
  loadStateDict(
    state: Readonly<Record<string, Tensor>>,
    { strict = true }: { strict?: boolean } = {},
  ): { missingKeys: string[]; unexpectedKeys: string[] } {
    const own = this.stateDict();
    const missingKeys = Object.keys(own).filter((name) => !Object.hasOwn(state, name));
    const unexpectedKeys = Object.keys(state).filter((name) => !Object.hasOwn(own, name));
    if (strict && missingKeys.length + unexpectedKeys.length > 0) {
      throw new RangeError(
        `Cannot load the state: missing [${missingKeys.join(", ")}], unexpected [${unexpectedKeys.join(", ")}]. ` +
          `Pass { strict: false } to load what fits`,
      );
    }
    const names = Object.keys(own).filter((name) => Object.hasOwn(state, name));
    for (const name of names) {
      if (!sameShape(own[name].shape, state[name].shape)) {
        throw new ShapeError(
          `Cannot load ${name}: its shape must be ${formatShape(own[name].shape)}, got ${
            formatShape(state[name].shape)
          }`,
        );
      }
    }
    noGrad(() => {
      for (const name of names) own[name].copy_(state[name].to({ dtype: own[name].dtype }));
    });
    return { missingKeys, unexpectedKeys };
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) {
      if (parameter.grad !== null && parameter.grad !== parameter.gradSlot) parameter.grad.dispose();
      parameter.grad = null;
    }
  }

  /** Switches training mode for the module and all modules inside it. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  /** Switches to evaluation mode. */
  eval(): this {
    return this.train(false);
  }
}
