/**
 * Batches that rank 0 reads for all, as Accelerate's `dispatch_batches`: for data that only one process can read.
 *
 * @module
 */
import { type Scope, withScope } from "../core/scope.ts";
import { type Dataset, IterableDataset } from "./dataset.ts";
import { type DispatchedRounds, OrderDeal } from "./rounds.ts";
import {
  type Collate,
  collateIn,
  type Delivered,
  END,
  fetchSamples,
  indexSource,
  type Source,
  startIn,
  streamSource,
} from "./source.ts";

/** What rank 0 says with each round. */
export interface DispatchNote {
  readonly isLast: boolean;
  /** Samples of the epoch, as far as they are known. */
  readonly count: number;
  /** There is no such round. */
  readonly isEnd: boolean;
  /** What went wrong on rank 0. */
  readonly error: string | null;
}

/**
 * Hands out what rank 0 has: resolves to the note, and to a function that makes this rank's part. Rank 0 gives note and parts, the
 * others nothing.
 */
export type Scatter = (
  note: DispatchNote | undefined,
  parts: readonly unknown[] | undefined,
) => Promise<{ note: DispatchNote; part: () => unknown }>;

/** Cuts a round into the batches of the ranks. */
function shares(rounds: DispatchedRounds, collate: Collate): (round: unknown[], scope: Scope) => unknown {
  return (round, scope) => {
    const size = round.length / rounds.shard.worldSize;
    const parts = Array.from(
      { length: rounds.shard.worldSize },
      (_, rank) => collateIn(scope, collate, round.slice(rank * size, (rank + 1) * size)),
    );
    return parts.includes(END) ? END : parts;
  };
}

/** What rank 0 makes: an array with the batch of each rank. */
function roundSource(
  dataset: Dataset<unknown> | IterableDataset<unknown>,
  rounds: DispatchedRounds,
  order: readonly number[],
  collate: Collate,
  outer: Scope | undefined,
): Source {
  const make = shares(rounds, collate);
  if (dataset instanceof IterableDataset) return streamSource(dataset, rounds, make, outer);
  // Rounds of all ranks are the batches of a single one; the last is filled up to equal parts.
  const { worldSize } = rounds.shard;
  const single = { rank: 0, worldSize: 1 };
  const whole = new OrderDeal(order, rounds.size * worldSize, single, rounds.options, rounds.start);
  const filled = {
    length: whole.length,
    places: () => [],
    after: () => 0,
    indices: (index: number): number[] => {
      const indices = [...whole.indices(index)];
      for (let i = 0; indices.length % worldSize !== 0; i++) indices.push(order[i % order.length]);
      return indices;
    },
  };
  const fetch = fetchSamples(dataset, (samples) => samples, outer);
  return indexSource(filled, (indices, scope) => {
    const samples = fetch(indices, scope);
    return samples instanceof Promise
      ? samples.then((list) => list === END ? END : make(list as unknown[], scope))
      : make(samples as unknown[], scope);
  }, outer);
}

/** Batches that rank 0 makes and hands out when they are used. */
export function dispatchSource(
  dataset: Dataset<unknown> | IterableDataset<unknown>,
  rounds: DispatchedRounds,
  order: readonly number[],
  collate: Collate,
  scatter: Scatter,
  outer: Scope | undefined,
): Source {
  const isReader = rounds.shard.rank === 0;
  const inner = isReader ? roundSource(dataset, rounds, order, collate, outer) : undefined;
  const length = dataset instanceof IterableDataset ? undefined : rounds.lengthOf();
  let started = 0;
  const hand = async (note: DispatchNote | undefined, parts: unknown, scope: Scope): Promise<Delivered> => {
    const { note: { isEnd, isLast, count, error }, part } = await scatter(note, parts as unknown[] | undefined);
    if (error !== null) throw new Error(`Cannot load: rank 0, which reads for all, failed with: ${error}`);
    rounds.count = count;
    return { batch: isEnd ? END : isReader ? (parts as unknown[])[0] : withScope(scope, part), isLast };
  };
  return {
    places: rounds,
    length,
    start: () => {
      if (started++ === length) return undefined;
      return inner === undefined ? startIn(outer, () => null) : inner.start();
    },
    deliver: (batch, isLast, scope) => {
      if (!isReader) return hand(undefined, undefined, scope);
      const note = { isLast, count: rounds.count, isEnd: batch === END, error: null };
      return hand(note, batch === END ? undefined : batch, scope);
    },
    fail: async (reason) => {
      if (isReader) await scatter({ isLast: true, count: rounds.count, isEnd: true, error: String(reason) }, undefined);
    },
    close: () => inner?.close() ?? Promise.resolve(),
  };
}
