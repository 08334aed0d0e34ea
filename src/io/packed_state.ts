/**
 * State dicts as JSON and tensors: what any `stateDict()` returns, taken apart for a manifest and a safetensors file, and put together
 * again without loss.
 *
 * JSON has no word for tensors, NaN, infinities, negative zero, bigints, undefined and typed arrays: each becomes an object with one key that begins
 * with "$".
 *
 * @module
 */
import { Tensor } from "../tensor.ts";

/** A value that JSON holds. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A state in two parts. */
export interface PackedState {
  readonly json: Json;
  /** Tensors by a name made of their path. */
  readonly tensors: Record<string, Tensor>;
}

/** Says what in a state cannot be packed or unpacked, by its path. */
export class StateError extends TypeError {
  override readonly name = "StateError";
}

const TYPED_ARRAYS: Readonly<Record<string, { from(values: Iterable<never>): ArrayBufferView }>> = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
};

function isPlain(value: object): value is Record<string, unknown> {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * Takes a state apart. The tensors are not copied.
 *
 * @param state Plain values, typed arrays, tensors, and arrays and plain objects of them.
 * @throws {StateError} For anything else, naming its path.
 */
export function packState(state: unknown): PackedState {
  const tensors: Record<string, Tensor> = Object.create(null);

  function addTensor(tensor: Tensor, path: string): string {
    let name = path === "" || path === "__metadata__" ? `${path}~` : path;
    while (name in tensors) name += "~";
    tensors[name] = tensor;
    return name;
  }

  function pack(value: unknown, path: string): Json {
    switch (typeof value) {
      case "number":
        return Number.isFinite(value) && !Object.is(value, -0)
          ? value
          : { $number: Object.is(value, -0) ? "-0" : String(value) };
      case "bigint":
        return { $bigint: String(value) };
      case "undefined":
        return { $undefined: true };
      case "string":
      case "boolean":
        return value;
      case "object":
        break;
      default:
        throw new StateError(`${path || "it"} is a ${typeof value}, which no file holds`);
    }
    if (value === null) return null;
    if (value instanceof Tensor) return { $tensor: addTensor(value, path) };
    if (Array.isArray(value)) return value.map((item, i) => pack(item, path === "" ? `${i}` : `${path}.${i}`));
    const name = value.constructor?.name;
    if (ArrayBuffer.isView(value) && Object.hasOwn(TYPED_ARRAYS, name)) {
      return {
        $array: name,
        values: Array.from(value as unknown as ArrayLike<number | bigint>, (item) => pack(item, path)),
      };
    }
    if (!isPlain(value)) {
      throw new StateError(`${path || "it"} is a ${name ?? "object"}, which is neither plain nor a tensor`);
    }
    const entries = Object.entries(value).map(([key, item]): [string, Json] => [
      key,
      pack(item, path === "" ? key : `${path}.${key}`),
    ]);
    return entries.some(([key]) => key.startsWith("$")) ? { $object: entries } : Object.fromEntries(entries);
  }

  return { json: pack(state, ""), tensors };
}

/**
 * Puts a state together again.
 *
 * @param json What {@link packState} made, also after a round trip through text.
 * @param tensors Its tensors by name.
 * @throws {StateError} When the JSON is not what packState makes, or a tensor is missing.
 */
export function unpackState(json: Json, tensors: Readonly<Record<string, Tensor>>): unknown {
  function special(value: Record<string, Json>): unknown {
    const [key] = Object.keys(value);
    const content = value[key];
    if (key === "$number" || key === "$bigint") {
      if (typeof content !== "string") throw new StateError(`${key} needs a text`);
      return key === "$number" ? Number(content) : BigInt(content);
    }
    if (key === "$undefined") return undefined;
    if (key === "$tensor") {
      if (typeof content === "string" && Object.hasOwn(tensors, content)) return tensors[content];
      throw new StateError(`the tensor ${JSON.stringify(content)} is missing`);
    }
    if (key === "$array" && Array.isArray(value.values) && Object.hasOwn(TYPED_ARRAYS, String(content))) {
      return TYPED_ARRAYS[String(content)].from(value.values.map(unpack) as never[]);
    }
    if (key === "$object" && Array.isArray(content)) {
      return Object.fromEntries((content as [string, Json][]).map(([name, item]) => [name, unpack(item)]));
    }
    throw new StateError(`${key} is not understood`);
  }

  function unpack(value: Json): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(unpack);
    if (Object.keys(value)[0]?.startsWith("$")) return special(value);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item)]));
  }

  return unpack(json);
}
