/**
 * The backward pass: walks the graph from the newest node to the oldest. Knows no operation by name.
 *
 * @module
 */
import { BINARY } from "../ffi/op_ids.ts";
import { AutogradError, ShapeError } from "./core/errors.ts";
import { type GradientHook, type Node, WRITTEN } from "./core/node.ts";
import { empty, runBackward, viewOf } from "./core/op.ts";
import { emptyScope, endScope, enterScope, withScope } from "./core/scope.ts";
import { formatShape, sameShape } from "./core/shape.ts";
import { CATEGORY } from "./core/storage.ts";
import { bump } from "./core/version.ts";
import { binary, binaryInto, contiguous, copied, copyInto, fillInto } from "./ops/launch.ts";
import type { Tensor } from "./tensor.ts";

const SCOPE_LABEL = "the end of backward()";

/** Takes a gradient out of the scope of the backward pass: a node owns it until its turn. */
function owned(gradient: Tensor): Tensor {
  gradient.scope = undefined;
  return gradient;
}

/** A handle of its own on a gradient that somebody else also holds. */
function alias(gradient: Tensor): Tensor {
  return owned(viewOf(gradient, gradient.shape, gradient.strides, gradient.offset, "grad"));
}

/** Adds in place where nobody else can see the memory, else into a new tensor. */
function added(sum: Tensor, gradient: Tensor): Tensor {
  if (sum.isContiguous && sum.storage.references === 1 && sum.shape.length > 0) {
    return binaryInto(sum, BINARY.add, sum, gradient);
  }
  const total = owned(binary(BINARY.add, sum, gradient, sum.shape, "grad"));
  sum.dispose();
  return total;
}

const seeds = new Map<string, Tensor>();
let lastSeed: Tensor | undefined;

/** A one of the root's shape; that of a scalar is made once. */
function seedFor(root: Tensor): Tensor {
  const { device } = root.storage;
  if (root.shape.length > 0) return fillInto(empty(device, root.shape, root.dtype, "grad"), 1);
  if (lastSeed !== undefined && lastSeed.storage.device === device && lastSeed.dtype === root.dtype) return lastSeed;
  const key = `${device} ${root.dtype}`;
  let seed = seeds.get(key);
  if (seed === undefined) {
    seed = withScope(undefined, () => fillInto(empty(device, [], root.dtype, "grad"), 1));
    seeds.set(key, seed);
  }
  return lastSeed = seed;
}

/** `exclusive`: nobody else holds this gradient, so that the leaf may take it over instead of a copy. */
function accumulateLeaf(leaf: Tensor, gradient: Tensor, exclusive: boolean): void {
  const slot = leaf.gradSlot;
  if (slot !== null) {
    bump(slot.storage, "backward()");
    if (leaf.grad === null) copyInto(slot, gradient);
    else binaryInto(slot, BINARY.add, slot, gradient);
    leaf.grad = slot;
  } else if (leaf.grad === null) {
    const own = exclusive && gradient.isContiguous && gradient.storage.references === 1
      ? gradient
      : copied(gradient, "grad");
    own.storage.categorize(CATEGORY.gradient);
    leaf.grad = own.keep();
  } else {
    binaryInto(leaf.grad, BINARY.add, leaf.grad, gradient);
    bump(leaf.grad.storage, "backward()");
  }
}

/** What the hooks make of a gradient: the gradient itself, or a handle on what one of them returned. */
function applyHooks(hooks: Set<GradientHook>, gradient: Tensor): Tensor {
  let current = gradient;
  for (const hook of [...hooks]) {
    // The hook's own handle: it is released with the rest of the pass, unless the hook keeps it.
    const result = hook(viewOf(current, current.shape, current.strides, current.offset, "grad"));
    if (result === undefined) continue;
    if (!sameShape(result.shape, gradient.shape) || result.dtype !== gradient.dtype) {
      throw new AutogradError(
        `Cannot use the gradient that a hook returned: its shape and dtype must stay ${
          formatShape(gradient.shape)
        } and ` +
          `${gradient.dtype}, got ${formatShape(result.shape)} and ${result.dtype}`,
      );
    }
    result.checkLive("a hook");
    const next = alias(result);
    if (current !== gradient) current.dispose();
    current = next;
  }
  return current;
}

/** Adds to the `grad` of a tensor that is no leaf; it lives as long as the tensor. */
function retain(tensor: Tensor, gradient: Tensor): void {
  const total = owned(
    tensor.grad === null ? copied(gradient, "grad") : binary(BINARY.add, tensor.grad, gradient, gradient.shape, "grad"),
  );
  if (tensor.scope === undefined) {
    total.keep();
  } else {
    total.scope = tensor.scope;
    tensor.scope.tensors.push(total);
  }
  tensor.grad = total;
}

function runNodeHooks(node: Node, gradient: Tensor): Tensor {
  const { hooks, retaining } = node.hooks!;
  const result = applyHooks(hooks, gradient);
  if (result !== gradient) gradient.dispose();
  for (const tensor of retaining) retain(tensor, result);
  return result;
}

/** Collects the gradient of a leaf with hooks, which want all of it at once. */
function collectLeaf(leaf: Tensor, gradient: Tensor, exclusive: boolean): void {
  const found = leaf.leafHooks!;
  if (found.pending !== null) found.pending = added(found.pending, gradient);
  else found.pending = exclusive ? owned(gradient) : alias(gradient);
}

function finishLeaf(leaf: Tensor): void {
  const found = leaf.leafHooks!;
  if (found.pending === null) return;
  const result = applyHooks(found.hooks, found.pending);
  accumulateLeaf(leaf, result, false);
  if (result !== found.pending) result.dispose();
  found.pending.dispose();
  found.pending = null;
}

let pass = 0;

/** The nodes that the root depends on, newest first, and the leaves with the number of edges that lead to each. */
function collect(root: Node, leaves: Tensor[]): Node[] {
  const nodes: Node[] = [root];
  root.pass = ++pass;
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i];
    if (node.isReleased) throw node.releasedError();
    for (const edge of node.edges) {
      if (edge === null) continue;
      if (!edge.isNode) {
        if (edge.edgeCount++ === 0) leaves.push(edge);
      } else if (edge.pass !== pass) {
        edge.pass = pass;
        nodes.push(edge);
      }
    }
  }
  // An operation comes after everything it depends on, so the order of creation is a topological order.
  return nodes.sort((a, b) => b.sequence - a.sequence);
}

function propagate(node: Node): void {
  let gradient = node.gradient;
  const { edges } = node;
  if (gradient !== null) {
    if (node.hooks !== null) gradient = node.gradient = runNodeHooks(node, gradient);
    const gradients = node.op.vjp!(node, gradient);
    for (let i = 0; i < edges.length; i++) {
      const edge = edges[i];
      const part = gradients[i];
      if (edge === null || part === null) continue;
      if (part === WRITTEN) {
        if (edge.isNode) continue;
        const leaf = edge as Tensor;
        leaf.grad = leaf.gradSlot;
        bump(leaf.grad!.storage, "backward()");
        continue;
      }
      const exclusive = part !== gradient && gradients.indexOf(part) === gradients.lastIndexOf(part);
      if (!edge.isNode) {
        if (edge.leafHooks === null) accumulateLeaf(edge, part, exclusive);
        else collectLeaf(edge, part, exclusive);
      } else if (edge.gradient !== null) edge.gradient = added(edge.gradient, part);
      else edge.gradient = exclusive ? owned(part) : alias(part);
    }
  }
  for (const edge of edges) {
    if (edge === null || edge.isNode) continue;
    if (--edge.edgeCount > 0) continue;
    if (edge.leafHooks !== null) finishLeaf(edge);
    edge.onGradient?.(edge);
  }
}

/** Options of `backward`. */
export interface BackwardOptions {
  /** Keep the graph and what it saved, so that backward can run through it again. Default false. */
  retainGraph?: boolean;
  /** Second derivatives are not there: true is an error. */
  createGraph?: boolean;
}

/**
 * Computes the gradients of all leaves that a tensor depends on and adds them to their `grad`.
 *
 * @param root The tensor to differentiate, usually a scalar loss.
 * @param gradient The gradient of the root; default 1, for a root of one element.
 * @throws {ShapeError} When the root has more than one element and no gradient is given.
 * @throws {ReleasedError} When the graph was freed before.
 * @throws {AutogradError} When a tensor that the graph saved was changed in place since, or a hook returns a wrong gradient.
 */
export function backward(root: Tensor, gradient: Tensor | undefined, options: BackwardOptions): void {
  const { retainGraph = false, createGraph = false } = options;
  if (createGraph) {
    throw new AutogradError("Cannot run backward with createGraph: derivatives of derivatives are not implemented");
  }
  if (!root.requiresGrad) {
    throw new AutogradError("Cannot run backward: the tensor does not depend on one that requires a gradient");
  }
  if (gradient === undefined && root.size !== 1) {
    throw new ShapeError(
      `Cannot run backward from ${
        formatShape(root.shape)
      } without a gradient: reduce it to a scalar with mean() or sum()`,
    );
  }
  if (gradient !== undefined && !sameShape(gradient.shape, root.shape)) {
    throw new ShapeError(
      `Cannot run backward: the gradient must have the shape ${formatShape(root.shape)}, got ${
        formatShape(gradient.shape)
      }`,
    );
  }
  runBackward(() => {
    const scope = enterScope(SCOPE_LABEL);
    let nodes: Node[] = [];
    const leaves: Tensor[] = [];
    try {
      const seed = gradient ?? seedFor(root);
      if (root.node === null) {
        if (root.leafHooks === null) {
          accumulateLeaf(root, contiguous(seed), false);
        } else {
          collectLeaf(root, seed, false);
          leaves.push(root);
          finishLeaf(root);
        }
        root.onGradient?.(root);
        return;
      }
      nodes = collect(root.node, leaves);
      root.node.gradient = alias(seed);
      for (const node of nodes) {
        propagate(node);
        node.gradient?.dispose();
        node.gradient = null;
        if (!retainGraph) node.release(SCOPE_LABEL);
        emptyScope(scope);
      }
    } finally {
      // After an error, what nodes still own must not stay behind.
      for (const node of nodes) {
        node.gradient?.dispose();
        node.gradient = null;
      }
      for (const leaf of leaves) {
        leaf.edgeCount = 0;
        if (leaf.leafHooks === null) continue;
        leaf.leafHooks.pending?.dispose();
        leaf.leafHooks.pending = null;
      }
      endScope(scope);
    }
  });
}
