/**
 * Code that one rank runs before the others.
 *
 * @module
 */
import { CollectiveError } from "../core/errors.ts";
import { encode, exchange } from "./objects.ts";
import type { Ranks } from "./ranks.ts";

/** How it went on a rank that was first. */
interface Outcome {
  readonly rank: number;
  readonly failure: string | null;
}

/**
 * Runs a function on the first ranks, then on the others. When it fails there, all ranks learn it and nobody is left waiting.
 *
 * @param ranks The ranks.
 * @param name What the user called.
 * @param isFirst Whether this rank is one of the first.
 * @param fn What to run; no collective may be in there.
 */
export async function inTurn<T>(ranks: Ranks, name: string, isFirst: boolean, fn: () => T | Promise<T>): Promise<T> {
  ranks.regions.forbid(name);
  const tell = async (failure: string | null): Promise<void> => {
    const own = encode(isFirst ? [{ rank: ranks.rank, failure } satisfies Outcome] : []);
    const outcomes = (await ranks.run(name, (turn) => exchange(turn, name, own))).flat() as Outcome[];
    const failed = outcomes.find((outcome) => outcome.failure !== null);
    if (failed === undefined || isFirst) return;
    throw new CollectiveError(`Cannot go on: process ${failed.rank} failed in ${name}() with ${failed.failure}`, {
      rank: failed.rank,
      op: name,
    });
  };
  if (!isFirst) {
    await tell(null);
    return await ranks.regions.run(`${name}()`, fn);
  }
  let value: T;
  try {
    value = await ranks.regions.run(`${name}()`, fn);
  } catch (error) {
    await tell(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    throw error;
  }
  await tell(null);
  return value;
}
