/**
 * The safetensors format: 8 bytes of header length, a JSON header, the raw elements. Files are Python's, byte for byte.
 *
 * Source: https://huggingface.co/docs/safetensors
 *
 * @module
 */
import { empty } from "../core/op.ts";
import { defaultDevice, device as findDevice, type DeviceName } from "../core/device.ts";
import { type DType, dtypeBytes } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { readBytes, writeBytes } from "../ops/copy.ts";
import type { Tensor } from "../tensor.ts";

const NAMES: Readonly<Record<DType, string>> = {
  float32: "F32",
  float64: "F64",
  bfloat16: "BF16",
  float16: "F16",
  int32: "I32",
  int64: "I64",
  uint8: "U8",
  bool: "BOOL",
};
const DTYPES = new Map(Object.entries(NAMES).map(([dtype, name]) => [name, dtype as DType]));

/** Python's limit for the header. */
const MAX_HEADER_BYTES = 100_000_000;

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown, count?: number): value is number[] {
  return Array.isArray(value) && (count === undefined || value.length === count) &&
    value.every((entry) => Number.isSafeInteger(entry) && entry >= 0);
}

/** Parses and checks everything that a header can say wrongly. */
function parse(bytes: Uint8Array<ArrayBuffer>, path: string): { entries: Entry[]; base: number } {
  const fail = (problem: string): CheckpointError => new CheckpointError(`Cannot load ${path}: ${problem}`, { path });
  if (bytes.length < 8) throw fail(`the file is truncated: it has ${bytes.length} bytes, a header length needs 8`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) throw fail("it is not a safetensors file: its header would be over 100 MB");
  const base = 8 + length;
  if (base > bytes.length) throw fail(`the file is truncated: its header needs ${base} bytes, it has ${bytes.length}`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, base)));
  } catch (error) {
    throw new CheckpointError(`Cannot load ${path}: its header is not JSON`, { path, cause: error });
  }
  if (!isObject(header)) throw fail("its header is not an object");
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (isObject(value) && Object.values(value).every((text) => typeof text === "string")) continue;
      throw fail("its __metadata__ must be an object of texts");
    }
    const { dtype: code, shape, data_offsets: offsets } = isObject(value) ? value : {};
    const dtype = DTYPES.get(code as string);
    if (dtype === undefined) {
      const given = typeof code === "string" ? code : JSON.stringify(code);
      throw fail(`tensor "${name}" has the dtype ${given}, which is not supported`);
    }
    if (!isSizes(shape) || !isSizes(offsets, 2)) throw fail(`tensor "${name}" has no valid shape or data_offsets`);
    const [start, end] = offsets;
    // Also where a size is 0, the product of the others must be a number that strides can hold.
    if (!Number.isSafeInteger(sizeOf(shape.map((size) => size || 1)) * dtypeBytes(dtype))) {
      throw fail(`tensor "${name}" of shape (${shape.join(", ")}) is too large`);
    }
    if (end - start !== sizeOf(shape) * dtypeBytes(dtype)) {
      throw fail(`tensor "${name}" of shape (${shape.join(", ")}) and ${code} cannot have ${end - start} bytes`);
    }
    if (base + end > bytes.length) {
      throw fail(`the file is truncated: tensor "${name}" needs ${base + end} bytes, it has ${bytes.length}`);
    }
    entries.push({ name, dtype, shape, start, end });
  }
  let position = 0;
  for (const { name, start, end } of [...entries].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (start !== position) {
      throw fail(`tensor "${name}" begins at ${start}, but the tensor before it ends at ${position}`);
    }
    position = end;
  }
  if (base + position !== bytes.length) {
    throw fail(`it has ${bytes.length - base - position} bytes that belong to no tensor`);
  }
  return { entries, base };
}

/**
 * Reads all tensors of a file.
 *
 * @param path A .safetensors file.
 * @param options `device`, default `"cpu"`.
 * @returns Tensors by name. They belong to no scope.
 * @throws {CheckpointError} When the file is missing, truncated or not well formed.
 */
export async function loadSafetensors(
  path: string,
  { device }: { device?: DeviceName } = {},
): Promise<Record<string, Tensor>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw new CheckpointError(`Cannot load ${path}: ${error instanceof Error ? error.message : error}`, {
      path,
      cause: error,
    });
  }
  const { entries, base } = parse(bytes, path);
  const where = device === undefined ? defaultDevice() : findDevice(device);
  // From entries, so that every name is an own property: also "__proto__".
  return Object.fromEntries(entries.map(({ name, dtype, shape, start, end }) => {
    const tensor = empty(where, shape, dtype, "loadSafetensors").keep();
    return [name, writeBytes(tensor, bytes.subarray(base + start, base + end))];
  }));
}

/**
 * Writes tensors to a file: under a temporary name first, so that an interruption leaves no partial file.
 *
 * @param path Where.
 * @param tensors Tensors by name.
 * @param metadata Texts for the header. PyTorch's loaders want `{ format: "pt" }`, the default.
 * @throws {CheckpointError} When the file cannot be written.
 */
export async function saveSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  // Larger elements first keeps every tensor aligned, as Python's writer does.
  const names = Object.keys(tensors).sort((a, b) =>
    dtypeBytes(tensors[b].dtype) - dtypeBytes(tensors[a].dtype) || (a < b ? -1 : 1)
  );
  if (names.includes("__metadata__")) {
    throw new CheckpointError(`Cannot save ${path}: no tensor may be named "__metadata__", which is the header's own`, {
      path,
    });
  }
  const header: [string, unknown][] = [["__metadata__", metadata]];
  let position = 0;
  for (const name of names) {
    const { dtype, shape, size } = tensors[name];
    const end = position + size * dtypeBytes(dtype);
    header.push([name, { dtype: NAMES[dtype], shape, data_offsets: [position, end] }]);
    position = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const front = new Uint8Array(8 + headerBytes).fill(0x20);
  new DataView(front.buffer).setBigUint64(0, BigInt(headerBytes), true);
  front.set(json, 8);
  const temporary = `${path}.${Deno.pid}.tmp`;
  try {
    using file = await Deno.open(temporary, { write: true, create: true, truncate: true });
    for (const part of [front, ...names]) {
      let bytes = typeof part === "string" ? new Uint8Array(readBytes(tensors[part])) : part;
      while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
    }
    await file.sync();
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch((removal) => {
      if (!(removal instanceof Deno.errors.NotFound)) throw removal;
    });
    throw new CheckpointError(`Cannot save ${path}: ${error instanceof Error ? error.message : error}`, {
      path,
      cause: error,
    });
  }
}
