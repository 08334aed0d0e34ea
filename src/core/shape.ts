/**
 * Shape arithmetic on plain arrays: sizes, strides, broadcasting, dimensions. Knows no tensor and no native library.
 *
 * @module
 */
import { ShapeError } from "./errors.ts";

/** Sizes of the dimensions, outermost first. */
export type Shape = readonly number[];

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let i = 0; i < shape.length; i++) size *= shape[i];
  return size;
}

let lastShape: Shape = [];
let lastStrides: readonly number[] = [];

/** Row-major strides in elements. Operations pass shapes on, so the last answer is often asked for again. */
export function contiguousStrides(shape: Shape): readonly number[] {
  if (shape === lastShape) return lastStrides;
  lastShape = shape;
  return lastStrides = computeStrides(shape);
}

function computeStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/** Whether elements lie in row-major order without gaps; dimensions of size 1 may have any stride. */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 0) return true;
    if (shape[i] !== 1) {
      if (strides[i] !== stride) return shape.includes(0);
      stride *= shape[i];
    }
  }
  return true;
}

/**
 * Strides that read the same elements in the same order in another shape, or null when no strides can: then a copy is needed.
 *
 * Neighbouring dimensions that are walked as one form a run of memory; each run must be used up by whole dimensions of the new
 * shape.
 */
export function viewStrides(shape: Shape, strides: readonly number[], next: Shape): readonly number[] | null {
  if (isContiguous(shape, strides)) return contiguousStrides(next);
  const out = new Array<number>(next.length);
  let at = next.length - 1;
  for (let end = shape.length - 1; end >= 0;) {
    if (shape[end] === 1) {
      end--;
      continue;
    }
    const step = strides[end];
    let run = shape[end--];
    while (end >= 0 && (shape[end] === 1 || strides[end] === run * step)) run *= shape[end--];
    let used = 1;
    for (; at >= 0 && (used < run || next[at] === 1); at--) {
      out[at] = used * step;
      used *= next[at];
    }
    if (used !== run) return null;
  }
  // What is left has size 1.
  for (; at >= 0; at--) out[at] = 1;
  return out;
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A shape as text, for example `(2, 3)`. */
export function formatShape(shape: Shape): string {
  return `(${shape.join(", ")})`;
}

/** Throws unless every entry is a non-negative safe integer. */
export function checkShape(shape: Shape, action: string): void {
  if (!Array.isArray(shape)) {
    throw new ShapeError(`Cannot ${action}: the shape must be an array of sizes, got ${shape}`);
  }
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new ShapeError(`Cannot ${action}: sizes must be non-negative integers, got ${formatShape(shape)}`);
    }
  }
}

/**
 * The shape that two operands broadcast to (NumPy's and PyTorch's rule).
 *
 * @throws {ShapeError} When a pair of sizes is neither equal nor has a 1.
 */
export function broadcastShapes(a: Shape, b: Shape, action: string): Shape {
  if (sameShape(a, b)) return a;
  const ndim = Math.max(a.length, b.length);
  const out = new Array<number>(ndim);
  for (let i = 1; i <= ndim; i++) {
    const x = i <= a.length ? a[a.length - i] : 1;
    const y = i <= b.length ? b[b.length - i] : 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError(
        `Cannot ${action} ${formatShape(a)} and ${formatShape(b)}: sizes must be equal or 1, got ${x} and ${y} ` +
          `in dimension ${ndim - i}`,
      );
    }
    out[ndim - i] = x === 1 ? y : x;
  }
  return out;
}

/** Strides that read an operand as `shape`: 0 where it is broadcast. */
export function broadcastStrides(from: Shape, strides: readonly number[], shape: Shape): number[] {
  const lead = shape.length - from.length;
  const out = new Array<number>(shape.length);
  for (let i = 0; i < shape.length; i++) {
    const j = i - lead;
    out[i] = j < 0 || (from[j] === 1 && shape[i] !== 1) ? 0 : strides[j];
  }
  return out;
}

/**
 * A dimension counted from 0, from one that may count from the end.
 *
 * @throws {ShapeError} When it is not an integer in [-ndim, ndim).
 */
export function normalizeDim(dim: number, ndim: number, action: string): number {
  const count = Math.max(ndim, 1);
  if (!Number.isInteger(dim) || dim < -count || dim >= count) {
    throw new ShapeError(`Cannot ${action}: dim must be in [${-count}, ${count - 1}], got ${dim}`);
  }
  return dim < 0 ? dim + count : dim;
}

/** Dimensions counted from 0, ascending, each once; `undefined` means all. */
export function normalizeDims(dims: number | readonly number[] | undefined, ndim: number, action: string): number[] {
  if (dims === undefined) return Array.from({ length: ndim }, (_, i) => i);
  const list = (typeof dims === "number" ? [dims] : dims).map((dim) => normalizeDim(dim, ndim, action));
  const unique = [...new Set(list)].sort((a, b) => a - b);
  if (unique.length !== list.length) {
    throw new ShapeError(`Cannot ${action}: dim names a dimension twice, got [${dims}]`);
  }
  return ndim === 0 ? [] : unique;
}

/** The shape after reducing ascending dimensions. */
export function reducedShape(shape: Shape, dims: readonly number[], keepDim: boolean): number[] {
  const out: number[] = [];
  for (let i = 0; i < shape.length; i++) {
    if (!dims.includes(i)) out.push(shape[i]);
    else if (keepDim) out.push(1);
  }
  return out;
}
