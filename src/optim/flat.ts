/**
 * Flat storage: the parameters of one dtype and device lie in one buffer, their gradients in another of the same layout. A step of
 * the optimizer, or the reduction of a bucket, is then one native call over a range, without copies.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import { empty, viewOf } from "../core/op.ts";
import { withScope } from "../core/scope.ts";
import { CATEGORY } from "../core/storage.ts";
import { toDevice } from "../ops/copy.ts";
import { copyInto, fillInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";

/** Every parameter starts at a multiple of this many elements: 64 bytes of float32, so that vector loads are aligned. */
export const ALIGNMENT = 16;

/** The position after a parameter of `size` elements at `offset`. */
export function nextOffset(offset: number, size: number): number {
  return Math.ceil((offset + size) / ALIGNMENT) * ALIGNMENT;
}

/** One dtype's parameters and their gradients. The padding between them is zero and stays so. */
export interface FlatBuffer {
  readonly parameters: readonly Tensor[];
  /** All values, one dimension. */
  readonly values: Tensor;
  /** One word for each parameter, aligned, for the reduction between ranks; then all gradients, in the layout of the values. */
  readonly gradients: Tensor;
}

/** A zeroed one-dimensional tensor that belongs to no scope. */
export function flatZeros(like: Tensor, size: number, category: number, dtype: DType = like.dtype): Tensor {
  return withScope(undefined, () => fillInto(empty(like.storage.device, [size], dtype, "flatten", category), 0));
}

function flattenGroup(parameters: readonly Tensor[]): FlatBuffer {
  let total = 0;
  for (const { size } of parameters) total = nextOffset(total, size);
  const values = flatZeros(parameters[0], total, CATEGORY.parameter);
  const words = nextOffset(0, parameters.length);
  const gradients = flatZeros(parameters[0], words + total, CATEGORY.gradient);
  let offset = 0;
  for (const parameter of parameters) {
    const place = (flat: Tensor, at: number): Tensor =>
      withScope(undefined, () => viewOf(flat, parameter.shape, parameter.strides, at, "flatten"));
    const own = place(values, offset);
    copyInto(own, parameter);
    // Left to the garbage collector, it would hold the memory of a model that was disposed of.
    own.dispose();
    parameter.rebind(values.storage.part(), offset);
    const slot = place(gradients, words + offset);
    slot.rebind(gradients.storage.part(), slot.offset);
    if (parameter.grad !== null) {
      copyInto(slot, parameter.grad);
      parameter.grad.dispose();
      parameter.grad = slot;
    }
    parameter.gradSlot = slot;
    offset = nextOffset(offset, parameter.size);
  }
  const buffer = { parameters, values, gradients };
  for (const parameter of parameters) bufferOf.set(parameter, buffer);
  return buffer;
}

/** Gives a flat buffer memory on another device; it stays the same object. */
export function moveFlat(flat: Tensor, device: Device, category: number): void {
  if (flat.storage.device === device) return;
  const moved = withScope(undefined, () => toDevice(flat, device));
  moved.storage.categorize(category);
  flat.become(moved);
}

/**
 * Moves a flat buffer, and with it its parameters and their gradients; all tensors stay the same objects.
 *
 * @returns Whether it was on another device.
 */
export function moveBuffer({ parameters, values, gradients }: FlatBuffer, device: Device): boolean {
  if (values.storage.device === device) return false;
  moveFlat(values, device, CATEGORY.parameter);
  moveFlat(gradients, device, CATEGORY.gradient);
  for (const parameter of parameters) {
    const slot = parameter.gradSlot!;
    parameter.rebind(values.storage.part(), parameter.offset);
    slot.rebind(gradients.storage.part(), slot.offset);
    if (parameter.grad !== null && parameter.grad !== slot) {
      const grad = parameter.grad;
      parameter.grad = withScope(undefined, () => toDevice(grad, device));
      grad.dispose();
    }
  }
  return true;
}

const bufferOf = new WeakMap<Tensor, FlatBuffer>();

/**
 * Moves parameters that are not flat yet into flat buffers. The tensors stay the same objects; views that were made of them before
 * keep the old memory.
 *
 * @param parameters Contiguous leaves.
 * @returns Every buffer that holds one of them, those of earlier calls too.
 */
export function flatten(parameters: Iterable<Tensor>): Set<FlatBuffer> {
  const all = [...parameters];
  const groups = new Map<string, Set<Tensor>>();
  for (const parameter of all) {
    if (bufferOf.has(parameter)) continue;
    const key = `${parameter.device} ${parameter.dtype}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, new Set([parameter]));
    else group.add(parameter);
  }
  for (const group of groups.values()) flattenGroup([...group]);
  return new Set(all.map((parameter) => bufferOf.get(parameter)!));
}
