/**
 * Hooks around the forward pass of a module. They are installed as an own `forward` of the module, so that a module without hooks
 * pays nothing.
 *
 * @module
 */
import type { Module } from "./module.ts";

/** Called before `forward`; see `Module.registerForwardPreHook`. */
// deno-lint-ignore no-explicit-any
export type ForwardPreHook = (module: any, inputs: any[]) => unknown;

/** Called after `forward`; see `Module.registerForwardHook`. */
// deno-lint-ignore no-explicit-any
export type ForwardHook = (module: any, inputs: any[], output: any) => unknown;

/** Ends what registered it. */
export interface HookHandle {
  remove(): void;
}

/** The hooks of one module; they are there as long as it has any. */
export class ModuleHooks {
  readonly #module: Module;
  readonly #onEmpty: () => void;
  /** In wrappers of their own, so that a function can be registered twice. */
  readonly #before = new Set<{ hook: ForwardPreHook }>();
  readonly #after = new Set<{ hook: ForwardHook }>();
  /** A `forward` that the user had assigned to the module itself. */
  readonly #own: PropertyDescriptor | undefined;

  /**
   * @param module Whose `forward` is wrapped.
   * @param onEmpty Called when the last hook was removed and `forward` is what it was.
   */
  constructor(module: Module, onEmpty: () => void) {
    this.#module = module;
    this.#onEmpty = onEmpty;
    this.#own = Object.getOwnPropertyDescriptor(module, "forward");
    const forward = module.forward;
    const value = (...given: unknown[]): unknown => {
      let inputs = given;
      for (const { hook } of [...this.#before]) {
        const result = hook(module, inputs);
        if (result !== undefined) inputs = Array.isArray(result) ? result : [result];
      }
      let output: unknown = forward.apply(module, inputs);
      for (const { hook } of [...this.#after]) {
        const result = hook(module, inputs, output);
        if (result !== undefined) output = result;
      }
      return output;
    };
    Object.defineProperty(module, "forward", { value, configurable: true, writable: true, enumerable: false });
  }

  addBefore(hook: ForwardPreHook): HookHandle {
    return this.#add(this.#before, { hook });
  }

  addAfter(hook: ForwardHook): HookHandle {
    return this.#add(this.#after, { hook });
  }

  #add<T>(set: Set<T>, entry: T): HookHandle {
    set.add(entry);
    return {
      remove: () => {
        if (!set.delete(entry) || this.#before.size + this.#after.size > 0) return;
        Reflect.deleteProperty(this.#module, "forward");
        if (this.#own !== undefined) Object.defineProperty(this.#module, "forward", this.#own);
        this.#onEmpty();
      },
    };
  }
}
