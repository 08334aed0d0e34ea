/**
 * Types of `npm:deno-std/cli/parse_args.js`, which ships none: the part that this project uses.
 *
 * @module
 */

/** How to read the arguments; names of flags are without dashes. */
export interface ParseOptions {
  /** Flags without a value. */
  readonly boolean?: readonly string[];
  /** Flags with a value, kept as text; `"_"` for the arguments that are no flags. */
  readonly string?: readonly string[];
  /** Flags that may be repeated. Their values come as an array. */
  readonly collect?: readonly string[];
  /** Other spellings of a flag. */
  readonly alias?: Readonly<Record<string, string | readonly string[]>>;
  /** Values of flags that are not given. */
  readonly default?: Readonly<Record<string, unknown>>;
  /** Flags that `--no-<name>` turns off. */
  readonly negatable?: readonly string[];
  /** Leaves everything after the first argument that is no flag as it is. */
  readonly stopEarly?: boolean;
  /** Keeps what follows `--` under that key. */
  readonly "--"?: boolean;
  /** Called for everything that is no known flag; `false` leaves it out. `key` is missing for an argument without dashes. */
  readonly unknown?: (argument: string, key?: string, value?: unknown) => unknown;
}

/** The flags by name, the other arguments under `_`. */
export interface ParsedArguments {
  [name: string]: unknown;
  _: (string | number)[];
  "--"?: string[];
}

/** Reads command-line arguments. */
export function parseArgs(args: readonly string[], options?: ParseOptions): ParsedArguments;
