/**
 * Functions that make tensors.
 *
 * @module
 */
import { checkDType, type DType, dtypeBytes, dtypeOfArray, hostArray } from "./core/dtype.ts";
import { ShapeError } from "./core/errors.ts";
import { empty as allocate, viewOf } from "./core/op.ts";
import { formatShape, type Shape, sizeOf } from "./core/shape.ts";
import { writeBytes } from "./ops/copy.ts";
import { copyInto, fillInto } from "./ops/launch.ts";
import { arangeInto } from "./ops/rearrange.ts";
import { finished, make, optionsLike, type TensorOptions } from "./making.ts";
import type { Tensor } from "./tensor.ts";

export type { TensorOptions };
export * from "./random.ts";

/** A tensor whose elements are not set. */
export function empty(shape: Shape, options: TensorOptions = {}): Tensor {
  return finished(make(shape, options, "empty"), options);
}

/** A tensor of one value. */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  return finished(fillInto(make(shape, options, "full"), value), options);
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}

/** A tensor of the same shape, dtype and device, whose elements are not set. */
export function emptyLike(like: Tensor, options: TensorOptions = {}): Tensor {
  return empty(like.shape, optionsLike(like, options));
}

/** A tensor of one value, of the same shape, dtype and device. */
export function fullLike(like: Tensor, value: number, options: TensorOptions = {}): Tensor {
  return full(like.shape, value, optionsLike(like, options));
}

/** A tensor of zeros, of the same shape, dtype and device. */
export function zerosLike(like: Tensor, options: TensorOptions = {}): Tensor {
  return fullLike(like, 0, options);
}

/** A tensor of ones, of the same shape, dtype and device. */
export function onesLike(like: Tensor, options: TensorOptions = {}): Tensor {
  return fullLike(like, 1, options);
}

/** A tensor of ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

/** Nested arrays of numbers, bools or bigints. */
export type NestedValues = number | boolean | bigint | readonly NestedValues[];

function isList(value: NestedValues): value is readonly NestedValues[] {
  return Array.isArray(value);
}

function shapeOf(value: NestedValues): number[] {
  const shape: number[] = [];
  for (let level = value; isList(level); level = level[0]) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  return shape;
}

type Scalar = number | boolean | bigint;

function flattenInto(value: NestedValues, shape: readonly number[], depth: number, out: Scalar[]): void {
  const fail = (): never => {
    throw new ShapeError("Cannot make a tensor: nested arrays must have equal lengths");
  };
  if (!isList(value)) {
    if (depth !== shape.length) fail();
    out.push(value as Scalar);
    return;
  }
  if (value.length !== shape[depth]) fail();
  for (const item of value) flattenInto(item, shape, depth + 1, out);
}

/** bool for bools, int64 for bigints, else float32. */
function inferDType(values: readonly Scalar[]): DType {
  if (values.length > 0 && values.every((value) => typeof value === "boolean")) return "bool";
  return values.length > 0 && values.every((value) => typeof value === "bigint") ? "int64" : "float32";
}

function toBigInt(value: Scalar): bigint {
  return typeof value === "number" ? BigInt(Math.trunc(value)) : BigInt(value);
}

/**
 * A tensor from numbers.
 *
 * @param values Nested arrays, or a typed array with `shape`. Without `dtype` a typed array gives its own, bools give bool, bigints
 * int64, and numbers float32.
 * @throws {ShapeError} When nested lengths differ, or the shape does not hold the elements.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { tensor } from "../mod.ts";
 * assertEquals(tensor([[1, 2], [3, 4]]).shape, [2, 2]);
 * assertEquals(tensor([true, false]).dtype, "bool");
 * assertEquals(tensor(new Float64Array(6), { shape: [2, 3] }).dtype, "float64");
 * ```
 */
export function tensor(
  values: NestedValues | ArrayBufferView,
  options: TensorOptions & { shape?: Shape } = {},
): Tensor {
  let flat: ArrayLike<Scalar>;
  let shape: Shape;
  let dtype = options.dtype;
  if (ArrayBuffer.isView(values)) {
    flat = values as unknown as ArrayLike<number | bigint>;
    shape = options.shape ?? [flat.length];
    dtype ??= dtypeOfArray(values);
  } else {
    const inferred = shapeOf(values);
    const list: Scalar[] = [];
    flattenInto(values, inferred, 0, list);
    flat = list;
    shape = options.shape ?? inferred;
    dtype ??= inferDType(list);
  }
  if (sizeOf(shape) !== flat.length) {
    throw new ShapeError(`Cannot make a tensor of ${formatShape(shape)} from ${flat.length} numbers`);
  }
  const wanted = checkDType(dtype ?? "float32");
  const hostDtype = wanted === "bfloat16" ? "float32" : wanted;
  const out = make(shape, { ...options, dtype: hostDtype }, "tensor");
  writeBytes(out, hostBytes(values, flat, hostDtype));
  return finished(wanted === "bfloat16" ? out.to({ dtype: wanted }) : out, options);
}

/** The elements as the bytes of a dtype. */
function hostBytes(
  values: NestedValues | ArrayBufferView,
  flat: ArrayLike<Scalar>,
  dtype: DType,
): Uint8Array<ArrayBuffer> {
  if (ArrayBuffer.isView(values) && dtypeOfArray(values) === dtype && values.buffer instanceof ArrayBuffer) {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
  const host = hostArray(dtype, new ArrayBuffer(flat.length * dtypeBytes(dtype)));
  for (let i = 0; i < flat.length; i++) {
    if (host instanceof BigInt64Array) host[i] = toBigInt(flat[i]);
    else host[i] = dtype === "bool" ? (flat[i] ? 1 : 0) : Number(flat[i]);
  }
  return new Uint8Array(host.buffer);
}

/** Where {@link arange} begins, and how far apart its numbers are. */
export interface ArangeOptions extends TensorOptions {
  /** First number. Default 0. */
  start?: number;
  /** Distance. Default 1. */
  step?: number;
}

/**
 * Numbers from `start` to before `end` at a distance of `step`.
 *
 * @param options Without a dtype int64, or float32 where one of the numbers is a fraction.
 * @throws {RangeError} When the step is 0, or leads away from the end.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { arange } from "../mod.ts";
 * assertEquals(arange(3).toArray(), [0, 1, 2]);
 * assertEquals(arange(10, { start: 4, step: 3 }).toArray(), [4, 7]);
 * ```
 */
export function arange(end: number, { start = 0, step = 1, ...options }: ArangeOptions = {}): Tensor {
  const count = Math.ceil((end - start) / step);
  if (!Number.isFinite(count) || count < 0) {
    throw new RangeError(
      `Cannot count from ${start} to ${end} by ${step}: the step must lead from the start to the end`,
    );
  }
  const dtype = options.dtype ?? ([start, end, step].every(Number.isInteger) ? "int64" : "float32");
  return finished(arangeInto(make([count], { ...options, dtype }, "arange"), start, step), options);
}

/**
 * `steps` numbers at equal distances from `start` to `end`, both included.
 *
 * @throws {RangeError} When `steps` is not a non-negative integer.
 */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  if (!Number.isSafeInteger(steps) || steps < 0) {
    throw new RangeError(`Cannot divide a line into ${steps} steps: it must be a non-negative integer`);
  }
  const out = make([steps], options, "linspace");
  const step = steps > 1 ? (end - start) / (steps - 1) : 0;
  // From both ends, so that both are exact.
  const half = Math.ceil(steps / 2);
  const part = (from: number, to: number): Tensor =>
    viewOf(out, [to - from], out.strides, out.offset + from, "linspace");
  if (half > 0) arangeInto(part(0, half), start, step);
  if (steps > half) {
    arangeInto(part(half, steps), end - step * (steps - 1 - half), step);
    fillInto(part(steps - 1, steps), end);
  }
  return finished(out, options);
}

/** `base` to the powers of {@link linspace}. */
export function logspace(
  start: number,
  end: number,
  steps: number,
  { base = 10, ...options }: TensorOptions & { base?: number } = {},
): Tensor {
  const { requiresGrad: _, ...plain } = options;
  const exponents = linspace(start, end, steps, plain);
  return finished(fullLike(exponents, base).pow(exponents), options);
}

/** The identity matrix (n, m), by default square. */
export function eye(n: number, { m = n, ...options }: TensorOptions & { m?: number } = {}): Tensor {
  const out = fillInto(make([n, m], options, "eye"), 0);
  const size = Math.min(n, m);
  if (size === 0) return finished(out, options);
  const one = fillInto(allocate(out.storage.device, [], out.dtype, "eye"), 1);
  copyInto(viewOf(out, [size], [m + 1], out.offset, "eye"), one);
  return finished(out, options);
}

/**
 * Coordinates of a grid: from vectors of sizes n, m, ... tensors of shape (n, m, ...), each of which runs along one dimension.
 *
 * @param options `indexing: "xy"` exchanges the first two dimensions. Default `"ij"`.
 */
export function meshgrid(vectors: readonly Tensor[], { indexing = "ij" }: { indexing?: "ij" | "xy" } = {}): Tensor[] {
  for (const { shape } of vectors) {
    if (shape.length > 1) throw new ShapeError(`Cannot make a grid of ${formatShape(shape)}: it takes vectors`);
  }
  const swapped = indexing === "xy" && vectors.length > 1;
  const order = swapped ? [vectors[1], vectors[0], ...vectors.slice(2)] : vectors;
  const shape = order.map(({ size }) => size);
  const grids = order.map((vector, i) =>
    vector.reshape(shape.map((_, dim) => dim === i ? vector.size : 1)).expand(shape)
  );
  return swapped ? [grids[1], grids[0], ...grids.slice(2)] : grids;
}
