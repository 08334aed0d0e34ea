/**
 * checksums.json beside the prebuilt libraries: the hash of each, and of the sources that it was built from.
 *
 * @module
 */
import { ROOT, sha256 } from "./compile.ts";

/** Where the prebuilt libraries lie. */
export const PREBUILT = `${ROOT}ffi/prebuilt/linux-x86_64`;

/** The libraries that are committed. */
export type Backend = "cpu" | "cuda";

/** File name of a backend's library. */
export function libraryName(backend: Backend): string {
  return `libaccelerate_${backend}.so`;
}

async function listFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) files.push(...await listFiles(path));
    else files.push(path);
  }
  return files.sort();
}

/** One hash over all that a library is made of: a change without a rebuild is a stale library. */
async function hashSources(backend: Backend): Promise<string> {
  const others = backend === "cpu" ? ["/kernels/cuda/", "/kernels/hw/"] : ["/kernels/cpu/", "/kernels/hw/emulator/"];
  const parts: string[] = [];
  for (const path of await listFiles(`${ROOT}kernels`)) {
    if (!/\.(h|cc|cu|cuh|ts)$/.test(path) || [...others, "/kernels/dev/"].some((other) => path.includes(other))) {
      continue;
    }
    parts.push(`${path.slice(ROOT.length)} ${await sha256(await Deno.readFile(path))}`);
  }
  return await sha256(new TextEncoder().encode(parts.join("\n")));
}

interface Checksums {
  abi: string;
  sources: Record<string, string>;
  libraries: Record<string, string>;
}

async function readChecksums(): Promise<Checksums> {
  return JSON.parse(await Deno.readTextFile(`${PREBUILT}/checksums.json`));
}

/** Writes down what a library was built from. */
export async function recordChecksums(backend: Backend, abi: string): Promise<void> {
  const library = libraryName(backend);
  const checksums = await readChecksums();
  checksums.abi = abi;
  checksums.sources = { ...checksums.sources, [backend]: await hashSources(backend) };
  checksums.libraries[library] = await sha256(await Deno.readFile(`${PREBUILT}/${library}`));
  await Deno.writeTextFile(`${PREBUILT}/checksums.json`, JSON.stringify(checksums, null, 2) + "\n");
}

/** Ends the process with status 1 when a committed library is not what its sources say. */
export async function checkPrebuilt(backend: Backend): Promise<void> {
  const checksums = await readChecksums();
  const library = libraryName(backend);
  const actual = await sha256(await Deno.readFile(`${PREBUILT}/${library}`));
  if (checksums.sources[backend] !== await hashSources(backend) || checksums.libraries[library] !== actual) {
    console.error(`${library} is not what kernels/ says: run \`deno task build:${backend}\` and commit ffi/prebuilt`);
    Deno.exit(1);
  }
}
