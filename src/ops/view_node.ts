/**
 * The history of a view of a tensor whose own history was replaced by a change in place.
 *
 * @module
 */
import { Node } from "../core/node.ts";
import { empty, type Op, viewOf } from "../core/op.ts";
import { currentScope } from "../core/scope.ts";
import { isContiguous, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { copyInto, fillInto } from "./launch.ts";
import { sumToShape } from "./reduce.ts";

/** Where a view lies in its base: a window that needs no tensor to be described. */
export interface Window {
  readonly shape: Shape;
  readonly strides: readonly number[];
  /** Elements from the base's first. */
  readonly offset: number;
  readonly baseShape: Shape;
  readonly baseStrides: readonly number[];
}

/** The window of a view in its base. */
export function windowOf(view: Tensor, base: Tensor): Window {
  return {
    shape: view.shape,
    strides: view.strides,
    offset: view.offset - base.offset,
    baseShape: base.shape,
    baseStrides: base.strides,
  };
}

/** Zeros with the memory layout of the base, read as the base and as the view. */
export function layOut(window: Window, like: Tensor): { base: Tensor; view: Tensor } {
  const { shape, strides, offset, baseShape, baseStrides } = window;
  const { device } = like.storage;
  if (isContiguous(baseShape, baseStrides)) {
    const base = fillInto(empty(device, baseShape, like.dtype, "grad"), 0);
    return { base, view: viewOf(base, shape, strides, base.offset + offset, "grad") };
  }
  // A base that was detached from a transposed or sliced tensor: its gradient gets the same gaps.
  const extent = baseShape.reduce((last, size, i) => last + (size - 1) * baseStrides[i], 1);
  const memory = fillInto(empty(device, [extent], like.dtype, "grad"), 0);
  return {
    base: viewOf(memory, baseShape, baseStrides, 0, "grad"),
    view: viewOf(memory, shape, strides, offset, "grad"),
  };
}

/** Whether a dimension repeats the same memory. */
export function overlapsItself(shape: Shape, strides: readonly number[]): boolean {
  return shape.some((size, i) => size > 1 && strides[i] === 0);
}

const viewOfBaseOp: Op<Window> = {
  name: "view of a tensor that was changed in place",
  outputShape: (_inputs, { shape }) => shape,
  // It is only made as a node: the view exists already.
  forward: ([base], { shape, strides, offset }) => viewOf(base, shape, strides, base.offset + offset, "view"),
  vjp({ attrs }, g) {
    // What repeats an element sums its gradients.
    const once = attrs.shape.map((size, i) => attrs.strides[i] === 0 ? Math.min(size, 1) : size);
    const { base, view } = layOut({ ...attrs, shape: once }, g);
    copyInto(view, sumToShape(g, once));
    return [base];
  },
};

/** The node of a view, made from its base's present history; null when that has none. */
export function viewNode(view: Tensor, base: Tensor): Node | null {
  if (!base.requiresGrad) return null;
  const node = new Node(viewOfBaseOp, windowOf(view, base), [base], view.shape);
  currentScope()?.nodes.push(node);
  return node;
}
