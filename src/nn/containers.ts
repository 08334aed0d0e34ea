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
import { Parameter } from "./parameter.ts";

function checkModule<T>(value: T, container: string): T {
  if (value instanceof Module) return value;
  throw new TypeError(`Cannot put ${typeof value} into a ${container}: it holds modules`);
}

/** What Sequential and ModuleList share: modules in order, whose names count from 0. */
abstract class ModuleSequence<T extends Module> extends Module implements Iterable<T> {
  readonly #modules: T[];

  constructor(modules: Iterable<T>) {
    super();
    this.#modules = Array.from(modules, (module) => checkModule(module, this.constructor.name));
  }

  /** The modules, for the loops of subclasses. */
  protected get list(): readonly T[] {
    return this.#modules;
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
    this.#modules.push(checkModule(module, this.constructor.name));
    return this;
  }

  /** Adds modules at the end. */
  extend(modules: Iterable<T>): this {
    for (const module of [...modules]) this.append(module);
    return this;
  }

  /**
   * Adds a module before an index; negative counts from the end.
   *
   * @throws {RangeError} When the index is outside [-length, length].
   */
  insert(index: number, module: T): this {
    const { length } = this.#modules;
    if (!Number.isInteger(index) || index < -length || index > length) {
      throw new RangeError(`Cannot insert a module at ${index}: the index must be in [${-length}, ${length}]`);
    }
    this.#modules.splice(index, 0, checkModule(module, this.constructor.name));
    return this;
  }

  /** The modules in order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#modules.values();
  }

  override *namedChildren(): Generator<[string, Module]> {
    for (let i = 0; i < this.#modules.length; i++) yield [String(i), this.#modules[i]];
  }
}

/** Classes with a method `forwardRelu`. Subclasses may compute something else. */
const RELU_FUSING: ReadonlySet<unknown> = new Set([Conv1d, Conv2d, BatchNorm1d, BatchNorm2d]);

/** The activation that the matrix product of a linear layer can apply itself. Subclasses may compute something else. */
function fusedActivation(module: Module | undefined): FusedActivation {
  if (module === undefined || module.isHooked) return "none";
  if (module.constructor === ReLU) return "relu";
  if (module.constructor !== GELU) return "none";
  return (module as GELU).approximate === "tanh" ? "gelu (tanh)" : "gelu";
}

/** What two modules give that are computed as one operation; null where they cannot be: hooks want both. */
function fused(module: Module, next: Module | undefined, x: Tensor): Tensor | null {
  const activation = fusedActivation(next);
  if (activation === "none" || module.isHooked) return null;
  if (module.constructor === Linear) return linear(x, (module as Linear).weight, (module as Linear).bias, activation);
  return activation === "relu" && RELU_FUSING.has(module.constructor) ? (module as Conv2d).forwardRelu(x) : null;
}

/**
 * Modules one after another. A Linear and the ReLU or GELU behind it are computed as one operation, as are a convolution or a batch
 * normalisation and the ReLU behind it, unless one of them has hooks. Names of parameters count the modules from 0.
 */
export class Sequential extends ModuleSequence<Module> {
  /** Runs the modules in the order in which they are given; none gives its input back. */
  constructor(...modules: Module[]) {
    super(modules);
  }

  /** The modules from `start` to before `end` as another Sequential, which shares them. */
  slice(start?: number, end?: number): Sequential {
    return new Sequential(...this.list.slice(start, end));
  }

  /** Passes the input through all modules, each taking what the one before returns. */
  override forward(x: Tensor): Tensor {
    const modules = this.list;
    let out = x;
    for (let i = 0; i < modules.length; i++) {
      const module = modules[i];
      const both = fused(module, modules[i + 1], out);
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
export class ModuleList<T extends Module = Module> extends ModuleSequence<T> {
  /** Takes the modules in order; they may also be appended later. */
  constructor(modules: Iterable<T> = []) {
    super(modules);
  }

  /** The modules from `start` to before `end` as another list, which shares them. */
  slice(start?: number, end?: number): ModuleList<T> {
    return new ModuleList(this.list.slice(start, end));
  }

  /**
   * Refuses to run.
   *
   * @throws {TypeError} Always: a list has no order of computation. Call its modules from your own `forward`.
   */
  override forward(): never {
    throw new TypeError("Cannot call forward() of a ModuleList: call its modules from your own forward()");
  }
}

/**
 * Modules by name, for a `forward` of yours to call; the order is that of insertion.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn } from "../../mod.ts";
 * const heads = new nn.ModuleDict({ value: new nn.Linear(4, 1), policy: new nn.Linear(4, 2) });
 * assert(Object.keys(heads.stateDict()).join() === "value.weight,value.bias,policy.weight,policy.bias");
 * assert(heads.get("policy") instanceof nn.Linear);
 * ```
 */
export class ModuleDict<T extends Module = Module> extends Module implements Iterable<[string, T]> {
  readonly #modules = new Map<string, T>();

  /** Takes modules as an object or as pairs of name and module. */
  constructor(modules: Readonly<Record<string, T>> | Iterable<readonly [string, T]> = {}) {
    super();
    this.update(modules);
  }

  /** Number of modules. */
  get size(): number {
    return this.#modules.size;
  }

  /**
   * Adds or replaces a module.
   *
   * @throws {RangeError} When the name is empty or holds a dot: it is part of a dotted name.
   */
  set(name: string, module: T): this {
    if (name === "" || name.includes(".")) {
      throw new RangeError(`Cannot name a module "${name}": a name must not be empty or hold a dot`);
    }
    this.#modules.set(name, checkModule(module, "ModuleDict"));
    return this;
  }

  /** Adds or replaces modules. */
  update(modules: Readonly<Record<string, T>> | Iterable<readonly [string, T]>): this {
    const entries = Symbol.iterator in modules ? modules as Iterable<readonly [string, T]> : Object.entries(modules);
    for (const [name, module] of entries) this.set(name, module);
    return this;
  }

  /** The module of a name, or undefined. */
  get(name: string): T | undefined {
    return this.#modules.get(name);
  }

  /** Whether there is a module of that name. */
  has(name: string): boolean {
    return this.#modules.has(name);
  }

  /** Takes a module out; returns whether it was there. */
  delete(name: string): boolean {
    return this.#modules.delete(name);
  }

  /** The names in order. */
  keys(): Iterator<string> & Iterable<string> {
    return this.#modules.keys();
  }

  /** The modules in order. */
  values(): Iterator<T> & Iterable<T> {
    return this.#modules.values();
  }

  /** Names and modules in order. */
  [Symbol.iterator](): Iterator<[string, T]> {
    return this.#modules.entries();
  }

  /** The modules with the names that they have here, which the names of their parameters begin with. */
  override *namedChildren(): Generator<[string, Module]> {
    yield* this.#modules;
  }

  /**
   * Refuses to run.
   *
   * @throws {TypeError} Always: a dict has no order of computation. Call its modules from your own `forward`.
   */
  override forward(): never {
    throw new TypeError("Cannot call forward() of a ModuleDict: call its modules from your own forward()");
  }
}

/** Parameters in order, whose names count from 0, for a `forward` of yours to use. */
export class ParameterList extends Module implements Iterable<Parameter> {
  readonly #parameters: Parameter[] = [];

  /** Takes parameters in order; a tensor that is none becomes one. */
  constructor(values: Iterable<Tensor> = []) {
    super();
    this.extend(values);
  }

  /** Number of parameters. */
  get length(): number {
    return this.#parameters.length;
  }

  /** The parameter at an index; negative counts from the end. */
  at(index: number): Parameter | undefined {
    return this.#parameters.at(index);
  }

  /** Adds a parameter at the end; another tensor becomes one. */
  append(value: Tensor): this {
    const parameter = value instanceof Parameter ? value : new Parameter(value);
    // Parameters are found as properties of a module; those of a list are named by their index.
    Object.assign(this, { [this.#parameters.length]: parameter });
    this.#parameters.push(parameter);
    return this;
  }

  /** Adds parameters at the end. */
  extend(values: Iterable<Tensor>): this {
    for (const value of [...values]) this.append(value);
    return this;
  }

  /** The parameters in order. */
  [Symbol.iterator](): Iterator<Parameter> {
    return this.#parameters.values();
  }

  /**
   * Refuses to run.
   *
   * @throws {TypeError} Always: use the parameters in your own `forward`.
   */
  override forward(): never {
    throw new TypeError("Cannot call forward() of a ParameterList: use its parameters in your own forward()");
  }
}
