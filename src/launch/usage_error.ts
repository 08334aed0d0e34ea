/**
 * The mistake of a command line.
 *
 * @module
 */

/** What the user typed cannot be meant. The message is one sentence; the status is 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
