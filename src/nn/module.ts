/**
 * The base class of layers and models.
 *
 * @module
 */
import type { DeviceName } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";
import { type ForwardHook, type ForwardPreHook, type HookHandle, ModuleHooks } from "./hooks.ts";
import { moveTensors } from "./move.ts";
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
  /** Names of the buffers, and whether each is part of the state dict. */
  readonly #buffers = new Map<string, boolean>();
  #hooks: ModuleHooks | null = null;

  constructor() {
    instrument(new.target.prototype, Object.hasOwn(new.target, "isSingleOp"));
  }

  /** Computes the output. */
  // deno-lint-ignore no-explicit-any
  abstract forward(...inputs: any[]): any;

  /**
   * Makes a tensor part of the state without training it; it becomes the property `name`.
   *
   * @param value The tensor, or null for a buffer that is not there yet.
   * @param options `persistent`, default true: whether the state dict holds it.
   */
  registerBuffer(name: string, value: Tensor | null, { persistent = true }: { persistent?: boolean } = {}): void {
    this.#buffers.set(name, persistent);
    Object.assign(this, { [name]: value === null ? null : value.keep() });
  }

  /** @internal Whether calls of `forward` run hooks. */
  get isHooked(): boolean {
    return this.#hooks !== null;
  }

  #hooked(): ModuleHooks {
    return this.#hooks ??= new ModuleHooks(this, () => this.#hooks = null);
  }

  /**
   * Calls a function with the module and its inputs before each `forward`. An array that it returns replaces the inputs; anything
   * else but undefined replaces all of them by that one.
   *
   * @returns A handle whose `remove()` ends the calls. A module without hooks runs as if there were no hooks.
   */
  registerForwardPreHook(hook: ForwardPreHook): HookHandle {
    return this.#hooked().addBefore(hook);
  }

  /**
   * Calls a function with the module, its inputs and its output after each `forward`. What it returns, unless undefined, replaces
   * the output.
   *
   * @returns A handle whose `remove()` ends the calls.
   *
   * @example
   * ```ts
   * import { assert } from "@std/assert";
   * import { nn, ones } from "../../mod.ts";
   * const layer = new nn.Linear(2, 3);
   * const shapes: string[] = [];
   * const handle = layer.registerForwardHook((_module, _inputs, output) => void shapes.push(output.shape.join()));
   * layer.forward(ones([4, 2]));
   * handle.remove();
   * layer.forward(ones([4, 2]));
   * assert(shapes.join() === "4,3");
   * ```
   */
  registerForwardHook(hook: ForwardHook): HookHandle {
    return this.#hooked().addAfter(hook);
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

  /**
   * The module with a dotted name; the empty name is the module itself.
   *
   * @throws {RangeError} When there is none.
   */
  getSubmodule(path: string): Module {
    if (path === "") return this;
    const [name, ...rest] = path.split(".");
    const child = new Map(this.namedChildren()).get(name);
    if (child === undefined) throw new RangeError(`Cannot get submodule "${path}": there is no "${name}"`);
    return child.getSubmodule(rest.join("."));
  }

  /**
   * The parameter with a dotted name.
   *
   * @throws {RangeError} When there is none.
   */
  getParameter(path: string): Parameter {
    const at = path.lastIndexOf(".");
    const owner = this.getSubmodule(at < 0 ? "" : path.slice(0, at));
    const value = Object.entries(owner).find(([name]) => name === path.slice(at + 1))?.[1];
    if (value instanceof Parameter) return value;
    throw new RangeError(`Cannot get parameter "${path}": the module that should have it has no such parameter`);
  }

  /** Calls a function with every module inside this one, innermost first, and then with this one. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  /** Sets whether gradients are computed for all parameters. */
  requiresGrad_(value = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad_(value);
    return this;
  }

  /**
   * Moves parameters and buffers to a device, and converts the floating ones to a dtype. They stay the same objects.
   *
   * @throws {DTypeError} When the dtype is not floating.
   * @throws {AutogradError} When an optimizer or `prepare` has laid out the parameters already: call `to` before.
   */
  to(options: { device?: DeviceName; dtype?: DType }): this {
    moveTensors([...this.parameters(), ...this.buffers()], options);
    return this;
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
      const entries = Object.entries(module);
      for (const [name, value] of entries) if (value instanceof Parameter) out[prefix + name] = value;
      for (const [name, value] of entries) {
        if (value instanceof Tensor && module.#buffers.get(name) === true) out[prefix + name] = value;
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
    const misfits = names.filter((name) => !sameShape(own[name].shape, state[name].shape)).map((name) =>
      `Cannot load ${name}: its shape must be ${formatShape(own[name].shape)}, got ${formatShape(state[name].shape)}`
    );
    if (misfits.length > 0) throw new ShapeError(misfits.join(". "));
    noGrad(() => names.forEach((name) => own[name].copy_(state[name])));
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
