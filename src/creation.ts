/**
 * Functions that make tensors.
 *
 * @module
 */
import { check } from "../ffi/call.ts";
import { cpuDevice, device as findDevice, type DeviceName } from "./core/device.ts";
import { checkDType, type DType, dtypeId, dtypeOfArray, hostArray } from "./core/dtype.ts";
import { ShapeError } from "./core/errors.ts";
import { empty as allocate } from "./core/op.ts";
import { takeRandom } from "./core/random.ts";
import { checkShape, formatShape, type Shape, sizeOf } from "./core/shape.ts";
import { writeBytes } from "./ops/copy.ts";
import { fillInto } from "./ops/launch.ts";
import type { NestedArray, Tensor } from "./tensor.ts";

/** Dtype, device, and whether gradients are wanted. */
export interface TensorOptions {
  /** Default `"float32"`. */
  dtype?: DType;
  /** Default `"cpu"`. */
  device?: DeviceName;
  /** Default false. */
  requiresGrad?: boolean;
}

function make(shape: Shape, options: TensorOptions, origin: string): Tensor {
  checkShape(shape, `make a tensor with ${origin}()`);
  const device = options.device === undefined ? cpuDevice() : findDevice(options.device);
  return allocate(device, [...shape], checkDType(options.dtype ?? "float32"), origin);
}

function finished(tensor: Tensor, options: TensorOptions): Tensor {
  return options.requiresGrad === true ? tensor.requiresGrad_() : tensor;
}

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

/** A tensor of ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

function shapeOf(value: NestedArray): number[] {
  const shape: number[] = [];
  for (let level = value; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  return shape;
}

function flattenInto(value: NestedArray, shape: readonly number[], depth: number, out: number[]): void {
  if (!Array.isArray(value)) {
    if (depth !== shape.length) throw new ShapeError("Cannot make a tensor: nested arrays must have equal lengths");
    out.push(value);
    return;
  }
  if (value.length !== shape[depth]) {
    throw new ShapeError("Cannot make a tensor: nested arrays must have equal lengths");
  }
  for (const item of value) flattenInto(item, shape, depth + 1, out);
}

/**
 * A tensor from numbers.
 *
 * @param values Nested arrays, or a typed array with `shape`.
 * @throws {ShapeError} When nested lengths differ, or the shape does not hold the elements.
 */
export function tensor(
  values: NestedArray | ArrayBufferView,
  options: TensorOptions & { shape?: Shape } = {},
): Tensor {
  let flat: ArrayLike<number | bigint>;
  let shape: Shape;
  let dtype = options.dtype;
  if (ArrayBuffer.isView(values)) {
    flat = values as unknown as ArrayLike<number | bigint>;
    shape = options.shape ?? [flat.length];
    dtype ??= dtypeOfArray(values);
  } else {
    const inferred = shapeOf(values);
    const numbers: number[] = [];
    flattenInto(values, inferred, 0, numbers);
    flat = numbers;
    shape = options.shape ?? inferred;
  }
  if (sizeOf(shape) !== flat.length) {
    throw new ShapeError(`Cannot make a tensor of ${formatShape(shape)} from ${flat.length} numbers`);
  }
  const wanted = checkDType(dtype ?? "float32");
  const hostDtype = wanted === "bfloat16" ? "float32" : wanted;
  const out = make(shape, { ...options, dtype: hostDtype }, "tensor");
  const host = hostArray(hostDtype, new ArrayBuffer(out.size * (out.size === 0 ? 1 : byteSize(hostDtype))));
  const isBig = host instanceof BigInt64Array;
  for (let i = 0; i < flat.length; i++) {
    if (isBig) host[i] = BigInt(flat[i]);
    else host[i] = hostDtype === "bool" ? (flat[i] ? 1 : 0) : Number(flat[i]);
  }
  writeBytes(out, new Uint8Array(host.buffer));
  return finished(wanted === "bfloat16" ? out.to({ dtype: wanted }) : out, options);
}

function byteSize(dtype: DType): number {
  return hostArray(dtype, new ArrayBuffer(8)).BYTES_PER_ELEMENT;
}

/** Integers from 0 to before `count`; int64 unless a dtype is given. */
export function arange(count: number, options: TensorOptions = {}): Tensor {
  const out = make([count], { ...options, dtype: options.dtype ?? "int64" }, "arange");
  const library = out.storage.device.library;
  check(
    library.ax_arange(dtypeId(out.dtype), out.storage.id, out.offset, out.size, 0, 1),
    "ax_arange",
    library,
  );
  return finished(out, options);
}

/** Fills with uniform numbers in [low, high). */
export function uniformInto(out: Tensor, low: number, high: number): Tensor {
  const { seedLow, seedHigh, counter } = takeRandom(out.size);
  const library = out.storage.device.library;
  check(
    library.ax_random_uniform(
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      out.size,
      low,
      high,
      seedLow,
      seedHigh,
      counter,
    ),
    "ax_random_uniform",
    library,
  );
  return out;
}

/** Uniform random numbers in [0, 1). */
export function rand(shape: Shape, options: TensorOptions = {}): Tensor {
  return finished(uniformInto(make(shape, options, "rand"), 0, 1), options);
}

/** Fills with normal numbers. */
export function normalInto(out: Tensor, mean: number, std: number): Tensor {
  const { seedLow, seedHigh, counter } = takeRandom(out.size);
  const library = out.storage.device.library;
  check(
    library.ax_random_normal(
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      out.size,
      mean,
      std,
      seedLow,
      seedHigh,
      counter,
    ),
    "ax_random_normal",
    library,
  );
  return out;
}

/** Normal random numbers of mean 0 and deviation 1. */
export function randn(shape: Shape, options: TensorOptions = {}): Tensor {
  return finished(normalInto(make(shape, options, "randn"), 0, 1), options);
}
