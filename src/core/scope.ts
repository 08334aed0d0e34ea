/**
 * Scopes: who releases a tensor that no one disposes. When a scope ends, every tensor made inside it is released in one native
 * call, except what it returns and what was kept. Scalars belong to no scope (see scalar_slab.ts).
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import type { Node } from "./node.ts";
import { flushReleases } from "./storage.ts";

/** The tensors and graph nodes made between its start and its end. */
export class Scope {
  /** For error messages: what ended when the tensors were released, for example `the training step`. */
  readonly label: string;
  /** The scope that it is inside of, which what it keeps moves to. */
  readonly parent: Scope | undefined;
  /** What is released at its end. */
  readonly tensors: Tensor[] = [];
  /** @internal The graph nodes that are cut at its end. */
  readonly nodes: Node[] = [];
  /** Whether it has ended. */
  ended = false;

  /** @internal Use {@link enterScope}. */
  constructor(label: string, parent: Scope | undefined) {
    this.label = label;
    this.parent = parent;
  }

  /** Ends the scope: `using s = scope();`. */
  [Symbol.dispose](): void {
    endScope(this);
  }
}

let current: Scope | undefined;

/** The innermost scope that is open. */
export function currentScope(): Scope | undefined {
  return current;
}

/** Opens a scope inside the current one. */
export function enterScope(label: string): Scope {
  return current = new Scope(label, current);
}

/** A scope that is filled with {@link withScope} before {@link resumeScope} opens it. */
export function prepareScope(label: string): Scope {
  return new Scope(label, current);
}

/** Opens a scope that was prepared, or goes back to one that is open. */
export function resumeScope(scope: Scope | undefined): void {
  current = scope;
}

/** Runs a function with another scope as the current one. */
export function withScope<T>(scope: Scope | undefined, fn: () => T): T {
  const before = current;
  current = scope;
  try {
    return fn();
  } finally {
    current = before;
  }
}

/** Calls `visit` for every tensor in nested arrays and plain objects. */
export function forEachTensor(
  value: unknown,
  isTensor: (value: object) => boolean,
  visit: (tensor: Tensor) => void,
): void {
  if (typeof value !== "object" || value === null) return;
  if (isTensor(value)) {
    visit(value as Tensor);
  } else if (Array.isArray(value)) {
    for (const item of value) forEachTensor(item, isTensor, visit);
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) forEachTensor(item, isTensor, visit);
  }
}

/** Makes a tensor outlive a scope: it moves to the parent, or to the garbage collector when there is none. */
export function moveOut(tensor: Tensor, scope: Scope): void {
  if (tensor.scope !== scope) return;
  tensor.scope = scope.parent;
  if (scope.parent === undefined) tensor.storage.manage();
  else scope.parent.tensors.push(tensor);
}

/**
 * Moves a tensor into a scope that ends later, when the one that holds it lies inside `outer`: what began before `outer`'s inner
 * scopes is not theirs to release.
 */
export function moveInto(tensor: Tensor, scope: Scope, outer: Scope | undefined): void {
  const owner = tensor.scope;
  if (owner === undefined || owner === scope || owner === outer) return;
  let ancestor = owner.parent;
  while (ancestor !== outer && ancestor !== undefined) ancestor = ancestor.parent;
  if (ancestor !== outer) return;
  tensor.scope = scope;
  scope.tensors.push(tensor);
}

/** Releases what a scope holds now and leaves it open. */
export function emptyScope(scope: Scope): void {
  const { tensors, label } = scope;
  for (let i = 0; i < tensors.length; i++) if (tensors[i].scope === scope) tensors[i].releaseAt(label);
  tensors.length = 0;
}

/**
 * Ends a scope and those inside it that were left open, and releases what they hold.
 *
 * @param scope The scope; ending it again does nothing.
 * @param graphEscapes True when a tensor that was moved out still needs its graph. With a parent, the graph always moves there.
 */
export function endScope(scope: Scope, graphEscapes = false): void {
  if (scope.ended) return;
  let inside: Scope | undefined = current;
  while (inside !== undefined && inside !== scope) inside = inside.parent;
  if (inside === scope) {
    while (current !== scope) endScope(current!);
    current = scope.parent;
  }
  scope.ended = true;
  const parent = scope.parent;
  for (const node of scope.nodes) {
    if (node.isReleased) continue;
    if (parent !== undefined) parent.nodes.push(node);
    else if (graphEscapes) node.manage();
    else node.release(scope.label);
  }
  emptyScope(scope);
  scope.nodes.length = 0;
  if (parent === undefined) flushReleases();
}
