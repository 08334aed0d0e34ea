// Types for the parts of @std that tests use: the npm build ships none.
declare module "@std/assert" {
  export function assert(condition: unknown, message?: string): asserts condition;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertThrows<E extends Error>(
    fn: () => unknown,
    error: new (...args: never[]) => E,
    includes?: string,
  ): E;
}
