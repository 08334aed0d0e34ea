// Types for the parts of @std that tests and tools use: its npm build ships none, and without them every call would be `any`.

declare module "@std/assert" {
  type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;
  type Class<T> = abstract new (...args: never[]) => T;

  export class AssertionError extends Error {
    constructor(message: string, options?: ErrorOptions);
  }
  export function assert(condition: unknown, message?: string): asserts condition;
  export function assertFalse(condition: unknown, message?: string): void;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T;
  export function assertNotStrictEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
  export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, message?: string): void;
  export function assertGreater<T>(actual: T, expected: T, message?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertLess<T>(actual: T, expected: T, message?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, message?: string): void;
  export function assertStringIncludes(actual: string, expected: string, message?: string): void;
  export function assertMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertObjectMatch(
    actual: object,
    expected: Record<PropertyKey, unknown>,
    message?: string,
  ): void;
  export function assertInstanceOf<T>(actual: unknown, expected: Class<T>, message?: string): asserts actual is T;
  export function assertNotInstanceOf<A, T>(
    actual: A,
    unexpected: Class<T>,
    message?: string,
  ): asserts actual is Exclude<A, T>;
  export function assertIsError<E extends Error = Error>(
    error: unknown,
    errorClass?: ErrorClass<E>,
    includes?: string | RegExp,
    message?: string,
  ): asserts error is E;
  export function assertThrows(fn: () => unknown, message?: string): unknown;
  export function assertThrows<E extends Error>(
    fn: () => unknown,
    errorClass: ErrorClass<E>,
    includes?: string,
    message?: string,
  ): E;
  export function assertRejects(fn: () => PromiseLike<unknown>, message?: string): Promise<unknown>;
  export function assertRejects<E extends Error>(
    fn: () => PromiseLike<unknown>,
    errorClass: ErrorClass<E>,
    includes?: string,
    message?: string,
  ): Promise<E>;
  export function equal(first: unknown, second: unknown): boolean;
  export function fail(message?: string): never;
  export function unreachable(reason?: string): never;
}

declare module "@std/cli/parse-args" {
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
}
