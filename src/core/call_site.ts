/**
 * Where in the user's sources a call came from.
 *
 * @module
 */

const SOURCES = new URL("../", import.meta.url).href;

/** A line of the user's. */
export interface CallSite {
  /** Path or URL of the file. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** The function, or an empty string at the top of a module. */
  readonly function: string;
}

/** The innermost frame outside of this library's sources; `undefined` when there is none. */
export function userCallSite(stack: string = new Error().stack ?? ""): CallSite | undefined {
  for (const frame of stack.split("\n").slice(1)) {
    const match = /^\s*at (?:(.*?) \()?([a-z]+:\/\/.*?):(\d+):(\d+)\)?$/.exec(frame);
    if (match === null || match[2].startsWith(SOURCES)) continue;
    const [, name = "", file, line, column] = match;
    return {
      file: file.startsWith("file://") ? decodeURIComponent(new URL(file).pathname) : file,
      line: Number(line),
      column: Number(column),
      function: name.replace(/^async /, "").replace(/^new /, ""),
    };
  }
  return undefined;
}
