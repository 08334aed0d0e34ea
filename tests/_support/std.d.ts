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
  export type ParseOptions = import("../../src/launch/parse_args.d.ts").ParseOptions;
  export type ParsedArguments = import("../../src/launch/parse_args.d.ts").ParsedArguments;
  export function parseArgs(args: readonly string[], options?: ParseOptions): ParsedArguments;
}
