/**
 * Flat storage: the parameters of one dtype and device lie in one buffer, their gradients in another of the same layout. A step of
 * the optimizer, or the reduction of a bucket, is then one native call over a range, without copies.
 *
 * @module
 */
import { empty, viewOf } from "../core/op.ts";
import { withScope } from "../core/scope.ts";
import { CATEGORY } from "../core/storage.ts";
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
  /** All gradients, in the same layout. */
  readonly gradients: Tensor;
}

/** A zeroed one-dimensional tensor that belongs to no scope. */
export function flatZeros(like: Tensor, size: number, category: number): Tensor {
  return withScope(undefined, () => fillInto(empty(like.storage.device, [size], like.dtype, "flatten", category), 0));
}

function flattenGroup(parameters: readonly Tensor[]): FlatBuffer {
  let total = 0;
  for (const { size } of parameters) total = nextOffset(total, size);
  const values = flatZeros(parameters[0], total, CATEGORY.parameter);
  const gradients = flatZeros(parameters[0], total, CATEGORY.gradient);
  let offset = 0;
  for (const parameter of parameters) {
    const place = (flat: Tensor): Tensor =>
      withScope(undefined, () => viewOf(flat, parameter.shape, parameter.strides, offset, "flatten"));
    copyInto(place(values), parameter);
    parameter.rebind(values.storage, offset);
    const slot = place(gradients);
    if (parameter.grad !== null) {
      copyInto(slot, parameter.grad);
      parameter.grad.dispose();
      parameter.grad = slot;
    }
    parameter.gradSlot = slot;
    offset = nextOffset(offset, parameter.size);
  }
  return { parameters, values, gradients };
}

/**
 * Moves parameters that are not flat yet into flat buffers. The tensors stay the same objects; views that were made of them before
 * keep the old memory.
 *
 * @param parameters Contiguous leaves.
 * @returns A buffer for each dtype and device among those that were moved.
 */
export function flatten(parameters: Iterable<Tensor>): FlatBuffer[] {
  const groups = new Map<string, Tensor[]>();
  for (const parameter of parameters) {
    if (parameter.gradSlot !== null) continue;
    const key = `${parameter.device} ${parameter.dtype}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [parameter]);
    else if (!group.includes(parameter)) group.push(parameter);
  }
  return Array.from(groups.values(), flattenGroup);
}
