/**
 * Weights of models as Hugging Face stores them: one safetensors file, or shards with an index.
 *
 * @module
 */
import type { DeviceName } from "../core/device.ts";
import { dtypeBytes } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import type { Tensor } from "../tensor.ts";
import { parseByteSize } from "./byte_size.ts";
import { type Bytes, isPresent, readWithDigest, removeIfPresent, syncToDisk, writeDurably } from "./durable.ts";
import { tensorsOf } from "./safetensors.ts";
import { layoutSafetensors, parseSafetensors, safetensorsParts } from "./safetensors_format.ts";
import { distinctTensors, type TensorRecord, withTiedNames } from "./tied.ts";

/** What has weights. */
export interface WithStateDict {
  stateDict(): Record<string, Tensor>;
  loadStateDict(
    state: TensorRecord,
    options?: { strict?: boolean },
  ): { missingKeys: string[]; unexpectedKeys: string[] };
}

/** Options of {@link saveModel}. */
export interface SaveModelOptions {
  /** Largest file, in bytes or for example "5GB"; a larger tensor has a file of its own. Default "10GB". */
  maxShardSize?: number | string;
}

/** Options of {@link loadWeights}. */
export interface LoadWeightsOptions {
  /** From a name in the files to one of the model; null leaves the tensor out. */
  mapKey?: (key: string) => string | null;
  /** Where the tensors are placed. Default "cpu". */
  device?: DeviceName;
}

/** Options of {@link loadModel}. */
export interface LoadModelOptions extends LoadWeightsOptions {
  /** Whether every name must be on both sides. Default true. */
  strict?: boolean;
}

const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";
/** What earlier saves, finished or not, left in a directory. */
const OWN_FILE = /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?(\.\d+\.tmp)?$/;

/** Names of tensors file by file, in their order, as huggingface_hub cuts them. */
function cutIntoShards(tensors: TensorRecord, limit: number): string[][] {
  const bytesOf = ({ size, dtype }: Tensor): number => size * dtypeBytes(dtype);
  const shards: string[][] = [];
  let open: string[] = [];
  let used = 0;
  for (const [name, tensor] of Object.entries(tensors)) {
    const bytes = bytesOf(tensor);
    if (bytes > limit) {
      shards.push([name]);
      continue;
    }
    if (used + bytes > limit) {
      shards.push(open);
      [open, used] = [[], 0];
    }
    open.push(name);
    used += bytes;
  }
  if (open.length > 0 || shards.length === 0) shards.push(open);
  return shards;
}

/**
 * Saves the weights of a model: `model.safetensors`, or shards and `model.safetensors.index.json`. Tied tensors are stored once. Files of
 * an earlier save that do not belong to this one are removed; others in the directory stay.
 *
 * @param directory Where; it is made when it does not exist.
 * @param model A module, or tensors by name.
 * @param options `maxShardSize`.
 * @throws {CheckpointError} When a file cannot be written.
 * @throws {RangeError} When `maxShardSize` is not understood.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { io, nn } from "../../mod.ts";
 * const directory = await Deno.makeTempDir();
 * const [model, other] = [new nn.Linear(4, 2), new nn.Linear(4, 2)];
 * await io.saveModel(directory, model);
 * await io.loadModel(other, directory);
 * assertEquals(other.weight.toArray(), model.weight.toArray());
 * ```
 */
export async function saveModel(
  directory: string,
  model: WithStateDict | TensorRecord,
  { maxShardSize = "10GB" }: SaveModelOptions = {},
): Promise<void> {
  const limit = parseByteSize(maxShardSize);
  const state = typeof model.stateDict === "function" ? (model as WithStateDict).stateDict() : model as TensorRecord;
  const { tensors, metadata } = distinctTensors(state);
  const shards = cutIntoShards(tensors, limit);
  const count = String(shards.length).padStart(5, "0");
  const nameOf = (i: number): string =>
    shards.length === 1 ? SINGLE_FILE : `model-${String(i + 1).padStart(5, "0")}-of-${count}.safetensors`;
  const temporary = (name: string): string => `${directory}/${name}.${Deno.pid}.tmp`;
  const names: string[] = [];
  try {
    await Deno.mkdir(directory, { recursive: true });
    const sha256: Record<string, string> = {};
    let total = 0;
    for (const [i, shard] of shards.entries()) {
      const name = nameOf(i);
      const part = Object.fromEntries(shard.map((key) => [key, tensors[key]]));
      const layout = layoutSafetensors(`${directory}/${name}`, part, metadata);
      names.push(name);
      sha256[name] = (await writeDurably(temporary(name), safetensorsParts(layout))).sha256;
      total += layout.bodyBytes;
    }
    if (shards.length > 1) {
      const weightMap = Object.fromEntries(shards.flatMap((shard, i) => shard.map((key) => [key, nameOf(i)])));
      const index = { metadata: { total_size: total, sha256 }, weight_map: weightMap };
      names.push(INDEX_FILE);
      await writeDurably(temporary(INDEX_FILE), [new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`)]);
    }
    // The index comes last: with its digests it tells shards of this save from those of an earlier one.
    for (const name of names) await Deno.rename(temporary(name), `${directory}/${name}`);
    await syncToDisk(directory);
    for await (const { name } of Deno.readDir(directory)) {
      if (OWN_FILE.test(name) && !names.includes(name)) await removeIfPresent(`${directory}/${name}`);
    }
    await syncToDisk(directory);
  } catch (error) {
    for (const name of names) await removeIfPresent(temporary(name)).catch(() => {});
    if (error instanceof CheckpointError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`Cannot save a model to ${directory}: ${reason}`, { path: directory, cause: error });
  }
}

interface ShardIndex {
  readonly metadata?: { readonly sha256?: Readonly<Record<string, string>> };
  readonly weight_map: Readonly<Record<string, string>>;
}

async function read(path: string): Promise<{ contents: Bytes; sha256: string }> {
  try {
    const { contents, digest } = await readWithDigest(path);
    return { contents, sha256: digest.sha256 };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`Cannot load ${path}: ${reason}`, { path, cause: error });
  }
}

function parseIndex(contents: Bytes, path: string): ShardIndex {
  let index: Partial<ShardIndex> | null;
  try {
    index = JSON.parse(new TextDecoder().decode(contents));
  } catch (error) {
    throw new CheckpointError(`Cannot load ${path}: it is not JSON`, { path, cause: error });
  }
  const map: unknown = index?.weight_map;
  const isMap = typeof map === "object" && map !== null && Object.values(map).every((file) => typeof file === "string");
  if (!isMap) {
    throw new CheckpointError(`Cannot load ${path}: its field "weight_map" must name a file for each tensor`, { path });
  }
  return index as ShardIndex;
}

/** The file to begin with: a directory has a single file, or an index. */
async function entryOf(path: string): Promise<string> {
  let isDirectory: boolean;
  try {
    ({ isDirectory } = await Deno.stat(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`Cannot load ${path}: ${reason}`, { path, cause: error });
  }
  if (!isDirectory) return path;
  for (const name of [SINGLE_FILE, INDEX_FILE]) if (await isPresent(`${path}/${name}`)) return `${path}/${name}`;
  const files = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
  const indices = files.filter((name) => name.endsWith(".safetensors.index.json"));
  const candidates = indices.length > 0 ? indices : files.filter((name) => name.endsWith(".safetensors"));
  if (candidates.length === 1) return `${path}/${candidates[0]}`;
  throw new CheckpointError(
    candidates.length === 0
      ? `Cannot load ${path}: it holds no .safetensors file`
      : `Cannot load ${path}: it holds ${candidates.sort().join(" and ")}. Pass the path of one of them`,
    { path },
  );
}

interface Weights {
  readonly tensors: Record<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

async function readWeights(path: string, device?: DeviceName): Promise<Weights> {
  const entry = await entryOf(path);
  if (!entry.endsWith(".json")) {
    const { contents } = await read(entry);
    const parsed = parseSafetensors(contents, entry);
    return { tensors: tensorsOf(contents, parsed, device), metadata: parsed.metadata };
  }
  const index = parseIndex((await read(entry)).contents, entry);
  const folder = entry.slice(0, entry.lastIndexOf("/") + 1);
  const tensors: Record<string, Tensor> = {};
  const metadata: Record<string, string> = {};
  for (const file of new Set(Object.values(index.weight_map))) {
    const shard = folder + file;
    const fail = (problem: string): CheckpointError =>
      new CheckpointError(`Cannot load ${shard}: ${problem}`, { path: shard });
    if (/[/\\]/.test(file)) throw fail(`${entry} must name files beside itself`);
    const { contents, sha256 } = await read(shard);
    const expected = index.metadata?.sha256?.[file];
    if (expected !== undefined && expected !== sha256) {
      throw fail(`its SHA-256 is not the one that ${entry} says: it was changed, or is of another save`);
    }
    const parsed = parseSafetensors(contents, shard);
    Object.assign(metadata, parsed.metadata);
    const found = tensorsOf(contents, parsed, device);
    for (const [name, place] of Object.entries(index.weight_map)) {
      if (place !== file) continue;
      if (!Object.hasOwn(found, name)) throw fail(`tensor "${name}" is missing, which ${entry} places there`);
      tensors[name] = found[name];
    }
  }
  return { tensors, metadata };
}

function renamed({ tensors, metadata }: Weights, mapKey: (key: string) => string | null, path: string): Weights {
  const out: Record<string, Tensor> = {};
  const origin: Record<string, string> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const key = mapKey(name);
    if (key === null) continue;
    if (Object.hasOwn(out, key)) {
      throw new CheckpointError(
        `Cannot load ${path}: mapKey gives "${origin[key]}" and "${name}" the same name "${key}"`,
        {
          path,
        },
      );
    }
    [out[key], origin[key]] = [tensor, name];
  }
  const aliases = Object.entries(metadata).flatMap(([alias, kept]) => {
    if (!Object.hasOwn(tensors, kept)) return [];
    const [from, to] = [mapKey(alias), mapKey(kept)];
    return from === null || to === null ? [] : [[from, to]];
  });
  return { tensors: out, metadata: Object.fromEntries(aliases) };
}

/**
 * Reads weights that this library, safetensors or Hugging Face's libraries have saved.
 *
 * @param path A .safetensors file, an index of shards, or a directory with either.
 * @param options See {@link LoadWeightsOptions}.
 * @returns Tensors by name. They belong to no scope.
 * @throws {CheckpointError} When a file is missing or damaged; it names the file and the tensor.
 */
export async function loadWeights(
  path: string,
  { mapKey, device }: LoadWeightsOptions = {},
): Promise<Record<string, Tensor>> {
  const weights = await readWeights(path, device);
  const { tensors, metadata } = mapKey === undefined ? weights : renamed(weights, mapKey, path);
  const aliases = Object.entries(metadata).filter(([alias, kept]) =>
    alias !== "format" && Object.hasOwn(tensors, kept) && !Object.hasOwn(tensors, alias)
  );
  return { ...tensors, ...Object.fromEntries(aliases.map(([alias, kept]) => [alias, tensors[kept]])) };
}

/**
 * Fills a model with weights from files. Tied tensors may be stored once.
 *
 * @param model Whose weights.
 * @param path As for {@link loadWeights}.
 * @param options See {@link LoadModelOptions}.
 * @returns The names that were missing and those that nobody wanted.
 * @throws {CheckpointError} When files are missing or damaged, or names or shapes do not fit; then nothing was changed.
 */
export async function loadModel(
  model: WithStateDict,
  path: string,
  { strict = true, ...options }: LoadModelOptions = {},
): Promise<{ missingKeys: string[]; unexpectedKeys: string[] }> {
  const loaded = await loadWeights(path, options);
  try {
    return model.loadStateDict(withTiedNames(loaded, {}, model.stateDict()), { strict });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`Cannot load ${path}: ${reason}`, { path, cause: error });
  } finally {
    for (const tensor of new Set(Object.values(loaded))) tensor.dispose();
  }
}
