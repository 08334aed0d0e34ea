/**
 * Where sources lie, and the warnings that all of them must pass.
 *
 * @module
 */
import { ROOT, sha256 } from "./compile.ts";

export const WARNINGS = [
  "-Wall",
  "-Wextra",
  "-Wmissing-declarations",
  "-Werror",
  "-Wno-maybe-uninitialized",
];

/** The files of a folder of kernels/ and of its subfolders with an extension, relative to the project. */
export function sourcesIn(folder: string, extension: string): string[] {
  return [...Deno.readDirSync(`${ROOT}kernels/${folder}`)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return sourcesIn(`${folder}/${name}`, extension);
    return name.endsWith(extension) ? [`kernels/${folder}/${name}`] : [];
  }).sort();
}

/** Name of a source's object, without its extension. */
export function objectName(source: string): string {
  return source.replace("kernels/", "").replaceAll("/", "_");
}

/** What the CUDA library has of its own, beside kernels/common. */
export function cudaSources(): string[] {
  return [...sourcesIn("ops", ".cu"), ...sourcesIn("cuda", ".cu")];
}

/** The hash of accelerate.h, by which TypeScript and a library know that they belong together. */
export async function abiHash(): Promise<string> {
  return await sha256(await Deno.readFile(`${ROOT}kernels/include/accelerate.h`));
}

/** How sources learn of the hash. */
export function abiDefine(abi: string): string {
  return `-DAX_ABI_HASH="${abi}"`;
}
