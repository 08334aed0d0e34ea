/**
 * A model of tensors in plain JavaScript, as slow and simple as possible: typed windows on shared buffers of doubles. What the
 * library computes is compared with it, so it shares no code with the library.
 *
 * @module
 */

/** The dtypes that programs use. */
export type ModelDType = "float64" | "float32" | "bfloat16" | "float16" | "int64" | "int32" | "uint8" | "bool";

/** Memory; several windows may show it. */
export interface Memory {
  readonly data: Float64Array;
  /** Whether a gradient flows through it. */
  tracked: boolean;
  /** It is that of an input with a gradient, which must not be changed in place. */
  isLeaf: boolean;
  /** A recorded derivative may need its values: changing it in place would spoil that derivative. */
  isSaved: boolean;
  /** Whether a window on it is a view or a copy is not decided: it must not be changed in place. */
  isUnclear: boolean;
}

/** A tensor of the model. */
export interface Window {
  readonly memory: Memory;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  readonly dtype: ModelDType;
}

/** An operation does not apply, or is too close to where it is not smooth: another is tried. */
export class Unfit extends Error {}

/** Nearer than this to a kink, a comparison or a pole, results of floating arithmetic are not comparable. */
let margin = 1e-2;

/** Runs a function with the distance from kinks that 16-bit numbers need. */
export function withWideMargin<T>(isWide: boolean, fn: () => T): T {
  const before = margin;
  margin = isWide ? 0.3 : before;
  try {
    return fn();
  } finally {
    margin = before;
  }
}

/** Throws unless the values keep a distance from zero. */
export function keepAway(values: Iterable<number>): void {
  for (const value of values) if (Math.abs(value) < margin) throw new Unfit();
}

/** Number of elements. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Row-major strides. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= Math.max(shape[d], 1);
  }
  return strides;
}

/** Whether elements follow each other in row-major order. */
export function isRowMajor({ shape, strides }: Window): boolean {
  if (sizeOf(shape) === 0) return true;
  const wanted = rowMajor(shape);
  return shape.every((size, d) => size === 1 || strides[d] === wanted[d]);
}

/** Calls `visit` for every index of a shape, in row-major order. The array is reused. */
export function forEachIndex(shape: readonly number[], visit: (index: readonly number[]) => void): void {
  if (sizeOf(shape) === 0) return;
  const index = new Array<number>(shape.length).fill(0);
  for (;;) {
    visit(index);
    let d = shape.length - 1;
    while (d >= 0 && ++index[d] === shape[d]) index[d--] = 0;
    if (d < 0) return;
  }
}

/** The positions of a window's elements in its memory, in row-major order; of a shape that it broadcasts to, if given. */
export function positions(window: Window, shape: readonly number[] = window.shape): number[] {
  const lead = shape.length - window.shape.length;
  const found: number[] = [];
  forEachIndex(shape, (index) => {
    let at = window.offset;
    for (let d = lead; d < shape.length; d++) {
      if (window.shape[d - lead] !== 1) at += index[d] * window.strides[d - lead];
    }
    found.push(at);
  });
  return found;
}

/** The elements in row-major order, broadcast to a shape if given. */
export function read(window: Window, shape?: readonly number[]): number[] {
  return positions(window, shape).map((at) => window.memory.data[at]);
}

const bits = new DataView(new ArrayBuffer(4));

/** The nearest number of a dtype; integers wrap around. */
export function rounded(value: number, dtype: ModelDType): number {
  switch (dtype) {
    case "float64":
      return value;
    case "float32":
      return Math.fround(value);
    case "float16":
      return new Float16Array([value])[0];
    case "bfloat16": {
      if (!Number.isFinite(value)) return value;
      bits.setFloat32(0, value);
      const word = bits.getUint32(0);
      bits.setUint32(0, ((word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000) >>> 0);
      return bits.getFloat32(0);
    }
    case "bool":
      return value === 0 ? 0 : 1;
    default:
      return Math.trunc(value);
  }
}

const LARGEST: Readonly<Record<ModelDType, number>> = {
  float64: 50,
  float32: 50,
  bfloat16: 4,
  float16: 4,
  int64: 2 ** 40,
  int32: 2 ** 30,
  uint8: 255,
  bool: 1,
};

/** A new tensor. Values must stay small, so that differences are meaningful and integers exact. */
export function fresh(
  values: Iterable<number>,
  shape: readonly number[],
  dtype: ModelDType,
  tracked: boolean,
): Window {
  const data = Float64Array.from(values, (value) => rounded(value, dtype));
  const most = LARGEST[dtype];
  for (const value of data) {
    if (!(Math.abs(value) <= most) || (dtype === "uint8" && value < 0)) throw new Unfit();
  }
  return {
    memory: { data, tracked, isLeaf: false, isSaved: false, isUnclear: false },
    shape,
    strides: rowMajor(shape),
    offset: 0,
    dtype,
  };
}

/** Whether a dtype has a fraction, and with it a gradient. */
export function isFloat(dtype: ModelDType): boolean {
  return dtype.includes("float");
}

const ORDER: readonly ModelDType[] = ["bool", "uint8", "int32", "int64", "bfloat16", "float16", "float32", "float64"];

function category(dtype: ModelDType): number {
  return isFloat(dtype) ? 2 : dtype === "bool" ? 0 : 1;
}

/** PyTorch's common dtype of two tensors: one without dimensions counts only when its category is higher. */
export function common(a: Window, b: Window): ModelDType {
  const [x, y] = [category(a.dtype), category(b.dtype)];
  if (a.shape.length > 0 && b.shape.length === 0 && x >= y) return a.dtype;
  if (b.shape.length > 0 && a.shape.length === 0 && y >= x) return b.dtype;
  if (a.dtype !== b.dtype && a.dtype.endsWith("float16") && b.dtype.endsWith("float16")) return "float32";
  return ORDER[Math.max(ORDER.indexOf(a.dtype), ORDER.indexOf(b.dtype))];
}

/** The shape that two broadcast to. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, d) => {
    const x = a[d - rank + a.length] ?? 1;
    const y = b[d - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new Unfit();
    return x === 1 ? y : x;
  });
}

/** Whether two elements of a window lie at one place. */
export function overlapsItself({ shape, strides }: Window): boolean {
  return shape.some((size, d) => size > 1 && strides[d] === 0);
}
