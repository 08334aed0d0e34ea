/**
 * Which batches come to which rank.
 *
 * @module
 */
import { batches } from "./sampler.ts";

/** Which rank of how many. */
export interface Shard {
  readonly rank: number;
  readonly worldSize: number;
}

/**
 * The batches of one rank: it gets every `worldSize`-th. All ranks get equally many, of equal size: the last round is filled with
 * samples from the beginning of the epoch, as Accelerate's `even_batches`.
 */
export function shardBatches(all: readonly number[][], batchSize: number, dropLast: boolean, shard: Shard): number[][] {
  const { rank, worldSize } = shard;
  if (worldSize === 1) return [...all];
  const rounds = dropLast ? Math.floor(all.length / worldSize) : Math.ceil(all.length / worldSize);
  const order = all.flat();
  const wanted = rounds * worldSize * batchSize;
  const filled = order.slice(0, wanted);
  while (filled.length < wanted && order.length > 0) filled.push(...order.slice(0, wanted - filled.length));
  return batches(filled, batchSize, false).filter((_, i) => i % worldSize === rank);
}

/** The same for batches of any size: whole batches are dealt, and the first ones fill the last round. */
export function dealBatches(all: readonly number[][], dropLast: boolean, { rank, worldSize }: Shard): number[][] {
  const rounds = dropLast ? Math.floor(all.length / worldSize) : Math.ceil(all.length / worldSize);
  return Array.from({ length: rounds }, (_, round) => all[(round * worldSize + rank) % all.length]);
}
