/**
 * The backward pass: walks the graph from the newest node to the oldest. Knows no operation by name.
 *
 * @module
 */
import { BINARY } from "../ffi/op_ids.ts";
import { ReleasedError, ShapeError } from "./core/errors.ts";
import { Node, WRITTEN } from "./core/node.ts";
import { runBackward, viewOf } from "./core/op.ts";
import { endScope, enterScope, moveOut } from "./core/scope.ts";
import { formatShape, sameShape } from "./core/shape.ts";
import { CATEGORY } from "./core/storage.ts";
import { binary, binaryInto, contiguous, copied, copyInto, filled } from "./ops/launch.ts";
import type { Tensor } from "./tensor.ts";

/** A handle of its own on a gradient that somebody else also holds. */
function alias(gradient: Tensor): Tensor {
  return viewOf(gradient, gradient.shape, gradient.strides, gradient.offset, "grad");
}

/** Adds in place where nobody else can see the memory, else into a new tensor. */
function added(sum: Tensor, gradient: Tensor): Tensor {
  if (sum.isContiguous && sum.storage.references === 1 && sum.shape.length > 0) {
    return binaryInto(sum, BINARY.add, sum, gradient);
  }
  return binary(BINARY.add, sum, gradient, sum.shape, "grad");
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

function collect(root: Node): { nodes: Node[]; leafEdges: Map<Tensor, number> } {
  const nodes: Node[] = [root];
  const seen = new Set<Node>(nodes);
  const leafEdges = new Map<Tensor, number>();
  for (let i = 0; i < nodes.length; i++) {
    if (nodes[i].isReleased) throw nodes[i].releasedError();
    for (const edge of nodes[i].edges) {
      if (edge === null) continue;
      if (!(edge instanceof Node)) leafEdges.set(edge, (leafEdges.get(edge) ?? 0) + 1);
      else if (!seen.has(edge)) {
        seen.add(edge);
        nodes.push(edge);
      }
    }
  }
  // An operation comes after everything it depends on, so the order of creation is a topological order.
  nodes.sort((a, b) => b.sequence - a.sequence);
  return { nodes, leafEdges };
}

function propagate(node: Node, leafEdges: Map<Tensor, number>): void {
  const gradient = node.gradient;
  const { edges } = node;
  if (gradient !== null) {
    const gradients = node.op.vjp!(node, gradient);
    for (let i = 0; i < edges.length; i++) {
      const edge = edges[i];
      const part = gradients[i];
      if (edge === null || part === null) continue;
      if (!(edge instanceof Node)) {
        if (part === WRITTEN) edge.grad = edge.gradSlot;
        else accumulateLeaf(edge, part, part !== gradient && gradients.indexOf(part) === gradients.lastIndexOf(part));
      } else if (part !== WRITTEN) {
        edge.gradient = edge.gradient === null ? alias(part) : added(edge.gradient, part);
      }
    }
  }
  for (const edge of edges) {
    if (edge === null || edge instanceof Node) continue;
    const left = leafEdges.get(edge)! - 1;
    leafEdges.set(edge, left);
    if (left === 0) edge.onGradient?.(edge);
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
    const scope = enterScope("the end of backward()");
    try {
      const seed = gradient ?? filled(root, root.shape, 1, "grad");
      if (root.node === null) {
        accumulateLeaf(root, contiguous(seed), false);
        root.onGradient?.(root);
        return;
      }
      const { nodes, leafEdges } = collect(root.node);
      root.node.gradient = alias(seed);
      for (const node of nodes) {
        // What a derivative makes is released as soon as the next one has been handed its part.
        const inner = enterScope("the end of backward()");
        propagate(node, leafEdges);
        for (const edge of node.edges) {
          if (edge instanceof Node && edge.gradient !== null) moveOut(edge.gradient, inner);
        }
        node.gradient?.dispose();
        node.release("the end of backward()");
        endScope(inner);
      }
    } finally {
      endScope(scope);
    }
  });
}
