/**
 * Agreement between ranks on whether all of them succeeded.
 *
 * @module
 */
import { encode, exchange } from "./objects.ts";
import type { Ranks } from "./ranks.ts";

/**
 * The values of all ranks, in rank order.
 *
 * @param ranks The ranks.
 * @param op What they do, for messages.
 * @param value Anything that structured cloning copies.
 */
export async function gatherValues<T>(ranks: Ranks, op: string, value: T): Promise<T[]> {
  if (ranks.worldSize > 1) return await ranks.run(op, (turn) => exchange(turn, op, encode(value)) as T[]);
  ranks.regions.forbid(op);
  return [value];
}

/**
 * Runs a step of its own on every rank. When it fails on one, it fails on all, so that none waits for another one in vain.
 *
 * @param ranks The ranks.
 * @param op What they do, for messages.
 * @param step What this rank does; its result is something that structured cloning copies.
 * @param failure Makes the error of the ranks that had none, from the message of the first one that had.
 * @returns The results of all ranks.
 */
export async function allOrNone<T>(
  ranks: Ranks,
  op: string,
  step: () => T | Promise<T>,
  failure: (message: string) => Error,
): Promise<T[]> {
  ranks.regions.forbid(op);
  let outcome: { value: T } | { error: string };
  let own: unknown;
  try {
    outcome = { value: await step() };
  } catch (error) {
    own = error;
    outcome = { error: error instanceof Error ? error.message : String(error) };
  }
  const all = await gatherValues(ranks, op, outcome);
  if ("error" in outcome) throw own;
  return all.map((result, rank) => {
    if ("error" in result) throw failure(`rank ${rank} failed: ${result.error}`);
    return result.value;
  });
}
