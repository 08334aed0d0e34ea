/**
 * Scopes as users write them.
 *
 * @module
 */
import { endScope, enterScope, forEachTensor, moveOut, type Scope } from "./core/scope.ts";
import { Tensor } from "./tensor.ts";

/** Opens a scope: `using s = scope();`. Tensors made until its end are released then, kept ones and scalars excepted. */
export function scope(): Scope {
  return enterScope("the end of scope()");
}

/**
 * Runs a function and releases every tensor it made, except what it returns (also inside arrays and plain objects).
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { ones, tidy } from "../mod.ts";
 * const total = tidy(() => ones([1000]).mul(2).sum());
 * assert(total.item() === 2000);
 * ```
 */
export function tidy<T>(fn: () => T, label = "the end of tidy()"): T {
  const inner = enterScope(label);
  let graphEscapes = false;
  try {
    const result = fn();
    forEachTensor(result, (value) => value instanceof Tensor, (tensor) => {
      graphEscapes ||= tensor.node !== null;
      moveOut(tensor, inner);
    });
    return result;
  } finally {
    endScope(inner, graphEscapes);
  }
}
