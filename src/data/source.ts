/**
 * Where a loader's batches come from: each is begun when there is room, and has the scope of the step that will use it.
 *
 * @module
 */
import { forEachTensor, moveInto, prepareScope, resumeScope, type Scope, withScope } from "../core/scope.ts";
import { Tensor } from "../tensor.ts";
import type { Dataset, IterableDataset } from "./dataset.ts";
import type { Deal, Places, Rounds } from "./rounds.ts";

/** What comes after the last batch. */
export const END = Symbol("end");

/** A batch that is being made, or {@link END}, or a promise of them; and the scope of what it holds. */
export interface Pending {
  readonly scope: Scope;
  readonly batch: unknown;
}

/** A batch, or {@link END}, as it is used. */
export interface Delivered {
  readonly batch: unknown;
  readonly isLast: boolean;
}

/** Makes one batch after another. */
export interface Source {
  readonly places: Places;
  /** Number of batches; `undefined` where only the end tells. */
  readonly length: number | undefined;
  /** Begins the next batch; `undefined` when there is none left. */
  start(): Pending | undefined;
  /** The last step, in the order of use: where batches come from another rank. */
  deliver?(batch: unknown, isLast: boolean, scope: Scope): Promise<Delivered>;
  /** Tells the other ranks that there will be no batch. */
  fail?(reason: unknown): Promise<void>;
  /** Tells the data set that no more is wanted. */
  close(): Promise<void>;
}

/** Makes a batch of samples. */
export type Collate = (samples: unknown[]) => unknown;
/** Makes the batch of these samples, or promises it; `scope` is the current one when it is called. */
export type Fetch = (indices: readonly number[], scope: Scope) => unknown;

/** Whether a value is a tensor. */
export const isTensor = (value: object): boolean => value instanceof Tensor;

/** Moves the tensors of a value that arrived during a training step into the scope of the batch that they belong to. */
export function adopt(value: unknown, scope: Scope, outer: Scope | undefined): void {
  forEachTensor(value, isTensor, (tensor) => moveInto(tensor, scope, outer));
}

/** A scope for a batch. */
export function batchScope(): Scope {
  return prepareScope("the end of the training step");
}

/** Collates in a batch's scope; {@link END} when that has ended because nobody wants the batch any more. */
export function collateIn(scope: Scope, collate: Collate, samples: unknown[]): unknown {
  return scope.ended ? END : withScope(scope, () => collate(samples));
}

/** Gets samples one by one and collates them. */
export function fetchSamples(dataset: Dataset<unknown>, collate: Collate, outer: Scope | undefined): Fetch {
  return (indices, scope) => {
    const samples = indices.map((index) => dataset.get(index));
    if (!samples.some((sample) => sample instanceof Promise)) return collateIn(scope, collate, samples);
    // A tensor of a sample that arrives during a training step belongs to that step until it is moved to its own.
    const arrived = samples.map(async (sample) => {
      const value = await sample;
      adopt(value, scope, outer);
      return value;
    });
    return Promise.all(arrived).then((list) => collateIn(scope, collate, list));
  };
}

/** Begins a batch in a scope of its own. */
export function startIn(outer: Scope | undefined, make: (scope: Scope) => unknown): Pending {
  const scope = batchScope();
  resumeScope(scope);
  try {
    return { scope, batch: make(scope) };
  } catch (error) {
    return { scope, batch: Promise.reject(error) };
  } finally {
    resumeScope(outer);
  }
}

/** Batches of a data set with indices. */
export function indexSource(deal: Deal, fetch: Fetch, outer: Scope | undefined): Source {
  let next = 0;
  return {
    places: deal,
    length: deal.length,
    start: () => next === deal.length ? undefined : startIn(outer, (scope) => fetch(deal.indices(next++), scope)),
    close: () => Promise.resolve(),
  };
}

/** The rounds of a stream: those samples that `select` picks of each, after the ones that were read before. */
async function* streamRounds(
  dataset: IterableDataset<unknown>,
  rounds: Rounds,
  fills: boolean,
  arrives: (sample: unknown) => boolean,
): AsyncGenerator<unknown[], void, undefined> {
  const room = rounds.size * rounds.shard.worldSize;
  const first: unknown[] = [];
  let round: unknown[] = [];
  let seen = 0;
  for await (const sample of dataset as AsyncIterable<unknown>) {
    if (!arrives(sample)) return;
    if (fills && first.length < room) {
      first.push(sample);
      forEachTensor(sample, isTensor, (tensor) => tensor.keep());
    }
    if (seen++ < rounds.start) continue;
    round.push(sample);
    if (round.length < room) continue;
    yield round;
    round = [];
  }
  rounds.count = seen;
  if (round.length === 0 || rounds.options.dropLast) return;
  const end = fills ? rounds.end(Math.floor((seen - rounds.start) / room), rounds.shard.worldSize - 1) : seen;
  for (let place = seen; place < end; place++) round.push(first[(place - seen) % first.length]);
  yield round;
}

/** Batches of a stream: every rank reads all of it and keeps its part of each round. */
export function streamSource(
  dataset: IterableDataset<unknown>,
  rounds: Rounds,
  make: (round: unknown[], scope: Scope) => unknown,
  outer: Scope | undefined,
): Source {
  const { dropLast, evenBatches } = rounds.options;
  // The scopes of the batches that are still being read; the first one gets what arrives.
  const reading: Scope[] = [];
  const iterator = streamRounds(dataset, rounds, rounds.shard.worldSize > 1 && evenBatches && !dropLast, (sample) => {
    adopt(sample, reading[0], outer);
    return !reading[0].ended;
  });
  const start = (): Pending => {
    const scope = batchScope();
    reading.push(scope);
    const batch = withScope(scope, () => iterator.next()).then(({ done, value }) => {
      reading.shift();
      return done ? END : make(value, scope);
    });
    return { scope, batch };
  };
  return { places: rounds, length: undefined, start, close: async () => void await iterator.return(undefined) };
}

/** The part of a round that a rank keeps, collated; {@link END} when there is none. */
export function keepShare({ size, shard: { rank } }: Rounds, collate: Collate) {
  return (round: unknown[], scope: Scope): unknown => {
    const own = round.slice(rank * size, (rank + 1) * size);
    return own.length === 0 ? END : collateIn(scope, collate, own);
  };
}
