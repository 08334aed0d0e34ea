/**
 * The largest batch that fits into memory.
 *
 * @module
 */
import { CollectiveError, OutOfMemoryError } from "../core/errors.ts";
import type { Ranks } from "./ranks.ts";

/** Options of `findExecutableBatchSize`. */
export interface BatchSizeOptions {
  /** The first size that is tried. Default 128. */
  starting?: number;
  /** The next size after one that does not fit. Default: nine tenths. */
  reduce?: (batchSize: number) => number;
}

type Kind = "ok" | "memory" | "peer" | "failed";

/** Whether an error says that memory ran out. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof OutOfMemoryError) return true;
  if (error instanceof RangeError && /allocation failed/i.test(error.message)) return true;
  return error instanceof Error && error.cause !== undefined && isOutOfMemory(error.cause);
}

function kindOf(error: unknown): Kind {
  if (isOutOfMemory(error)) return "memory";
  return error instanceof CollectiveError ? "peer" : "failed";
}

/**
 * Runs a function with smaller and smaller sizes until none of the ranks runs out of memory.
 *
 * @param ranks Who must agree.
 * @param fn Gets the size.
 * @param options See {@link BatchSizeOptions}.
 */
export async function findBatchSize<T>(
  ranks: Ranks,
  fn: (batchSize: number) => T | Promise<T>,
  { starting = 128, reduce = (size) => Math.floor(size * 0.9) }: BatchSizeOptions,
): Promise<T> {
  ranks.regions.forbid("findExecutableBatchSize");
  if (!Number.isInteger(starting) || starting < 0) {
    throw new RangeError(`Cannot start with batches of ${starting}: starting must be a non-negative integer`);
  }
  for (let size = starting; size > 0;) {
    const group = await ranks.join();
    let kind: Kind = "ok";
    let value: T | undefined;
    let error: unknown;
    try {
      value = await fn(size);
    } catch (thrown) {
      error = thrown;
      kind = kindOf(thrown);
      // The others may be waiting for this rank inside of a collective.
      if (kind !== "peer") await group.abandon();
    }
    const outcomes = (await group.meet(JSON.stringify([kind, String(error)]))).map((text) => JSON.parse(text));
    if (outcomes.every(([other]) => other === "ok")) return value as T;
    if (kind === "failed") throw error;
    const failed = outcomes.findIndex(([other]) => other === "failed");
    if (failed !== -1) {
      throw new CollectiveError(`Cannot find a batch size: process ${failed} failed with ${outcomes[failed][1]}`, {
        rank: failed,
        op: "findExecutableBatchSize",
        cause: error,
      });
    }
    if (outcomes.every(([other]) => other !== "memory")) throw error;
    await group.rejoin();
    const next = reduce(size);
    if (!(Number.isInteger(next) && next >= 0 && next < size)) {
      throw new RangeError(`Cannot try batches of ${next} after ${size}: reduce must give a smaller whole number`);
    }
    size = next;
  }
  throw new Error("No executable batch size found, reached zero");
}
