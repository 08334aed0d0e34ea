/**
 * The backward pass: walks the graph from the newest node to the oldest. Knows no operation by name.
 *
 * @module
 */
import { BINARY } from "../ffi/op_ids.ts";
import { ReleasedError, ShapeError } from "./core/errors.ts";
import { Node, WRITTEN } from "./core/node.ts";
import { empty, runBackward, viewOf } from "./core/op.ts";
import { emptyScope, endScope, enterScope, withScope } from "./core/scope.ts";
import { formatShape, sameShape } from "./core/shape.ts";
import { CATEGORY } from "./core/storage.ts";
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

/** A one of the root's shape; that of a scalar is made once. */
function seedFor(root: Tensor): Tensor {
  const { device } = root.storage;
  if (root.shape.length > 0) return fillInto(empty(device, root.shape, root.dtype, "grad"), 1);
  const key = `${device} ${root.dtype}`;
  let seed = seeds.get(key);
  if (seed === undefined) {
    seed = withScope(undefined, () => fillInto(empty(device, [], root.dtype, "grad"), 1));
    seeds.set(key, seed);
  }
  return seed;
}

/** `exclusive`: nobody else holds this gradient, so that the leaf may take it over instead of a copy. */
function accumulateLeaf(leaf: Tensor, gradient: Tensor, exclusive: boolean): void {
  const slot = leaf.gradSlot;
  if (slot !== null) {
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
  }
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
      if (!(edge instanceof Node)) {
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
  const gradient = node.gradient;
  const { edges } = node;
  if (gradient !== null) {
    const gradients = node.op.vjp!(node, gradient);
    for (let i = 0; i < edges.length; i++) {
      const edge = edges[i];
      const part = gradients[i];
      if (edge === null || part === null) continue;
      if (part === WRITTEN) {
        const leaf = edge as Tensor;
        leaf.grad = leaf.gradSlot;
        continue;
      }
      const exclusive = part !== gradient && gradients.indexOf(part) === gradients.lastIndexOf(part);
      if (!(edge instanceof Node)) accumulateLeaf(edge, part, exclusive);
      else if (edge.gradient !== null) edge.gradient = added(edge.gradient, part);
      else edge.gradient = exclusive ? owned(part) : alias(part);
    }
  }
  for (const edge of edges) {
    if (edge === null || edge instanceof Node) continue;
    if (--edge.edgeCount === 0) edge.onGradient?.(edge);
  }
}

/**
 * Computes the gradients of all leaves that a tensor depends on and adds them to their `grad`.
 *
 * @param root The tensor to differentiate, usually a scalar loss.
 * @param gradient The gradient of the root; default 1, for a root of one element.
 * @throws {ShapeError} When the root has more than one element and no gradient is given.
 * @throws {ReleasedError} When the graph was freed before.
 */
export function backward(root: Tensor, gradient?: Tensor): void {
  if (!root.requiresGrad) {
    throw new ReleasedError("Cannot run backward: the tensor does not depend on one that requires a gradient");
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
        accumulateLeaf(root, contiguous(seed), false);
        root.onGradient?.(root);
        return;
      }
      nodes = collect(root.node, leaves);
      root.node.gradient = alias(seed);
      for (const node of nodes) {
        propagate(node);
        node.gradient?.dispose();
        node.release(SCOPE_LABEL);
        emptyScope(scope);
      }
    } finally {
      // After an error, what nodes still own must not stay behind.
      for (const node of nodes) node.gradient?.dispose();
      for (const leaf of leaves) leaf.edgeCount = 0;
      endScope(scope);
    }
  });
}
