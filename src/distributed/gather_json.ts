/**
 * Small plain values between ranks, and agreement on whether all of them succeeded.
 *
 * @module
 */
import { tensor } from "../creation.ts";
import { noGrad } from "../core/op.ts";
import { tidy } from "../tidy.ts";
import type { ProcessGroup } from "./process_group.ts";

/**
 * The values of all ranks, in their order. Every rank must call it.
 *
 * @param group The ranks.
 * @param value Anything that JSON holds.
 */
export async function gatherJson<T>(group: ProcessGroup, value: T): Promise<T[]> {
  if (group.worldSize === 1) return [value];
  await group.ready();
  const own = new TextEncoder().encode(JSON.stringify(value));
  return noGrad(() =>
    tidy(() => {
      const lengths = Array.from(group.allGather(tensor([own.length], { dtype: "int64" })).data(), Number);
      const longest = Math.max(...lengths);
      const padded = new Uint8Array(longest);
      padded.set(own);
      const all = group.allGather(tensor(padded)).data() as Uint8Array;
      const textOf = (rank: number): string =>
        new TextDecoder().decode(all.subarray(rank * longest, rank * longest + lengths[rank]));
      return lengths.map((_, rank) => JSON.parse(textOf(rank)) as T);
    })
  );
}

/**
 * Runs a step of its own on every rank. When it fails on one, it fails on all, so that none waits for another one in vain.
 *
 * @param group The ranks.
 * @param step What this rank does; its result must be something that JSON holds.
 * @param failure Makes the error of the ranks that had none, from the message of the first one that had.
 * @returns The results of all ranks.
 */
export async function allOrNone<T>(
  group: ProcessGroup,
  step: () => T | Promise<T>,
  failure: (message: string) => Error,
): Promise<T[]> {
  let outcome: { value: T } | { error: string };
  let own: unknown;
  try {
    outcome = { value: await step() };
  } catch (error) {
    own = error;
    outcome = { error: error instanceof Error ? error.message : String(error) };
  }
  const all = await gatherJson(group, outcome);
  if ("error" in outcome) throw own;
  return all.map((result, rank) => {
    if ("error" in result) throw failure(`rank ${rank} failed: ${result.error}`);
    return result.value;
  });
}
