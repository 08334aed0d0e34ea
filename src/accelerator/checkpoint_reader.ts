/**
 * Reads a checkpoint and compares every file with its digest, before anything in memory is changed.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { isPresent, readWithDigest } from "../io/durable.ts";
import { type Json, unpackState } from "../io/packed_state.ts";
import { parseSafetensors } from "../io/safetensors_format.ts";
import { tensorsOf } from "../io/safetensors.ts";
import type { Tensor } from "../tensor.ts";
import { type Manifest, MANIFEST_FILE, readManifest, type StoredState } from "./manifest.ts";

/** Tensors of one file, and the texts of its header. */
export interface LoadedFile {
  readonly path: string;
  readonly tensors: Record<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A checkpoint in memory. `using` releases its tensors. */
export class LoadedCheckpoint implements Disposable {
  readonly directory: string;
  readonly manifest: Manifest;
  readonly #files: ReadonlyMap<string, LoadedFile>;

  private constructor(directory: string, manifest: Manifest, files: ReadonlyMap<string, LoadedFile>) {
    this.directory = directory;
    this.manifest = manifest;
    this.#files = files;
  }

  /**
   * Reads a checkpoint.
   *
   * @param directory The checkpoint's.
   * @param ranks Of which ranks the accumulation window is wanted.
   * @throws {CheckpointError} When a file is missing, truncated or changed; it names the file and what is wrong.
   */
  static async read(directory: string, ranks: (manifest: Manifest) => readonly number[]): Promise<LoadedCheckpoint> {
    if (!await isPresent(directory)) {
      throw new CheckpointError(`Cannot load ${directory}: the directory does not exist`, { path: directory });
    }
    const manifest = await readManifest(directory);
    const { models, optimizers, schedulers, loaders, scaler, custom } = manifest;
    const windows = ranks(manifest).map((rank) => manifest.ranks[rank].accumulation);
    const stored = [...optimizers, ...schedulers, ...loaders, scaler, ...custom, ...windows];
    const names = [...models, ...stored.flatMap((state) => state?.file === undefined ? [] : [state.file])];
    const files = new Map<string, LoadedFile>();
    for (const name of names) files.set(name, await loadFile(directory, name, manifest));
    return new LoadedCheckpoint(directory, manifest, files);
  }

  /** Where the manifest lies. */
  get manifestPath(): string {
    return `${this.directory}/${MANIFEST_FILE}`;
  }

  /** A file that the manifest names. */
  file(name: string): LoadedFile {
    return this.#files.get(name)!;
  }

  /**
   * The state of an object.
   *
   * @param stored What the manifest says of it.
   * @param field Where in the manifest, for error messages.
   */
  unpack({ state, file }: StoredState, field: string): unknown {
    try {
      return unpackState(state as Json, file === undefined ? {} : this.file(file).tensors);
    } catch (error) {
      throw this.mismatch(field, error instanceof Error ? error.message : String(error), error);
    }
  }

  /** The error for a field of the manifest that does not fit. */
  mismatch(field: string, problem: string, cause?: unknown): CheckpointError {
    const path = this.manifestPath;
    return new CheckpointError(`Cannot load ${path}: field "${field}": ${problem}`, { path, cause });
  }

  [Symbol.dispose](): void {
    for (const { tensors } of this.#files.values()) for (const tensor of Object.values(tensors)) tensor.dispose();
  }
}

async function loadFile(directory: string, name: string, manifest: Manifest): Promise<LoadedFile> {
  const path = `${directory}/${name}`;
  const fail = (problem: string, cause?: unknown): CheckpointError =>
    new CheckpointError(`Cannot load ${path}: ${problem}`, { path, cause });
  const expected = Object.hasOwn(manifest.files, name) ? manifest.files[name] : undefined;
  if (expected === undefined) throw fail(`${MANIFEST_FILE} has no digest of it in its field "files"`);
  let read;
  try {
    read = await readWithDigest(path);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error), error);
  }
  const { contents, digest } = read;
  if (digest.bytes !== expected.bytes) {
    const what = digest.bytes < expected.bytes ? "the file is truncated" : "the file has grown";
    throw fail(`${what}: it has ${digest.bytes} bytes, ${MANIFEST_FILE} says ${expected.bytes}`);
  }
  if (digest.sha256 !== expected.sha256) {
    throw fail(`its contents were changed: their SHA-256 is not the one that ${MANIFEST_FILE} says`);
  }
  const parsed = parseSafetensors(contents, path);
  return { path, tensors: tensorsOf(contents, parsed), metadata: parsed.metadata };
}
