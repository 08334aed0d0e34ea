/**
 * Safetensors files: reading and writing.
 *
 * @module
 */
import { defaultDevice, device as findDevice, type DeviceName } from "../core/device.ts";
import { CheckpointError } from "../core/errors.ts";
import { empty } from "../core/op.ts";
import { withScope } from "../core/scope.ts";
import { writeBytes } from "../ops/copy.ts";
import type { Tensor } from "../tensor.ts";
import { type Bytes, removeIfPresent, syncToDisk, writeDurably } from "./durable.ts";
import { layoutSafetensors, type ParsedSafetensors, parseSafetensors, safetensorsParts } from "./safetensors_format.ts";

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
  let bytes: Bytes;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw new CheckpointError(`Cannot load ${path}: ${error instanceof Error ? error.message : error}`, {
      path,
      cause: error,
    });
  }
  return tensorsOf(bytes, parseSafetensors(bytes, path), device);
}

/** Tensors that belong to no scope, of what was read and parsed. */
export function tensorsOf(
  bytes: Bytes,
  { entries, base }: ParsedSafetensors,
  device?: DeviceName,
): Record<string, Tensor> {
  const where = device === undefined ? defaultDevice() : findDevice(device);
  // From entries, so that every name is an own property: also "__proto__".
  return Object.fromEntries(entries.map(({ name, dtype, shape, start, end }) => {
    const tensor = withScope(undefined, () => empty(where, shape, dtype, "loadSafetensors"));
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
  const layout = layoutSafetensors(path, tensors, metadata);
  const temporary = `${path}.${Deno.pid}.tmp`;
  try {
    await writeDurably(temporary, safetensorsParts(layout));
    await Deno.rename(temporary, path);
    await syncToDisk(path.slice(0, path.lastIndexOf("/") + 1) || ".");
  } catch (error) {
    await removeIfPresent(temporary);
    throw new CheckpointError(`Cannot save ${path}: ${error instanceof Error ? error.message : error}`, {
      path,
      cause: error,
    });
  }
}
