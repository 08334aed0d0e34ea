/**
 * The manifest of a checkpoint: what its files are, their digests, and everything that is not a tensor.
 *
 * @module
 */
import type { RandomState } from "../core/random.ts";
import { CheckpointError } from "../core/errors.ts";
import { type FileDigest, sha256 } from "../io/durable.ts";
import type { Json } from "../io/packed_state.ts";

/** Its file in the directory of the checkpoint. It is written last, so a directory without it is no checkpoint. */
export const MANIFEST_FILE = "manifest.json";

const FORMAT = "accelerate-deno-checkpoint";
const VERSION = 1;

/** State of one object: its plain part, and the file that holds its tensors. */
export interface StoredState {
  readonly state: Json;
  /** Absent when it has no tensors. */
  readonly file?: string;
}

/** What only one rank had. */
export interface RankState {
  readonly random: { [Name in keyof RandomState]: number };
  /** Gradients and counts of an accumulation window that was open; absent when none was. */
  readonly accumulation?: StoredState;
}

/** A checkpoint without its tensors. */
export interface Manifest {
  /** Number of the checkpoint among those of its run, from 0. */
  readonly iteration: number;
  readonly worldSize: number;
  /** Files of the models, in the order of preparation. */
  readonly models: readonly string[];
  readonly optimizers: readonly StoredState[];
  readonly schedulers: readonly StoredState[];
  readonly loaders: readonly StoredState[];
  /** The loss scaler of mixed precision. */
  readonly scaler?: StoredState;
  readonly custom: readonly StoredState[];
  readonly ranks: readonly RankState[];
  /** Every other file of the directory. */
  readonly files: Readonly<Record<string, FileDigest>>;
}

/** The text of a manifest, with a digest of itself. */
export function formatManifest(manifest: Manifest): string {
  const body = { format: FORMAT, version: VERSION, ...manifest };
  return `${JSON.stringify({ ...body, sha256: sha256(JSON.stringify(body)) }, null, 1)}\n`;
}

/**
 * Reads a manifest's text.
 *
 * @param text What {@link formatManifest} made.
 * @param path For error messages.
 * @throws {CheckpointError} When it is damaged, or of a version that this one does not know.
 */
export function parseManifest(text: string, path: string): Manifest {
  const fail = (problem: string, cause?: unknown): CheckpointError =>
    new CheckpointError(`Cannot load ${path}: ${problem}`, { path, cause });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw fail("it is truncated or not JSON", error);
  }
  if (typeof parsed !== "object" || parsed === null || !("format" in parsed) || parsed.format !== FORMAT) {
    throw fail(`its field "format" must be "${FORMAT}"`);
  }
  const { sha256: digest, ...body } = parsed as Manifest & { format: string; version: number; sha256: string };
  if (body.version !== VERSION) {
    throw fail(`its field "version" must be ${VERSION}, got ${body.version}: it was written by another version`);
  }
  if (sha256(JSON.stringify(body)) !== digest) {
    throw fail(`its field "sha256" does not fit its contents: it was changed`);
  }
  return body;
}

/**
 * The manifest of a checkpoint.
 *
 * @param directory The checkpoint's.
 * @throws {CheckpointError} When there is none, or it is damaged.
 */
export async function readManifest(directory: string): Promise<Manifest> {
  const path = `${directory}/${MANIFEST_FILE}`;
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
    const reason = isMissing ? "it is missing, so this is no complete checkpoint" : String(error);
    throw new CheckpointError(`Cannot load ${path}: ${reason}`, { path, cause: error });
  }
  return parseManifest(text, path);
}
