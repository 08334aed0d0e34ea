/**
 * Changes in place, recorded by autograd as PyTorch records them.
 *
 * - **Versions.** Every change, recorded or not, is counted for the memory (core/version.ts). Backward refuses a tensor that was
 *   saved before the change.
 * - **History.** A change of a tensor in the graph makes it the result of the change: its node is replaced by one whose input is
 *   the old node. What was computed from the tensor before keeps the old node.
 * - **Views.** A change of a view is a change of its base: the base's node is replaced by one that passes the gradient of the
 *   written window through the operation and the rest as it is (`copySlices`). All views of the base find out when they are used
 *   next and derive their history from the base's (view_node.ts).
 * - **Originals.** An operation whose derivative needs its input saves a copy of the old values. One that needs its output saves
 *   the tensor itself, so a further change makes backward an error.
 * - **Refused where a gradient flows:** a leaf that requires a gradient, and its views, because the values that the gradient would
 *   belong to are lost; a view made in noGrad(), because it is unclear whether the base takes part; a view that came with others
 *   from split(), chunk() or unbind().
 * - **Refused always:** a result that would have to be larger than the tensor; a result type that the dtype cannot take (floating
 *   to integer, anything to bool); an expanded tensor, whose elements share memory, except to set all of them to one value; an
 *   operand that shares only some memory with the tensor.
 *
 * @module
 */
import { type DType, isFloating, resultType } from "../core/dtype.ts";
import { AutogradError, DeviceError, DTypeError, ShapeError } from "../core/errors.ts";
import { type Gradient, moveRetained, Node } from "../core/node.ts";
import { empty, isGradEnabled, type Op } from "../core/op.ts";
import { currentScope } from "../core/scope.ts";
import { broadcastShapes, formatShape, sameShape } from "../core/shape.ts";
import { bump } from "../core/version.ts";
import type { Tensor } from "../tensor.ts";
import { applyBinary, type BinaryName, binaryOps } from "./binary.ts";
import { cast, toDevice } from "./copy.ts";
import { binaryInto, copied, copyInto, fillInto, select, unaryInto } from "./launch.ts";
import { applyUnary, isExactFor, NO_ATTRS, type UnaryAttrs, type UnaryName, unaryOps } from "./unary.ts";
import { expand } from "./view.ts";
import { layOut, overlapsItself, type Window, windowOf } from "./view_node.ts";

// ---- What is refused

function checkRecordable(x: Tensor, name: string): void {
  const remedy = `Use ${name.replace(/_$/, "")}() instead`;
  const restriction = x.viewed?.restriction ?? null;
  if (restriction === "noGrad") {
    throw new AutogradError(
      `Cannot change a view in place with ${name} where a gradient flows: the view was made in noGrad(). Make both the view ` +
        `and the change inside noGrad(), or both outside`,
    );
  }
  if (restriction !== null) {
    throw new AutogradError(
      `Cannot change a view in place with ${name} where a gradient flows: ${restriction}() made it together with other views. ` +
        remedy,
    );
  }
  const base = x.viewed?.base;
  if (base !== undefined && base.requiresGrad && base.isLeaf) {
    throw new AutogradError(
      `Cannot change a view of a leaf that requires a gradient in place with ${name}: the values that the gradient belongs to ` +
        `would be lost. Do it inside noGrad(), or: ${remedy}`,
    );
  }
  if (x.requiresGrad && x.isLeaf) {
    throw new AutogradError(
      `Cannot change a leaf that requires a gradient in place with ${name}: the values that the gradient belongs to would be ` +
        `lost. Do it inside noGrad(), or: ${remedy}`,
    );
  }
}

/** Checks a change of `x` before anything is computed. Returns whether it must be recorded. */
function begin(x: Tensor, name: string, other: Tensor | null): boolean {
  x.checkLive(name);
  if (other !== null) other.checkLive(name);
  if (!isGradEnabled() || !(x.requiresGrad || (other !== null && other.requiresGrad && isFloating(x.dtype)))) {
    return false;
  }
  checkRecordable(x, name);
  return true;
}

function checkWritable(x: Tensor, name: string): void {
  if (!x.isContiguous && overlapsItself(x.shape, x.strides)) {
    throw new ShapeError(
      `Cannot change an expanded tensor of shape ${
        formatShape(x.shape)
      } in place with ${name}: more than one of its elements ` +
        `refers to a single memory location. Call clone() first`,
    );
  }
}

function checkResultShape(x: Tensor, other: Tensor, name: string): void {
  if (sameShape(x.shape, other.shape)) return;
  const result = broadcastShapes(x.shape, other.shape, `compute ${name} of`);
  if (!sameShape(result, x.shape)) {
    throw new ShapeError(
      `Cannot change ${formatShape(x.shape)} in place with ${name} of ${
        formatShape(other.shape)
      }: the result would have the ` +
        `shape ${formatShape(result)}. Use ${name.replace(/_$/, "")}()`,
    );
  }
}

function checkResultType(result: DType, x: Tensor, name: string): void {
  if ((isFloating(result) && !isFloating(x.dtype)) || (x.dtype === "bool" && result !== "bool")) {
    throw new DTypeError(
      `Cannot change ${x.dtype} in place with ${name}: the result type ${result} cannot be cast to ${x.dtype}. ` +
        `Use ${name.replace(/_$/, "")}(), or convert the tensor first`,
    );
  }
}

/** Whether the elements fill a range of memory without gaps, in any order. */
function isDense(x: Tensor): boolean {
  if (x.isContiguous) return true;
  const order = x.shape.map((_, i) => i).filter((i) => x.shape[i] !== 1).sort((a, b) => x.strides[a] - x.strides[b]);
  let expected = 1;
  for (const i of order) {
    if (x.strides[i] !== expected) return false;
    expected *= x.shape[i];
  }
  return true;
}

function lastElement(x: Tensor): number {
  return x.offset + x.shape.reduce((last, size, i) => last + (size - 1) * x.strides[i], 0);
}

/** An operand that can be read while `x` is written: itself, or a copy where it may share some memory with `x`. */
function readable(x: Tensor, other: Tensor, name: string): Tensor {
  // Scalars share a storage without sharing memory; offsets count elements, so only those of one dtype can be compared.
  const isApart = x.storage.id !== other.storage.id || x.dtype !== other.dtype;
  if (isApart || x.size === 0 || other.size === 0) return other;
  if (lastElement(x) < other.offset || lastElement(other) < x.offset) return other;
  const isSame = x.offset === other.offset && sameShape(x.shape, other.shape) && sameShape(x.strides, other.strides);
  if (isSame) return other;
  if (isDense(x) && isDense(other)) {
    throw new ShapeError(
      `Cannot change a tensor of shape ${
        formatShape(x.shape)
      } in place with ${name}: it shares some memory with the operand. ` +
        `Call clone() on one of them first`,
    );
  }
  return copied(other, name);
}

// ---- History

interface SlicesAttrs {
  /** What was done to the window; not part of the graph itself. */
  readonly inner: Node;
  readonly window: Window;
}

const copySlicesOp: Op<SlicesAttrs> = {
  name: "change of a view in place",
  outputShape: (_inputs, { window }) => window.baseShape,
  forward() {
    throw new AutogradError("Cannot run a change of a view in place forward: it is only made as a node");
  },
  vjp({ attrs: { inner, window } }, g): Gradient[] {
    const { base, view } = layOut(window, g);
    copyInto(base, g);
    const gradients = inner.op.vjp!(inner, copied(view, "grad"));
    const own = gradients[0];
    copyInto(
      view,
      own === null || typeof own === "symbol" ? fillInto(empty(g.storage.device, [], g.dtype, "grad"), 0) : own,
    );
    return [base, ...gradients.slice(1)];
  },
};

/** Owns the node of what was done to the window. */
class SlicesNode extends Node<SlicesAttrs> {
  override release(when: string): void {
    this.attrs.inner.release(when);
    super.release(when);
  }
  override manage(): void {
    this.attrs.inner.manage();
    super.manage();
  }
}

/** Gives a node to the current scope, which releases what it saves, also when the operation fails. */
function owned<A>(node: Node<A>): Node<A> {
  currentScope()?.nodes.push(node);
  return node;
}

/** Makes a node, which belongs to an operation on `x` and perhaps another operand, the history of `x`. */
function rebase(x: Tensor, node: Node, other: Tensor | null): void {
  if (x.viewed === null) {
    const before = x.node;
    x.record(node);
    if (before !== null) moveRetained(x, before, node);
    return;
  }
  const { base } = x.viewed;
  const before = base.node;
  const inputs = other === null ? [base] : [base, other];
  const outer = new SlicesNode(copySlicesOp, { inner: node, window: windowOf(x, base) }, inputs, base.shape);
  base.record(owned(outer));
  if (before !== null) moveRetained(base, before, outer);
}

// ---- Operations

/** Applies a unary operation to the tensor itself. `name` is that of the method. */
export function unaryInPlace(x: Tensor, op: UnaryName, name: string, attrs: UnaryAttrs = NO_ATTRS): void {
  const recorded = begin(x, name, null);
  checkWritable(x, name);
  if (!isExactFor(op, x.dtype, attrs)) {
    const result = applyUnary(op, x, attrs);
    checkResultType(result.dtype, x, name);
    copyInto(x, result);
    bump(x.storage, name);
    return;
  }
  const definition = unaryOps[op];
  const node = recorded && definition.vjp !== undefined ? owned(new Node(definition, attrs, [x], x.shape)) : null;
  if (node !== null && definition.saves === "input") node.save(copied(x, name));
  unaryInto(x, definition.id, x, attrs.alpha, attrs.beta);
  bump(x.storage, name);
  if (node === null) return;
  if (definition.saves === "output") node.save(x);
  rebase(x, node, null);
}

/** Operations that give integers integers. */
const EXACT: ReadonlySet<BinaryName> = new Set(["add", "sub", "mul"] as const);

/** Applies a binary operation to the tensor itself and another one, which is broadcast and converted. */
export function binaryInPlace(x: Tensor, op: BinaryName, other: Tensor, name: string, alpha = 1): void {
  const recorded = begin(x, name, other);
  checkWritable(x, name);
  checkResultShape(x, other, name);
  const isExact = isFloating(x.dtype) || (x.dtype !== "bool" && EXACT.has(op));
  const common = resultType(x.dtype, x.shape.length, other.dtype, other.shape.length);
  if (x.storage.device !== other.storage.device || common !== x.dtype || !isExact) {
    // Computed in the common dtype, and rounded on the way back.
    const result = applyBinary(op, x, other, alpha);
    checkResultType(result.dtype, x, name);
    copyInPlace(x, result, name);
    return;
  }
  const typed = cast(other, x.dtype);
  const operand = readable(x, typed, name);
  const definition = binaryOps[op];
  const node = recorded ? owned(new Node<number>(definition, alpha, [x, typed], x.shape)) : null;
  if (node !== null && definition.saves) {
    // The old values are for the gradient of the other operand; that of pow needs them for both.
    node.save(node.needs(1) || op === "pow" ? copied(x, name) : typed, typed);
  }
  binaryInto(x, definition.id, x, operand, alpha);
  bump(x.storage, name);
  if (node !== null) rebase(x, node, typed);
}

function zerosLike(g: Tensor): Tensor {
  return fillInto(empty(g.storage.device, g.shape, g.dtype, "grad"), 0);
}

const copyOp: Op<null> = {
  name: "copy_",
  outputShape: ([x]) => x.shape,
  forward: ([_x, source]) => copied(source, "copy_"),
  vjp: (node, g) => [node.needs(0) ? zerosLike(g) : null, node.needs(1) ? g : null],
};

/** Copies the elements of another tensor, which is broadcast, converted and fetched from its device. */
export function copyInPlace(x: Tensor, source: Tensor, name = "copy_"): void {
  const recorded = begin(x, name, source);
  checkWritable(x, name);
  checkResultShape(x, source, name);
  let operand = toDevice(source, x.storage.device);
  if (recorded) operand = expand(cast(operand, x.dtype), x.shape);
  const node = recorded ? owned(new Node(copyOp, null, [x, operand], x.shape)) : null;
  copyInto(x, readable(x, operand, name));
  bump(x.storage, name);
  if (node !== null) rebase(x, node, operand);
}

const fillOp: Op<null> = {
  name: "fill_",
  outputShape: ([x]) => x.shape,
  forward: ([x]) => copied(x, "fill_"),
  vjp: (_node, g) => [zerosLike(g)],
};

/** Sets every element to one value; a tensor without dimensions passes its gradient on. */
export function fillInPlace(x: Tensor, value: number | Tensor, name = "fill_"): void {
  if (typeof value !== "number") {
    if (value.shape.length > 0) {
      throw new ShapeError(`Cannot fill with a tensor of shape ${formatShape(value.shape)}: it must have no dimension`);
    }
    return copyInPlace(x, value, name);
  }
  const recorded = begin(x, name, null);
  if (x.isContiguous) fillInto(x, value);
  else copyInto(x, fillInto(empty(x.storage.device, [], x.dtype, name), value));
  bump(x.storage, name);
  if (recorded) rebase(x, owned(new Node(fillOp, null, [x], x.shape)), null);
}

const maskedFillOp: Op<null> = {
  name: "maskedFill_",
  outputShape: ([x]) => x.shape,
  forward: ([x]) => copied(x, "maskedFill_"),
  vjp(node, g) {
    const [mask] = node.saved;
    return [select(mask, zeroOf(g), g, g.shape, "grad")];
  },
};

function zeroOf(g: Tensor): Tensor {
  return fillInto(empty(g.storage.device, [], g.dtype, "grad"), 0);
}

/** Sets the elements where a bool mask, which is broadcast, holds. */
export function maskedFillInPlace(x: Tensor, mask: Tensor, value: number): void {
  const name = "maskedFill_";
  const recorded = begin(x, name, null);
  checkWritable(x, name);
  mask.checkLive(name);
  if (mask.dtype !== "bool") {
    throw new DTypeError(
      `Cannot fill where a mask of ${mask.dtype} holds: the mask must be bool. Compare first, or use to()`,
    );
  }
  if (mask.storage.device !== x.storage.device) {
    throw new DeviceError(
      `Cannot fill a tensor on ${x.device} where a mask on ${mask.device} holds: move the mask first`,
    );
  }
  checkResultShape(x, mask, name);
  const node = recorded ? owned(new Node(maskedFillOp, null, [x], x.shape)) : null;
  node?.save(mask);
  const filler = fillInto(empty(x.storage.device, [], x.dtype, name), value);
  copyInto(x, select(mask, filler, x, x.shape, name));
  bump(x.storage, name);
  if (node !== null) rebase(x, node, null);
}
