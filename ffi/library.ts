/**
 * The only place that opens a native library. It is opened on first use and never closed: a call after close would crash.
 *
 * @module
 */
import { LibraryError } from "./errors.ts";
import { type Backend, findLibrary } from "./resolve.ts";
import { ABI_HASH, symbols } from "./symbols.ts";

/** The functions of accelerate.h, as loaded from one library. */
export type Library = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** A truncated library would kill the process with SIGBUS inside dlopen, so its section table must lie inside the file. */
function checkElf(path: string): void {
  const file = Deno.openSync(path);
  try {
    const size = file.statSync().size;
    const header = new Uint8Array(64);
    const read = file.readSync(header) ?? 0;
    const view = new DataView(header.buffer);
    const isElf = read === 64 && view.getUint32(0) === 0x7f454c46 && header[4] === 2;
    const end = isElf ? Number(view.getBigUint64(40, true)) + view.getUint16(58, true) * view.getUint16(60, true) : 0;
    if (!isElf || end > size) {
      throw new LibraryError(
        `Cannot load ${path}: the file is ${
          isElf ? `truncated (${size} of ${end} bytes)` : "not a 64-bit ELF library"
        }. ` +
          `Delete it and fetch or build it again`,
      );
    }
  } finally {
    file.close();
  }
}

const decoder = new TextDecoder();

/** The text up to the first NUL. */
export function readCString(bytes: Uint8Array<ArrayBuffer>): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function open(backend: Backend): Library {
  const path = findLibrary(backend);
  if (path === undefined) {
    throw new LibraryError(
      `Cannot load the ${backend} library: it is not in the cache. Import mod.ts, which fetches it, or start with \`cli.ts launch\``,
    );
  }
  checkElf(path);
  let library: Library;
  try {
    library = Deno.dlopen(path, symbols).symbols;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new LibraryError(`Cannot load ${path}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
  const text = new Uint8Array(128);
  library.ax_abi_hash(text, text.length);
  const hash = readCString(text);
  if (hash !== ABI_HASH) {
    throw new LibraryError(
      `Cannot use ${path}: it was built from another accelerate.h (its ABI hash must be ${ABI_HASH.slice(0, 16)}..., ` +
        `got ${hash.slice(0, 16)}...). Rebuild it with \`deno task build:${backend}\``,
    );
  }
  return library;
}

let cpu: Library | undefined;
let cuda: Library | undefined;

/**
 * The CPU library, loaded on first use.
 *
 * @throws {LibraryError} When it is missing, truncated, or does not match this version.
 */
export function cpuLibrary(): Library {
  return cpu ??= open("cpu");
}

/**
 * The CUDA library, loaded on first use. It loads without a driver; its functions then return AX_ERROR_DEVICE.
 *
 * @throws {LibraryError} When it is missing, truncated, or does not match this version.
 */
export function cudaLibrary(): Library {
  return cuda ??= open("cuda");
}
