/**
 * The safetensors format: 8 bytes of header length, a JSON header, the raw elements. Files are Python's, byte for byte.
 *
 * Source: https://huggingface.co/docs/safetensors
 *
 * @module
 */
import { type DType, dtypeBytes } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { readPart } from "../ops/copy.ts";
import { contiguous, copied } from "../ops/launch.ts";
import { noGrad } from "../core/op.ts";
import { mapStorage } from "../core/scalar_slab.ts";
import { withScope } from "../core/scope.ts";
import type { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";
import { type Bytes, CHUNK_BYTES } from "./durable.ts";

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

/** Where a tensor lies behind the header. */
export interface Entry {
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

/** What a file holds. */
export interface ParsedSafetensors {
  readonly entries: readonly Entry[];
  /** Where the elements begin. */
  readonly base: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Parses and checks everything that a header can say wrongly.
 *
 * @throws {CheckpointError} When the file is truncated or not well formed.
 */
export function parseSafetensors(bytes: Bytes, path: string): ParsedSafetensors {
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
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string")) {
        throw fail("its __metadata__ must be an object of texts");
      }
      metadata = value as Record<string, string>;
      continue;
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
  return { entries, base, metadata };
}

/** A file that is to be written. */
export interface SafetensorsLayout {
  /** Length and header. */
  readonly front: Bytes;
  /** The tensors in the order of the file. */
  readonly tensors: readonly Tensor[];
  /** Bytes of the tensors. */
  readonly bodyBytes: number;
}

/**
 * Lays out a file.
 *
 * @param path For error messages.
 * @param tensors Tensors by name.
 * @param metadata Texts for the header.
 * @throws {CheckpointError} When a name is the header's own.
 */
export function layoutSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
): SafetensorsLayout {
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
  return { front, tensors: names.map((name) => tensors[name]), bodyBytes: position };
}

function readPiece(tensor: Tensor, target: Bytes, start: number): void {
  const options = { start, by: "saving" };
  if (tensor.isContiguous) readPart(tensor, target, options);
  else noGrad(() => tidy(() => readPart(contiguous(tensor.detach()), target, options)));
}

/** The bytes of a file in order, through one buffer: a part is overwritten when the next one is asked for. */
export function* safetensorsParts({ front, tensors }: SafetensorsLayout): Generator<Bytes, void, undefined> {
  yield front;
  const buffer = new Uint8Array(CHUNK_BYTES);
  let used = 0;
  for (const tensor of tensors) {
    const bytes = tensor.size * dtypeBytes(tensor.dtype);
    for (let start = 0; start < bytes;) {
      const count = Math.min(bytes - start, CHUNK_BYTES - used);
      readPiece(tensor, buffer.subarray(used, used + count), start);
      start += count;
      used += count;
      if (used < CHUNK_BYTES) continue;
      yield buffer;
      used = 0;
    }
  }
  if (used > 0) yield buffer.subarray(0, used);
}

/** A copy of a file's contents, which later changes of the tensors do not reach. */
export interface Snapshot {
  /** In order. Some are memory of the native library: they must not be used after `release`. */
  readonly parts: Bytes[];
  /** Gives the memory back. */
  release(): void;
}

/** Smaller tensors are not worth a part of their own. */
const OWN_PART_BYTES = 1 << 16;

/**
 * Copies what a file will hold. On the CPU the copies lie in memory of the library, which keeps it for the next time: filling memory that
 * is fresh from the system takes several times as long.
 */
export function safetensorsSnapshot({ front, tensors }: SafetensorsLayout): Snapshot {
  const parts: Bytes[] = [front];
  const copies: Tensor[] = [];
  let gathered: Bytes[] = [];
  const closePart = (): void => {
    const part = new Uint8Array(gathered.reduce((sum, { length }) => sum + length, 0));
    gathered.reduce((start, bytes) => (part.set(bytes, start), start + bytes.length), 0);
    if (part.length > 0) parts.push(part);
    gathered = [];
  };
  for (const tensor of tensors) {
    const bytes = tensor.size * dtypeBytes(tensor.dtype);
    if (bytes < OWN_PART_BYTES || tensor.storage.device.type !== "cpu") {
      const piece = new Uint8Array(bytes);
      readPiece(tensor, piece, 0);
      gathered.push(piece);
      continue;
    }
    closePart();
    const copy = withScope(undefined, () => noGrad(() => copied(tensor.detach(), "snapshot")));
    copies.push(copy);
    parts.push(new Uint8Array(mapStorage(copy.storage), copy.offset * dtypeBytes(copy.dtype), bytes));
  }
  closePart();
  return { parts, release: () => copies.forEach((copy) => copy.dispose()) };
}
