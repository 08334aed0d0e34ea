/**
 * What a tensor is: a typed, strided window on a storage, with a lifetime. The operations are in tensor.ts.
 *
 * @module
 */
import type { DeviceName } from "./core/device.ts";
import type { DType } from "./core/dtype.ts";
import { ReleasedError, ShapeError } from "./core/errors.ts";
import { type GradientHook, moveRetained, type Node } from "./core/node.ts";
import type { Viewed } from "./core/op.ts";
import type { Scope } from "./core/scope.ts";
import { formatShape, isContiguous, type Shape, sizeOf } from "./core/shape.ts";
import type { Storage } from "./core/storage.ts";
import { viewNode } from "./ops/view_node.ts";
import type { Tensor } from "./tensor.ts";

/** Hooks on the gradient of a leaf, and the part of it that the running backward pass has found so far. */
export interface LeafHooks {
  readonly hooks: Set<GradientHook>;
  pending: Tensor | null;
}

/** Memory, shape and lifetime of a tensor. */
export abstract class TensorBase {
  /** @internal The memory; it changes only when a parameter moves into a flat buffer. */
  storage: Storage;
  /** Sizes of the dimensions; none for a scalar. */
  readonly shape: Shape;
  /** Elements between neighbours in each dimension. */
  readonly strides: readonly number[];
  /** Elements from the beginning of the storage. */
  offset: number;
  /** What its elements are. */
  readonly dtype: DType;
  /** Number of elements. */
  readonly size: number;
  /** Whether elements lie in row-major order without gaps. */
  readonly isContiguous: boolean;
  /** The gradient that `backward()` has summed up, for leaves. */
  grad: Tensor | null = null;
  /** @internal Whether a gradient is wanted; up to date for a view after {@link refreshHistory}. */
  ownRequiresGrad = false;
  /** @internal The operation that made the tensor; up to date for a view after {@link refreshHistory}. */
  ownNode: Node | null = null;
  /** @internal Of which tensor this is a view. */
  viewed: Viewed | null = null;
  /** @internal Hooks on the gradient of this leaf. */
  leafHooks: LeafHooks | null = null;
  /** @internal The place of the gradient in a flat storage. */
  gradSlot: Tensor | null = null;
  /** @internal Called by backward when the gradient of this leaf is complete. */
  onGradient: ((leaf: Tensor) => void) | null = null;
  /** @internal Edges of the graph that the running backward pass has not followed yet to this leaf. */
  edgeCount = 0;
  /** @internal The scope that releases the tensor. */
  scope: Scope | undefined = undefined;
  readonly #origin: string;
  #releasedWhen: string | null = null;

  /** @internal Use `tensor`, `zeros`, `randn` and the like. */
  constructor(
    storage: Storage,
    shape: Shape,
    strides: readonly number[],
    offset: number,
    dtype: DType,
    origin: string,
  ) {
    this.storage = storage;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.dtype = dtype;
    this.size = sizeOf(shape);
    this.isContiguous = isContiguous(shape, strides);
    this.#origin = origin;
  }

  /** @internal Gives a view the history that its base has by now: a change of the base in place is a change of its views. */
  refreshHistory(): void {
    const viewed = this.viewed!;
    const { base } = viewed;
    if (viewed.seen !== base.ownNode) {
      viewed.seen = base.ownNode;
      const before = this.ownNode;
      this.ownNode = viewNode(this.self, base);
      if (before !== null && this.ownNode !== null) moveRetained(this.self, before, this.ownNode);
    }
    if (base.ownRequiresGrad) this.ownRequiresGrad = true;
  }

  /** Whether `backward()` computes a gradient for this tensor, or through it. A view does when its base does. */
  get requiresGrad(): boolean {
    if (this.viewed !== null) this.refreshHistory();
    return this.ownRequiresGrad;
  }
  set requiresGrad(value: boolean) {
    this.ownRequiresGrad = value;
  }

  /** @internal The operation that made the tensor, when a gradient must flow through it. */
  get node(): Node | null {
    if (this.viewed !== null) this.refreshHistory();
    return this.ownNode;
  }

  /** @internal Sets the operation that made the tensor. */
  record(node: Node): void {
    this.ownNode = node;
    this.ownRequiresGrad = true;
  }

  /** How often this memory was changed in place, by this tensor or by another one that shares it. */
  get version(): number {
    return this.storage.version;
  }

  /** @internal The tensor, for methods that are declared in a class below it. */
  protected get self(): Tensor {
    return this as unknown as Tensor;
  }

  /** The device's name. */
  get device(): DeviceName {
    return this.storage.device.toString();
  }

  /** Size of the first dimension. */
  get length(): number {
    if (this.shape.length === 0) throw new ShapeError("Cannot take the length of a scalar: it has no dimension");
    return this.shape[0];
  }

  /** Whether the tensor was not made by a recorded operation. */
  get isLeaf(): boolean {
    return this.node === null;
  }

  /** @internal Tells a leaf from a node at the end of an edge. */
  get isNode(): false {
    return false;
  }

  /** Whether the memory was released. */
  get isReleased(): boolean {
    return this.#releasedWhen !== null;
  }

  /** @internal Throws when the tensor was released. */
  checkLive(action: string): void {
    if (this.#releasedWhen === null) return;
    throw new ReleasedError(
      `Cannot use a tensor of shape ${
        formatShape(this.shape)
      } in ${action}: it was made by ${this.#origin} and released at ` +
        `${this.#releasedWhen}. Call .keep() to hold it longer`,
    );
  }

  /** @internal Releases the memory; `when` is for the error of a later use. */
  releaseAt(when: string): void {
    if (this.#releasedWhen !== null) return;
    this.#releasedWhen = when;
    this.scope = undefined;
    this.storage.release();
  }

  /** @internal Moves a contiguous parameter to another place, which already holds its values. */
  rebind(storage: Storage, offset: number): void {
    storage.retain();
    this.storage.release();
    this.storage = storage;
    this.offset = offset;
  }

  /** @internal Takes over memory, layout and dtype of another tensor of the same shape, which must not be used any more. */
  become(other: Tensor): void {
    const { storage } = this;
    other.storage.retain();
    const self = this as {
      -readonly [K in "storage" | "strides" | "offset" | "dtype" | "isContiguous"]: TensorBase[K];
    };
    self.storage = other.storage;
    self.strides = other.strides;
    self.offset = other.offset;
    self.dtype = other.dtype;
    self.isContiguous = other.isContiguous;
    other.dispose();
    storage.release();
    if (this.scope === undefined) this.storage.manage();
  }

  /** Takes the tensor out of its scope: it lives until `dispose()`, or until nobody holds it. */
  keep(): this {
    this.checkLive("keep");
    this.scope = undefined;
    this.storage.manage();
    return this;
  }

  /** Releases the memory now. */
  dispose(): void {
    this.releaseAt("dispose()");
  }

  /** `using t = ...` disposes at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
