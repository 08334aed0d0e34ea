/**
 * Fills the int32 array through which shapes and strides travel to the native library (see `layout` in accelerate.h). One array
 * is reused for every call: a new typed array per call costs 700 ns, a reused one 24.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import { ShapeError } from "./errors.ts";
import type { Shape } from "./shape.ts";

/** The reused array; valid until the next call of a function of this module. */
export const layout: Int32Array<ArrayBuffer> = new Int32Array(64);

const MAX_INT32 = 2 ** 31 - 1;

function put(position: number, value: number): void {
  if (value > MAX_INT32 || value < -MAX_INT32) {
    throw new ShapeError(`Cannot address a strided tensor: a size or stride must fit 31 bits, got ${value}`);
  }
  layout[position] = value;
}

const sizes: number[] = [];
const merged: number[][] = [[], [], [], []];

/**
 * Drops dimensions of size 1, merges those that every operand walks as one, and writes the layout.
 *
 * @param shape The common shape.
 * @param operands Strides of each operand as that shape, the output first; at most 4.
 * @returns ndim for the native call; 0 dimensions are written as one of size 1.
 */
export function writeLayout(shape: Shape, operands: readonly (readonly number[])[]): number {
  const count = operands.length;
  sizes.length = 0;
  for (let k = 0; k < count; k++) merged[k].length = 0;
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === 1) continue;
    const last = sizes.length - 1;
    let mergeable = last >= 0;
    for (let k = 0; mergeable && k < count; k++) mergeable = merged[k][last] === operands[k][i] * shape[i];
    if (mergeable) {
      sizes[last] *= shape[i];
      for (let k = 0; k < count; k++) merged[k][last] = operands[k][i];
    } else {
      sizes.push(shape[i]);
      for (let k = 0; k < count; k++) merged[k].push(operands[k][i]);
    }
  }
  if (sizes.length === 0) {
    sizes.push(1);
    for (let k = 0; k < count; k++) merged[k].push(1);
  }
  const ndim = sizes.length;
  if (ndim > AX.MAX_NDIM) {
    throw new ShapeError(
      `Cannot address a tensor with ${ndim} separately strided dimensions: at most ${AX.MAX_NDIM}. Call contiguous() first`,
    );
  }
  for (let i = 0; i < ndim; i++) put(i, sizes[i]);
  for (let k = 0; k < count; k++) for (let i = 0; i < ndim; i++) put((k + 1) * ndim + i, merged[k][i]);
  return ndim;
}

const entries: number[] = [];
const steps: number[] = [];

/** Writes the dimensions that are, or are not, reduced: those of size 1 dropped, walks in one merged. Returns their number. */
function collapse(
  shape: Shape,
  strides: readonly number[],
  reduced: readonly number[],
  wanted: boolean,
  at: number,
): number {
  let ndim = 0;
  for (let dim = 0; dim < shape.length; dim++) {
    if (shape[dim] === 1 || reduced.includes(dim) !== wanted) continue;
    if (ndim > 0 && steps[ndim - 1] === strides[dim] * shape[dim]) {
      entries[ndim - 1] *= shape[dim];
      steps[ndim - 1] = strides[dim];
    } else {
      entries[ndim] = shape[dim];
      steps[ndim++] = strides[dim];
    }
  }
  if (ndim > AX.MAX_NDIM) throw new ShapeError(`Cannot reduce: more than ${AX.MAX_NDIM} separately strided dimensions`);
  for (let i = 0; i < ndim; i++) {
    put(at + i, entries[i]);
    put(at + ndim + i, steps[i]);
  }
  return ndim;
}

/**
 * Writes the layout of a reduction: kept dimensions, then reduced ones.
 *
 * @returns The two counts for the native call, kept and reduced, as `kept * 16 + reduced`.
 */
export function writeReduceLayout(shape: Shape, strides: readonly number[], reduced: readonly number[]): number {
  const kept = collapse(shape, strides, reduced, false, 0);
  return kept * 16 + collapse(shape, strides, reduced, true, 2 * kept);
}
