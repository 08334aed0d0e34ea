/**
 * Values with tensors in them, ready to leave this thread or process: tensors become bytes beside the value.
 *
 * @module
 */
import { device as findDevice } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import { empty } from "../core/op.ts";
import type { Shape } from "../core/shape.ts";
import { readBytes, writeBytes } from "../ops/copy.ts";
import { Tensor } from "../tensor.ts";

/** A tensor, and where in the value it lies. */
interface PackedTensor {
  readonly path: readonly (string | number)[];
  readonly dtype: DType;
  readonly shape: Shape;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A value whose tensors lie beside it. Structured cloning copies it. */
export interface Parcel {
  readonly value: unknown;
  readonly tensors: readonly PackedTensor[];
}

function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function taken(value: unknown, path: (string | number)[], tensors: PackedTensor[]): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Tensor) {
    tensors.push({ path: [...path], dtype: value.dtype, shape: value.shape, bytes: new Uint8Array(readBytes(value)) });
    return null;
  }
  const inside = (item: unknown, key: string | number): unknown => {
    path.push(key);
    const result = taken(item, path, tensors);
    path.pop();
    return result;
  };
  if (Array.isArray(value)) return value.map(inside);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inside(item, key)]));
}

/** Takes the tensors out of nested arrays and plain objects; what lies on a GPU is copied to the host. */
export function pack(value: unknown): Parcel {
  const tensors: PackedTensor[] = [];
  return { value: taken(value, [], tensors), tensors };
}

/** The value with its tensors again, on the CPU and in the current scope. */
export function unpack({ value, tensors }: Parcel): unknown {
  const root = { value };
  for (const { path, dtype, shape, bytes } of tensors) {
    const whole = ["value", ...path];
    let holder = root as Record<string | number, unknown>;
    for (const key of whole.slice(0, -1)) holder = holder[key] as Record<string | number, unknown>;
    holder[whole[whole.length - 1]] = writeBytes(empty(findDevice("cpu"), [...shape], dtype, "unpack"), bytes);
  }
  return root.value;
}

/** The memory of a parcel, which may be handed over instead of being copied. */
export function transferables({ tensors }: Parcel): ArrayBuffer[] {
  return tensors.map(({ bytes }) => bytes.buffer);
}
