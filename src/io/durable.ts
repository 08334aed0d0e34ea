/**
 * Files that survive: written with a digest, synchronised with the disk, and given their final name only when complete.
 *
 * This module knows no tensors, so that a Worker can use it without loading the native library.
 *
 * @module
 */
import { nodeCrypto } from "../core/node_modules.ts";

/** Bytes in memory of their own kind, not shared with other threads. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What a file holds, in a form that tells whether it was changed. */
export interface FileDigest {
  readonly bytes: number;
  readonly sha256: string;
}

/** How much is read, hashed and written at a time. */
export const CHUNK_BYTES: number = 1 << 22;

/** SHA-256 in hexadecimal digits. */
export function sha256(bytes: Bytes | string): string {
  return nodeCrypto().createHash("sha256").update(bytes).digest("hex");
}

/**
 * Writes a file, hashes what it writes while the disk is busy, and waits until the disk has it.
 *
 * @param path A file that is replaced when it exists.
 * @param parts Its contents in order. A part is no longer needed when the next one is asked for.
 */
export async function writeDurably(path: string, parts: Iterable<Bytes>): Promise<FileDigest> {
  const hash = nodeCrypto().createHash("sha256");
  let bytes = 0;
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (const part of parts) {
    for (let start = 0; start < part.length; start += CHUNK_BYTES) {
      let rest = part.subarray(start, start + CHUNK_BYTES);
      const writing = file.write(rest);
      hash.update(rest);
      bytes += rest.length;
      for (rest = rest.subarray(await writing); rest.length > 0;) rest = rest.subarray(await file.write(rest));
    }
  }
  await file.sync();
  return { bytes, sha256: hash.digest("hex") };
}

/** Waits until the disk has a file's contents, or a directory's entries: what was created in it, renamed or removed. */
export async function syncToDisk(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true });
  await file.sync();
}

/** Reads a file and hashes it meanwhile. */
export async function readWithDigest(path: string): Promise<{ contents: Bytes; digest: FileDigest }> {
  using file = await Deno.open(path, { read: true });
  const { size } = await file.stat();
  const contents = new Uint8Array(size);
  const hash = nodeCrypto().createHash("sha256");
  let end = 0;
  let hashed = 0;
  while (end < size) {
    const reading = file.read(contents.subarray(end, end + CHUNK_BYTES));
    hash.update(contents.subarray(hashed, end));
    hashed = end;
    const count = await reading;
    if (count === null) break;
    end += count;
  }
  hash.update(contents.subarray(hashed, end));
  return { contents: contents.subarray(0, end), digest: { bytes: end, sha256: hash.digest("hex") } };
}

/** Digest of a file, without keeping its contents. */
export async function digestOf(path: string): Promise<FileDigest> {
  using file = await Deno.open(path, { read: true });
  const hash = nodeCrypto().createHash("sha256");
  const chunk = new Uint8Array(CHUNK_BYTES);
  let bytes = 0;
  for (let count = await file.read(chunk); count !== null; count = await file.read(chunk)) {
    hash.update(chunk.subarray(0, count));
    bytes += count;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Removes a file or a directory with all it holds; nothing happens when there is none. */
export async function removeIfPresent(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Whether there is a file or a directory of this name. */
export async function isPresent(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}
