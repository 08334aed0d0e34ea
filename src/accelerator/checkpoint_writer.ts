/**
 * Writes a checkpoint so that it exists as a whole or not at all: under a temporary name, synchronised with the disk, then renamed.
 *
 * Ranks meet in the temporary directory: each one leaves a note beside its own files, and rank 0 waits for the notes. So the same code
 * serves a save that everybody waits for and one that goes on in Workers. It knows no tensors.
 *
 * @module
 */
import {
  type Bytes,
  digestOf,
  type FileDigest,
  isPresent,
  removeIfPresent,
  syncToDisk,
  writeDurably,
} from "../io/durable.ts";
import { formatManifest, type Manifest, MANIFEST_FILE } from "./manifest.ts";

/** Contents of one file. */
export interface FileContents {
  readonly name: string;
  readonly parts: Iterable<Bytes>;
}

/** Where a checkpoint goes. */
export interface Destination {
  /** The directory that it becomes. */
  readonly directory: string;
  /** The directory that it is written into: on the same disk, and only this save's. */
  readonly temporary: string;
  /** How long rank 0 waits for the files of the others. */
  readonly timeoutMs: number;
}

/** What rank 0 adds to its own files. */
export interface Publication {
  readonly manifest: Omit<Manifest, "files">;
  /** Ranks that write files of their own. */
  readonly writers: readonly number[];
}

/** What a rank says when its files are there, or why they are not. */
type Note = { readonly files: Record<string, FileDigest> } | { readonly error: string };

const POLL_MS = 10;

function notePath(temporary: string, rank: number): string {
  return `${temporary}/.rank_${rank}.json`;
}

/** The name under which a checkpoint is kept while another one takes its place. */
export function replacedName(directory: string): string {
  const at = directory.lastIndexOf("/") + 1;
  return `${directory.slice(0, at)}.${directory.slice(at)}.replaced`;
}

async function writeFiles(temporary: string, files: Iterable<FileContents>): Promise<Record<string, FileDigest>> {
  const digests: Record<string, FileDigest> = {};
  for (const { name, parts } of files) digests[name] = await writeDurably(`${temporary}/${name}`, parts);
  return digests;
}

/** Writes the files of a rank that does not publish. */
export async function writeRankFiles(
  { temporary }: Destination,
  rank: number,
  files: Iterable<FileContents>,
): Promise<void> {
  let note: Note;
  try {
    note = { files: await writeFiles(temporary, files) };
  } catch (error) {
    note = { error: `rank ${rank} cannot write: ${error instanceof Error ? error.message : error}` };
  }
  const path = notePath(temporary, rank);
  await Deno.writeTextFile(`${path}.tmp`, JSON.stringify(note));
  await Deno.rename(`${path}.tmp`, path);
  if ("error" in note) throw new Error(note.error);
}

async function collectNote({ temporary, timeoutMs }: Destination, rank: number): Promise<Record<string, FileDigest>> {
  const path = notePath(temporary, rank);
  const end = performance.now() + timeoutMs;
  while (!await isPresent(path)) {
    if (performance.now() > end) throw new Error(`rank ${rank} did not write its files within ${timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const note: Note = JSON.parse(await Deno.readTextFile(path));
  if ("error" in note) throw new Error(note.error);
  await Deno.remove(path);
  return note.files;
}

/** Files that hooks of the user's put into the directory. */
async function digestOthers(root: string, known: Record<string, FileDigest>, folder = ""): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(`${root}/${folder}`)) {
    const path = folder + name;
    if (isDirectory) await digestOthers(root, known, `${path}/`);
    else if (!(path in known)) {
      known[path] = await digestOf(`${root}/${path}`);
      await syncToDisk(`${root}/${path}`);
    }
  }
  await syncToDisk(`${root}/${folder}`);
}

/**
 * Writes the files of rank 0, waits for those of the others, and gives the checkpoint its name. When it fails, nothing of it is left.
 *
 * @param destination Where to.
 * @param files The files of rank 0.
 * @param publication The rest.
 */
export async function publish(
  destination: Destination,
  files: Iterable<FileContents>,
  { manifest, writers }: Publication,
): Promise<void> {
  const { directory, temporary } = destination;
  try {
    const digests = await writeFiles(temporary, files);
    for (const rank of writers) Object.assign(digests, await collectNote(destination, rank));
    await digestOthers(temporary, digests);
    const text = new TextEncoder().encode(formatManifest({ ...manifest, files: digests }));
    await writeDurably(`${temporary}/${MANIFEST_FILE}`, [text]);
    await syncToDisk(temporary);
    const parent = directory.slice(0, directory.lastIndexOf("/") + 1) || ".";
    const replaced = replacedName(directory);
    // A directory cannot take the place of one that holds something. Should the process end between the two names, loading finds the old
    // checkpoint under its other name.
    if (await isPresent(directory)) {
      await removeIfPresent(replaced);
      await Deno.rename(directory, replaced);
      await syncToDisk(parent);
    }
    await Deno.rename(temporary, directory);
    await syncToDisk(parent);
    await removeIfPresent(replaced);
  } catch (error) {
    await removeIfPresent(temporary);
    throw error;
  }
}
