/**
 * Dtypes: their ids in accelerate.h, sizes, host arrays, and PyTorch's promotion rules.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import { DTypeError } from "./errors.ts";

/** Element type of a tensor. */
export type DType = "float32" | "float64" | "bfloat16" | "float16" | "int32" | "int64" | "uint8" | "bool";

/** Host arrays that hold elements; bfloat16 comes as its raw 16 bits. */
export type HostArray =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

interface DTypeInfo {
  readonly id: number;
  readonly bytes: number;
  readonly floating: boolean;
  /** Promotion goes to the higher category, then to the higher rank within it. */
  readonly category: number;
  readonly rank: number;
  readonly array: new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => HostArray;
}

const INFO: Readonly<Record<DType, DTypeInfo>> = {
  float32: { id: AX.FLOAT32, bytes: 4, floating: true, category: 2, rank: 2, array: Float32Array },
  float64: { id: AX.FLOAT64, bytes: 8, floating: true, category: 2, rank: 3, array: Float64Array },
  bfloat16: { id: AX.BFLOAT16, bytes: 2, floating: true, category: 2, rank: 0, array: Uint16Array },
  float16: { id: AX.FLOAT16, bytes: 2, floating: true, category: 2, rank: 1, array: Float16Array },
  int32: { id: AX.INT32, bytes: 4, floating: false, category: 1, rank: 1, array: Int32Array },
  int64: { id: AX.INT64, bytes: 8, floating: false, category: 1, rank: 2, array: BigInt64Array },
  uint8: { id: AX.UINT8, bytes: 1, floating: false, category: 1, rank: 0, array: Uint8Array },
  bool: { id: AX.BOOL, bytes: 1, floating: false, category: 0, rank: 0, array: Uint8Array },
};

/** The id of a dtype in accelerate.h. */
export function dtypeId(dtype: DType): number {
  // The dtypes of a training loop's hot path first: a property look-up by string costs more than a comparison.
  return dtype === "float32" ? AX.FLOAT32 : INFO[dtype].id;
}

/** Bytes of one element. */
export function dtypeBytes(dtype: DType): number {
  return dtype === "float32" ? 4 : INFO[dtype].bytes;
}

/** True for float32, float64, bfloat16 and float16. */
export function isFloating(dtype: DType): boolean {
  return dtype === "float32" || INFO[dtype].floating;
}

/** A typed array of the dtype over a buffer. */
export function hostArray(dtype: DType, buffer: ArrayBuffer, byteOffset?: number, length?: number): HostArray {
  return new INFO[dtype].array(buffer, byteOffset, length);
}

/** The dtype whose elements a typed array holds, or `undefined`. */
export function dtypeOfArray(array: ArrayBufferView): DType | undefined {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Float64Array) return "float64";
  if (array instanceof Int32Array) return "int32";
  if (array instanceof BigInt64Array) return "int64";
  if (array instanceof Uint8Array || array instanceof Uint8ClampedArray) return "uint8";
  if (array instanceof Float16Array) return "float16";
  return undefined;
}

/** Throws unless the name is a dtype. */
export function checkDType(dtype: string): DType {
  if (Object.hasOwn(INFO, dtype)) return dtype as DType;
  throw new DTypeError(`Cannot use dtype "${dtype}": choose one of ${Object.keys(INFO).join(", ")}`);
}

/**
 * The common dtype of two tensors, as `torch.promote_types`. bfloat16 with float16 gives float32; uint8 with a signed integer
 * gives that integer.
 */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  if ((a === "bfloat16" && b === "float16") || (a === "float16" && b === "bfloat16")) return "float32";
  const x = INFO[a];
  const y = INFO[b];
  if (x.category !== y.category) return x.category > y.category ? a : b;
  return x.rank > y.rank ? a : b;
}

/**
 * The common dtype of two operands, as `torch.result_type`: a tensor without dimensions does not widen one that has some, unless it
 * is of a higher category (bool, then integers, then floating).
 */
export function resultType(a: DType, aDims: number, b: DType, bDims: number): DType {
  if (a === b) return a;
  if (aDims > 0 && bDims === 0) return combined(a, b);
  if (bDims > 0 && aDims === 0) return combined(b, a);
  return promote(a, b);
}

function combined(higher: DType, lower: DType): DType {
  return INFO[higher].category >= INFO[lower].category ? higher : promote(higher, lower);
}

/** The dtype of an operation of a tensor and a number: fractions make integers float32, and integers make bool int64. */
export function numberType(dtype: DType, value: number): DType {
  if (isFloating(dtype)) return dtype;
  if (!Number.isInteger(value)) return "float32";
  return dtype === "bool" ? "int64" : dtype;
}
