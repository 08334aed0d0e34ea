/**
 * The tensor: a typed, strided window on a storage, with PyTorch's methods in camelCase. Methods are thin: the operations are in
 * `ops/`. Elementwise methods are in tensor_elementwise.ts, those in place in tensor_in_place.ts, views in tensor_views.ts,
 * selections in tensor_indexing.ts, reductions in tensor_reductions.ts.
 *
 * @module
 */
import { backward, type BackwardOptions } from "./autograd.ts";
import { type Device, device as findDevice, type DeviceName } from "./core/device.ts";
import { checkDType, type DType, type HostArray, hostArray, isFloating } from "./core/dtype.ts";
import { AutogradError, DTypeError, ShapeError } from "./core/errors.ts";
import { type GradientHook, hooksOf } from "./core/node.ts";
import { registerTensor, viewOf } from "./core/op.ts";
import { ScalarStorage } from "./core/scalar_slab.ts";
import { formatShape, sameShape } from "./core/shape.ts";
import { formatTensor } from "./format.ts";
import { cast, clone, contiguousOf, readBytes, toDevice } from "./ops/copy.ts";
import { matmul } from "./ops/matmul.ts";
import { type ClosenessOptions, holds, isClose } from "./ops/closeness.ts";
import * as products from "./ops/products.ts";
import type { ReduceOptions } from "./ops/reduce.ts";
import { logSoftmax, logSumExp, softmax } from "./ops/softmax.ts";
import { TensorInPlace } from "./tensor_in_place.ts";

/** Nested arrays of numbers, as `toArray` returns them. */
export type NestedArray = number | NestedArray[];

/** An n-dimensional array on a device. */
export class Tensor extends TensorInPlace {
  /** Sets whether gradients are computed. */
  requiresGrad_(value = true): this {
    if (value && !isFloating(this.dtype)) {
      throw new DTypeError(`Cannot require a gradient of ${this.dtype}: only floating tensors have one`);
    }
    if (this.node !== null) {
      if (value) return this;
      throw new AutogradError(
        "Cannot stop the gradient of a result: only a leaf can change requiresGrad. Use detach()",
      );
    }
    this.requiresGrad = value;
    return this;
  }

  /**
   * Adds the gradients of this tensor to the `grad` of every leaf it depends on: `backward()`, `backward({ retainGraph: true })`
   * or `backward(gradient, { retainGraph: true })`.
   *
   * @param gradient The gradient of this tensor; default 1, for a tensor of one element.
   * @param options See {@link BackwardOptions}.
   */
  backward(gradient?: Tensor | BackwardOptions, options: BackwardOptions = {}): void {
    this.checkLive("backward");
    if (gradient === undefined || gradient instanceof Tensor) backward(this, gradient, options);
    else backward(this, undefined, gradient);
  }

  /**
   * Makes backward fill `grad` also of a tensor that is not a leaf. `grad` lives as long as the tensor.
   *
   * @throws {AutogradError} When the tensor requires no gradient.
   */
  retainGrad(): this {
    this.checkLive("retainGrad");
    if (!this.requiresGrad) throw new AutogradError("Cannot retain the gradient of a tensor that requires none");
    const { node } = this;
    if (node === null) return this;
    const { retaining } = hooksOf(node);
    if (!retaining.includes(this)) retaining.push(this);
    return this;
  }

  /**
   * Calls a function with the gradient of this tensor as soon as backward has all of it. What the function returns replaces the
   * gradient. As in PyTorch it belongs to the values of now: a later change in place does not move it.
   *
   * @param hook The gradient it receives must not be changed; call `keep()` on it to hold it after backward.
   * @returns A handle whose `remove()` ends the calls.
   * @throws {AutogradError} When the tensor requires no gradient.
   *
   * @example
   * ```ts
   * import { assert } from "@std/assert";
   * import { tensor } from "../mod.ts";
   * const x = tensor([1, 2], { requiresGrad: true });
   * const handle = x.registerHook((gradient) => gradient.mul(10));
   * x.sum().backward();
   * assert(String(x.grad!.toArray()) === "10,10");
   * handle.remove();
   * ```
   */
  registerHook(hook: GradientHook): { remove(): void } {
    this.checkLive("registerHook");
    if (!this.requiresGrad) throw new AutogradError("Cannot register a hook on a tensor that requires no gradient");
    // An own function, so that the same one can be registered twice.
    const entry: GradientHook = (gradient) => hook(gradient);
    if (this.node !== null) {
      const { hooks } = hooksOf(this.node);
      hooks.add(entry);
      return { remove: () => void hooks.delete(entry) };
    }
    const { hooks } = this.leafHooks ??= { hooks: new Set(), pending: null };
    hooks.add(entry);
    return {
      remove: () => {
        hooks.delete(entry);
        // Without hooks, derivatives may write into the flat gradients again.
        if (hooks.size === 0 && this.leafHooks?.pending === null) this.leafHooks = null;
      },
    };
  }

  /** A view without history. */
  detach(): Tensor {
    this.checkLive("detach");
    return viewOf(this, this.shape, this.strides, this.offset, "detach");
  }

  /** The value of a tensor of one element; int64 as a number. */
  item(): number {
    this.checkLive("item");
    if (this.size !== 1) {
      throw new ShapeError(`Cannot take the item of ${formatShape(this.shape)}: it must have one element`);
    }
    if (this.dtype === "bfloat16") return cast(this, "float32").item();
    const host = this.storage instanceof ScalarStorage ? this.storage.host : undefined;
    const array = host === undefined || this.shape.length > 0
      ? hostArray(this.dtype, readBytes(this, "item()"))
      : hostArray(this.dtype, host, (this.storage as ScalarStorage).byteOffset, 1);
    return Number(array[0]);
  }

  /** A copy of the elements in row-major order. */
  data(): HostArray {
    this.checkLive("data");
    return hostArray(this.dtype, readBytes(this));
  }

  /** A copy of the elements as nested arrays. */
  toArray(): NestedArray {
    const flat = this.dtype === "bfloat16" ? cast(this, "float32").data() : this.data();
    let at = 0;
    const build = (dim: number): NestedArray => {
      if (dim === this.shape.length) return Number(flat[at++]);
      return Array.from({ length: this.shape[dim] }, () => build(dim + 1));
    };
    return build(0);
  }

  /** The tensor on another device, or in another dtype; itself when nothing changes. */
  to({ device, dtype }: { device?: DeviceName | Device; dtype?: DType }): Tensor {
    this.checkLive("to");
    const typed = dtype === undefined ? this : cast(this, checkDType(dtype));
    return device === undefined ? typed : toDevice(typed, findDevice(device));
  }

  /** A copy with memory of its own; gradients flow through it. */
  clone(): Tensor {
    return clone(this);
  }

  /** The tensor itself when it is contiguous, else a contiguous copy. */
  contiguous(): Tensor {
    return contiguousOf(this);
  }

  // Products.

  /**
   * Matrix product as `torch.matmul`: (..., m, k) by (..., k, n) to (..., m, n) with leading dimensions that broadcast; a vector gets a
   * dimension that is removed again.
   *
   * @throws {ShapeError} When inner sizes differ or batch dimensions do not broadcast.
   * @throws {DTypeError} When an operand is not floating, or the dtypes differ.
   */
  matmul(other: Tensor): Tensor {
    return matmul(this, other);
  }
  /** Inner product of two vectors. */
  dot(other: Tensor): Tensor {
    return products.dot(this, other);
  }
  /** Product of two matrices, without broadcasting. */
  mm(other: Tensor): Tensor {
    return products.mm(this, other);
  }
  /** Products of two batches of matrices, without broadcasting. */
  bmm(other: Tensor): Tensor {
    return products.bmm(this, other);
  }
  /** Outer product of two vectors. */
  outer(other: Tensor): Tensor {
    return products.outer(this, other);
  }
  /** `beta * this + alpha * (a @ b)`. */
  addmm(a: Tensor, b: Tensor, options?: { beta?: number; alpha?: number }): Tensor {
    return products.addmm(this, a, b, options);
  }

  /**
   * exp(x) / sum(exp(x)) over dimension `dim`, without overflow: `torch.softmax`. A row of -infinity gives NaN.
   *
   * @throws {DTypeError} For integers and bool, as PyTorch.
   */
  softmax({ dim }: { dim: number }): Tensor {
    return softmax(this, dim);
  }
  /** log(softmax(x)) over dimension `dim`, also where the softmax is 0 in the dtype: `torch.log_softmax`. Errors as {@link softmax}. */
  logSoftmax({ dim }: { dim: number }): Tensor {
    return logSoftmax(this, dim);
  }
  /** log(sum(exp(x))) over dimensions, by default all, without overflow: `torch.logsumexp`. Of nothing it is -infinity. */
  logsumexp(options?: ReduceOptions): Tensor {
    return logSumExp(this, options);
  }

  /** The elements as PyTorch prints them; of large tensors the ends only. */
  override toString(): string {
    return this.isReleased ? `tensor(released, shape=${formatShape(this.shape)})` : formatTensor(this);
  }

  /** What console.log shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** Whether all elements are close: |a - b| <= atol + rtol |b|. NaN is close to nothing; another shape is not close. */
  allClose(other: Tensor, options?: ClosenessOptions): boolean {
    return sameShape(this.shape, other.shape) && holds(() => isClose(this, other, options));
  }

  /** Where elements are close: a bool tensor of the broadcast shape. */
  isClose(other: Tensor, options?: ClosenessOptions): Tensor {
    return isClose(this, other, options);
  }

  /** Whether shape and all elements are equal; the dtypes may differ. */
  equal(other: Tensor): boolean {
    return sameShape(this.shape, other.shape) && holds(() => this.eq(other));
  }
}

registerTensor((storage, shape, strides, offset, dtype, origin) =>
  new Tensor(storage, shape, strides, offset, dtype, origin)
);
