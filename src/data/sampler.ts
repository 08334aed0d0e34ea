/**
 * Orders of samples. An order is a pure function of (seed, epoch), so that every rank and every restart computes the same one.
 *
 * @module
 */
import { philoxWords } from "../core/philox.ts";

/**
 * A random order of 0 to `count - 1` (Fisher-Yates).
 *
 * @param seed An integer; its low 32 bits count.
 * @param epoch Gives another order for each epoch.
 */
export function permutation(count: number, seed: number, epoch: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  let words = philoxWords(seed, epoch, 0);
  for (let i = count - 1, used = 0; i > 0; i--, used++) {
    if (used % 4 === 0) words = philoxWords(seed, epoch, used / 4);
    const j = Math.floor(words[used % 4] / 2 ** 32 * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Cuts an order into batches; the last one may be shorter, or be dropped. */
export function batches(order: readonly number[], batchSize: number, dropLast: boolean): number[][] {
  const out: number[][] = [];
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = order.slice(start, start + batchSize);
    if (batch.length === batchSize || !dropLast) out.push(batch);
  }
  return out;
}

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
