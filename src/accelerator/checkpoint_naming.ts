/**
 * Directories of a run's checkpoints: `checkpoint_0`, `checkpoint_1` and so on, numbered on after a restart.
 *
 * @module
 */
import { isPresent, removeIfPresent, syncToDisk } from "../io/durable.ts";
import { MANIFEST_FILE, readManifest } from "./manifest.ts";

const NAME = /^checkpoint_(0|[1-9][0-9]*)$/;
/** The name of a checkpoint while it is written or removed, with host and process whose business it is. */
const TRANSIENT = /^\.(.+)\.([0-9]+)\.(?:writing|removing)$/;

/** The name of a directory while a process writes or removes it. */
export function transientName(directory: string, what: "writing" | "removing"): string {
  const at = directory.lastIndexOf("/") + 1;
  return `${directory.slice(0, at)}.${directory.slice(at)}.${Deno.hostname()}.${Deno.pid}.${what}`;
}

async function entriesOf(folder: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = (await entriesOf(folder)).map(({ name }) => NAME.exec(name)?.[1]).filter((text) => text !== undefined);
  return names.map(Number).sort((a, b) => a - b);
}

/** Whether a directory has a sound manifest, and all its files in their full length. */
async function isComplete(directory: string): Promise<boolean> {
  if (!await isPresent(`${directory}/${MANIFEST_FILE}`)) return false;
  try {
    const { files } = await readManifest(directory);
    for (const [name, { bytes }] of Object.entries(files)) {
      if ((await Deno.stat(`${directory}/${name}`)).size !== bytes) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** The complete checkpoints of a folder in the order of their numbers. Everything else that lies there is ignored. */
export async function completeCheckpoints(folder: string): Promise<{ number: number; directory: string }[]> {
  const found = (await numbersIn(folder)).map((number) => ({ number, directory: `${folder}/checkpoint_${number}` }));
  const complete = await Promise.all(found.map(({ directory }) => isComplete(directory)));
  return found.filter((_, i) => complete[i]);
}

/** The number after the highest that was ever used, complete or not. */
export async function nextNumber(folder: string): Promise<number> {
  return ((await numbersIn(folder)).at(-1) ?? -1) + 1;
}

function isRunning(pid: string): Promise<boolean> {
  return isPresent(`/proc/${pid}`);
}

/**
 * Removes what processes of this machine that have ended left behind.
 *
 * @param folder Where checkpoints lie.
 * @param isOurs Which checkpoints, by name.
 */
export async function removeStrays(folder: string, isOurs: (name: string) => boolean): Promise<void> {
  const host = `.${Deno.hostname()}`;
  for (const { name } of await entriesOf(folder)) {
    const [, owner, pid] = TRANSIENT.exec(name) ?? [];
    if (owner === undefined || !owner.endsWith(host) || !isOurs(owner.slice(0, -host.length))) continue;
    if (!await isRunning(pid)) await removeIfPresent(`${folder}/${name}`);
  }
}

/** Whether a name is one that numbered checkpoints have. */
export function isNumbered(name: string): boolean {
  return NAME.test(name);
}

/** Removes the oldest complete checkpoints until at most `limit` are left. A removal that is interrupted leaves no half checkpoint. */
export async function removeOldest(folder: string, limit: number): Promise<void> {
  const all = await completeCheckpoints(folder);
  for (const { directory } of all.slice(0, Math.max(0, all.length - limit))) {
    const name = transientName(directory, "removing");
    await Deno.rename(directory, name);
    await syncToDisk(folder);
    await removeIfPresent(name);
  }
}
