/**
 * Finds the file of a native library: `ACCELERATE_CPU_LIBRARY` or `ACCELERATE_CUDA_LIBRARY`, `ACCELERATE_LIBRARY_DIR`, then beside this module, then the verified cache.
 *
 * Importing this module does nothing. When it was imported over http(s), the library is fetched from beside it, its
 * SHA-256 is compared with the value pinned in checksums.json (a module of the import graph, so a lock file pins it too), and
 * it is renamed into the cache; afterwards it is found there without a network.
 *
 * @module
 */
import checksums from "./prebuilt/linux-x86_64/checksums.json" with { type: "json" };
import { LibraryError } from "./errors.ts";

/** The native libraries: the CPU one is the embedded default. */
export type Backend = "cpu" | "cuda";

/** The platform folder under `ffi/prebuilt/`. */
export const PLATFORM = "linux-x86_64";

const MODULE_URL: string = import.meta.url;

/** File name of a backend's library. */
export function libraryFileName(backend: Backend): string {
  return `libaccelerate_${backend}.so`;
}

function readEnvironment(name: string): string | undefined {
  return Deno.env.get(name) || undefined;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

function checkPlatform(): void {
  const platform = `${Deno.build.os}-${Deno.build.arch}`;
  if (platform !== PLATFORM) {
    throw new LibraryError(
      `Cannot load the native library on ${platform}: prebuilt libraries exist for ${PLATFORM}. ` +
        `Build one from kernels/ and name its folder in ACCELERATE_LIBRARY_DIR`,
    );
  }
}

function pinnedHash(backend: Backend): string {
  return (checksums.libraries as Record<string, string>)[libraryFileName(backend)] ?? "";
}

/** Folder of the verified cache for a library with this SHA-256. */
function cacheDirectory(sha256: string): string {
  const home = readEnvironment("HOME") ?? "/tmp";
  const denoDirectory = readEnvironment("DENO_DIR") ?? `${readEnvironment("XDG_CACHE_HOME") ?? `${home}/.cache`}/deno`;
  return `${denoDirectory}/accelerate/${sha256.slice(0, 16)}`;
}

/** Whether this module was imported over http(s). */
export function isRemote(): boolean {
  return MODULE_URL.startsWith("http:") || MODULE_URL.startsWith("https:");
}

function besideModule(backend: Backend): URL {
  return new URL(`./prebuilt/${PLATFORM}/${libraryFileName(backend)}`, MODULE_URL);
}

/** Names one library's file, and goes before the folder of both. */
const OWN_VARIABLE = { cpu: "ACCELERATE_CPU_LIBRARY", cuda: "ACCELERATE_CUDA_LIBRARY" } as const;

/**
 * Path of the library if it can be had without the network, else `undefined`.
 *
 * @param backend Which library.
 * @throws {LibraryError} When `ACCELERATE_LIBRARY_DIR`, `ACCELERATE_CPU_LIBRARY` or `ACCELERATE_CUDA_LIBRARY` is set and there is no such file, when this platform has no prebuilt
 * library, or when a local checkout lacks the file.
 */
export function findLibrary(backend: Backend): string | undefined {
  const variable = OWN_VARIABLE[backend], own = readEnvironment(variable);
  if (own !== undefined) {
    if (exists(own)) return own;
    throw new LibraryError(
      `Cannot find ${own}: ${variable} must name the ${backend} library. Unset it to use the prebuilt one`,
    );
  }
  const directory = readEnvironment("ACCELERATE_LIBRARY_DIR");
  if (directory !== undefined) {
    const path = `${directory}/${libraryFileName(backend)}`;
    if (exists(path)) return path;
    throw new LibraryError(
      `Cannot find ${path}: ACCELERATE_LIBRARY_DIR must name the folder of ${libraryFileName(backend)}. ` +
        `Unset it to use the prebuilt library`,
    );
  }
  checkPlatform();
  if (!isRemote()) {
    const path = decodeURIComponent(besideModule(backend).pathname);
    if (exists(path)) return path;
    throw new LibraryError(`Cannot find ${path}: build it with \`deno task build:${backend}\``);
  }
  const cached = `${cacheDirectory(pinnedHash(backend))}/${libraryFileName(backend)}`;
  return exists(cached) ? cached : undefined;
}

async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function download(backend: Backend): Promise<string> {
  const url = besideModule(backend);
  const expected = pinnedHash(backend);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    const response = await fetch(url);
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`the server answered ${response.status}`);
    }
    bytes = await response.bytes();
  } catch (error) {
    throw new LibraryError(
      `Cannot fetch ${url}: ${error instanceof Error ? error.message : error}. ` +
        `Connect once, or name a folder with ${libraryFileName(backend)} in ACCELERATE_LIBRARY_DIR`,
      { cause: error },
    );
  }
  const actual = await sha256Hex(bytes);
  if (actual !== expected) {
    throw new LibraryError(
      `Refused ${url}: its SHA-256 must be ${expected}, got ${actual}. The file was changed or belongs to another version`,
    );
  }
  const directory = cacheDirectory(expected);
  await Deno.mkdir(directory, { recursive: true });
  const path = `${directory}/${libraryFileName(backend)}`;
  // Several processes may do this at once: each writes a file of its own, and rename() replaces atomically. A library
  // that is loaded keeps its inode.
  const temporary = `${path}.${Deno.pid}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.writeFile(temporary, bytes);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch((removal) => {
      if (!(removal instanceof Deno.errors.NotFound)) throw removal;
    });
    throw error;
  }
  return path;
}

/**
 * Path of a backend's library, fetched into the cache first when the module was imported over http(s).
 *
 * @param backend Which library.
 * @throws {LibraryError} When it cannot be found or fetched, or when its SHA-256 is not the pinned one.
 */
export async function resolveLibrary(backend: Backend): Promise<string> {
  return findLibrary(backend) ?? await download(backend);
}
