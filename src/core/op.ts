/**
 * What an operation is, and how it is run. An op is one plain object; the engine knows none by name.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import type { Device } from "./device.ts";
import { type DType, dtypeBytes } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import { type Gradient, Node } from "./node.ts";
import { createScalarStorage } from "./scalar_slab.ts";
import { currentScope } from "./scope.ts";
import { contiguousStrides, type Shape, sizeOf } from "./shape.ts";
import { CATEGORY, createStorage, type Storage } from "./storage.ts";

/** One operation: its shape rule, its computation, its derivative. */
export interface Op<A> {
  /** Name for messages, in PyTorch's words. */
  readonly name: string;
  /** The shape of the result. Checks shapes and dtypes, and throws ShapeError or DTypeError before any native call. */
  outputShape(inputs: readonly Tensor[], attrs: A): Shape;
  /**
   * Computes the result.
   *
   * @param node Where to `save` what the derivative needs; null when no gradient will flow.
   */
  forward(inputs: readonly Tensor[], attrs: A, shape: Shape, node: Node<A> | null): Tensor;
  /** Gradients of the inputs from that of the output (vector-Jacobian product). Absent: not differentiable. */
  vjp?(node: Node<A>, gradient: Tensor): Gradient[];
}

/** Why a view must not be changed in place where a gradient flows: it was made in noGrad(), or by the operation of that name. */
export type ViewRestriction = string | null;

/** Of which tensor another one is a view. */
export interface Viewed {
  /** The tensor whose memory it is; never a view itself. */
  readonly base: Tensor;
  /** The base's node when the view's own node was made. When it has another one now, the view's node is out of date. */
  seen: Node | null;
  readonly restriction: ViewRestriction;
}

type TensorFactory = (
  storage: Storage,
  shape: Shape,
  strides: readonly number[],
  offset: number,
  dtype: DType,
  origin: string,
) => Tensor;

let construct: TensorFactory;

/** @internal Called once by tensor.ts, which this layer must not import. */
export function registerTensor(factory: TensorFactory): void {
  construct = factory;
}

let gradEnabled = true;
let insideBackward = false;

/** Whether operations record their derivatives. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/**
 * Runs a function whose operations record no derivatives.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { noGrad, ones } from "../../mod.ts";
 * const x = ones([2], { requiresGrad: true });
 * const y = noGrad(() => x.mul(2));
 * assert(!y.requiresGrad);
 * ```
 */
export function noGrad<T>(fn: () => T): T {
  const before = gradEnabled;
  gradEnabled = false;
  let result: T;
  try {
    result = fn();
  } finally {
    gradEnabled = before;
  }
  return result;
}

/**
 * Runs a function whose operations record their derivatives, also inside {@link noGrad}.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { enableGrad, noGrad, ones } from "../../mod.ts";
 * const x = ones([2], { requiresGrad: true });
 * const y = noGrad(() => enableGrad(() => x.mul(2)));
 * assert(y.requiresGrad);
 * ```
 */
export function enableGrad<T>(fn: () => T): T {
  const before = gradEnabled;
  gradEnabled = true;
  try {
    return fn();
  } finally {
    gradEnabled = before;
  }
}

/** @internal Runs a part of the forward pass again inside a backward pass: recorded, and without access to what was released. */
export function runForward<T>(fn: () => T): T {
  const wasInside = insideBackward;
  insideBackward = false;
  try {
    return enableGrad(fn);
  } finally {
    insideBackward = wasInside;
  }
}

/** @internal Runs derivatives: nothing is recorded, and what a scope has released but the graph still holds may be used. */
export function runBackward<T>(fn: () => T): T {
  const before = gradEnabled;
  const wasInside = insideBackward;
  gradEnabled = false;
  insideBackward = true;
  try {
    return fn();
  } finally {
    gradEnabled = before;
    insideBackward = wasInside;
  }
}

function adopt(tensor: Tensor): Tensor {
  const scope = currentScope();
  if (scope === undefined) {
    tensor.storage.manage();
  } else {
    tensor.scope = scope;
    scope.tensors.push(tensor);
  }
  return tensor;
}

/** A new contiguous tensor, not initialised. Scalars go to the slab, all others to the current scope. */
export function empty(
  device: Device,
  shape: Shape,
  dtype: DType,
  origin: string,
  category: number = CATEGORY.activation,
): Tensor {
  const bytes = dtypeBytes(dtype);
  if (shape.length === 0) {
    const slot = createScalarStorage(device);
    return construct(slot, shape, shape, slot.byteOffset / bytes, dtype, origin);
  }
  const storage = createStorage(device, sizeOf(shape) * bytes, category);
  return adopt(construct(storage, shape, contiguousStrides(shape), 0, dtype, origin));
}

/** A tensor that shares the memory of another. `offset` counts elements from the beginning of the storage. */
export function viewOf(
  tensor: Tensor,
  shape: Shape,
  strides: readonly number[],
  offset: number,
  origin: string,
): Tensor {
  tensor.storage.retain();
  const view = construct(tensor.storage, shape, strides, offset, tensor.dtype, origin);
  if (shape.length > 0) return adopt(view);
  // A scalar belongs to no scope, so its view of a larger storage keeps that alive for as long as it is held.
  tensor.storage.manage();
  return view;
}

/** A tensor over a whole storage, for flat buffers; it takes over one holder of the storage. */
export function tensorOver(storage: Storage, shape: Shape, offset: number, dtype: DType, origin: string): Tensor {
  return construct(storage, shape, contiguousStrides(shape), offset, dtype, origin);
}

function deviceMismatch(op: string, a: Tensor, b: Tensor): DeviceError {
  return new DeviceError(
    `Cannot compute ${op} of tensors on ${a.device} and ${b.device}: they must be on one device. ` +
      `Move one with .to({ device }); a loader prepared by the Accelerator places its batches on the model's device`,
  );
}

/** Runs operations in other dtypes than those of their inputs: see src/autocast.ts. */
export interface Autocast {
  run<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor;
}

let autocast: Autocast | null = null;

/** What runs operations now, or null when they run as they are. */
export function currentAutocast(): Autocast | null {
  return autocast;
}

/** Runs a function whose operations `next` runs. */
export function withAutocast<T>(next: Autocast | null, fn: () => T): T {
  const before = autocast;
  autocast = next;
  try {
    return fn();
  } finally {
    autocast = before;
  }
}

/**
 * Runs an operation: checks, computes, and records its node when a gradient must flow.
 *
 * @throws {DeviceError} When inputs are on different devices.
 * @throws {ReleasedError} When an input was released.
 */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  return autocast === null || insideBackward ? applyAsIs(op, inputs, attrs) : autocast.run(op, inputs, attrs);
}

/** The same without {@link Autocast}. */
export function applyAsIs<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  let recorded = false;
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i];
    if (!insideBackward) input.checkLive(op.name);
    if (input.storage.device !== inputs[0].storage.device) throw deviceMismatch(op.name, inputs[0], input);
    if (input.viewed !== null) input.refreshHistory();
    if (input.ownRequiresGrad) recorded = true;
  }
  const shape = op.outputShape(inputs, attrs);
  if (!recorded || !gradEnabled || op.vjp === undefined) return op.forward(inputs, attrs, shape, null);
  const node = new Node<A>(op, attrs, inputs, shape);
  // Before the computation: when that throws, the scope releases what the node has saved.
  currentScope()?.nodes.push(node);
  const output = op.forward(inputs, attrs, shape, node);
  output.record(node);
  return output;
}

/**
 * Runs an operation whose result is a window on its first input's memory, and notes of which tensor it is a view: a change of one
 * in place is then a change of the other, for autograd too (see ops/in_place.ts). Where the operation had to copy, nothing is
 * noted.
 *
 * @param isOneOfMany Whether the result is one of several views that an operation returns together, as split and unbind do.
 */
export function applyView<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A, isOneOfMany = false): Tensor {
  const source = inputs[0];
  const view = apply(op, inputs, attrs);
  if (view === source || view.storage !== source.storage) return view;
  const base = source.viewed?.base ?? source;
  let restriction: ViewRestriction = source.viewed?.restriction ?? null;
  if (isOneOfMany) restriction = op.name;
  else if (!gradEnabled && !insideBackward) restriction = "noGrad";
  view.viewed = { base, seen: base.node, restriction };
  return view;
}
