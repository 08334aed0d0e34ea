/**
 * Batches of a data set, one training step each.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { TorchGenerator } from "../core/mt19937.ts";
import {
  currentScope,
  endScope,
  enterScope,
  forEachTensor,
  moveInto,
  prepareScope,
  resumeScope,
  type Scope,
  withScope,
} from "../core/scope.ts";
import { Tensor } from "../tensor.ts";
import { collate } from "./collate.ts";
import { type BatchedDataset, type Dataset, isBatched, IterableDataset } from "./dataset.ts";
import { checkEpoch, EpochRandom, type RandomOrder } from "./random_order.ts";
import { batches, BatchSampler, drawSamples, type Sampler } from "./sampler.ts";
import { dealBatches, type Shard, shardBatches } from "./shard.ts";

/** Options of a loader. */
export interface DataLoaderOptions {
  /** Samples in a batch. Default 1. */
  batchSize?: number;
  /** Another random order for each epoch. Default false. */
  shuffle?: boolean;
  /** Seed of the orders, an integer. Default 0. */
  seed?: number;
  /**
   * Whose order `shuffle` gives. Default "philox". "torch": that of a PyTorch loader with `shuffle=True` and
   * `generator=torch.Generator().manual_seed(seed)`; "accelerate": that of a loader prepared with `use_seedable_sampler` and
   * `data_seed=seed`.
   */
  order?: RandomOrder;
  /** Leave out the last batch when it is shorter. Default false. */
  dropLast?: boolean;
  /** Which samples, in which order: an array of indices, a sampler, or an iterable of your own with a length. */
  sampler?: Sampler;
  /** Which samples make each batch; instead of batchSize, shuffle, sampler and dropLast. */
  batchSampler?: Sampler<readonly number[]>;
  /** Makes a batch of samples. Default: {@link collate}. */
  // deno-lint-ignore no-explicit-any
  collate?: (samples: any[]) => unknown;
  /**
   * How many batches are fetched and collated ahead while the training step runs; the order does not change. It helps where `get` or
   * the iterator waits for something. Default 0.
   */
  prefetch?: number;
  /** Only 0: samples are made in this thread. */
  numWorkers?: number;
}

/** What collating gives for a sample: numbers become tensors, containers keep their form. */
export type Collated<Sample> = Sample extends Tensor | number | boolean ? Tensor
  : Sample extends string ? string[]
  : Sample extends ArrayBufferView ? Tensor
  : Sample extends readonly (infer Item)[]
    ? (number extends Sample["length"] ? Collated<Item>[] : { [K in keyof Sample]: Collated<Sample[K]> })
  : Sample extends object ? { [K in keyof Sample]: Collated<Sample[K]> }
  : unknown;

/** What comes after the last batch. */
const END = Symbol("end");

/** A batch that is being made, or {@link END}, or a promise of them; and the scope of what it holds. */
interface Pending {
  readonly scope: Scope;
  readonly batch: unknown;
}

interface Source {
  /** Begins the next batch; `undefined` when there is none left. */
  start(): Pending | undefined;
  /** Tells the data set that no more is wanted. */
  close(): Promise<void>;
}

function checkOptions(dataset: object, options: DataLoaderOptions): void {
  const { batchSize = 1, shuffle = false, dropLast = false, sampler, batchSampler, prefetch = 0, numWorkers = 0 } =
    options;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`Cannot load batches of ${batchSize}: batchSize must be a positive integer`);
  }
  if (!Number.isInteger(prefetch) || prefetch < 0) {
    throw new RangeError(`Cannot prefetch ${prefetch} batches: prefetch must be a non-negative integer`);
  }
  if (numWorkers !== 0) {
    throw new RangeError(
      `Cannot load with ${numWorkers} workers: only 0 is possible so far. Use prefetch to fetch ahead`,
    );
  }
  if (batchSampler !== undefined && (options.batchSize !== undefined || shuffle || sampler !== undefined || dropLast)) {
    throw new RangeError(
      "Cannot load with batchSampler and batchSize, shuffle, sampler or dropLast: it decides all of them",
    );
  }
  if (sampler !== undefined && shuffle) {
    throw new RangeError("Cannot shuffle what a sampler orders: leave out shuffle, or use a RandomSampler");
  }
  if (!(dataset instanceof IterableDataset)) return;
  if (shuffle) throw new RangeError("Cannot shuffle an IterableDataset: shuffle inside the data set");
  if (sampler !== undefined || batchSampler !== undefined) {
    throw new RangeError("Cannot sample an IterableDataset: it has no indices, and decides its order itself");
  }
}

/**
 * Iterates over batches: `for await (const [x, y] of loader)`. Each iteration is a scope: what was made in it is released when the
 * next one begins, scalars and kept tensors excepted.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { arange, data } from "../../mod.ts";
 * const dataset = new data.TensorDataset(arange(6));
 * const loader = new data.DataLoader(dataset, { sampler: [5, 3, 1], batchSize: 2, prefetch: 1 });
 * const seen: unknown[] = [];
 * for await (const [x] of loader) seen.push(x.toArray());
 * assertEquals(seen, [[5, 3], [1]]);
 * ```
 */
export class DataLoader<Sample, Batch = Collated<Sample>> {
  readonly dataset: Dataset<Sample> | IterableDataset<Sample>;
  readonly batchSize: number;
  readonly #collate: NonNullable<DataLoaderOptions["collate"]>;
  readonly #dropLast: boolean;
  readonly #prefetch: number;
  readonly #sampler: Sampler | undefined;
  readonly #batchSampler: Sampler<readonly number[]> | undefined;
  readonly #shuffled: EpochRandom<number[]> | undefined;
  #epoch = 0;
  #shard: Shard = { rank: 0, worldSize: 1 };
  #device: Device | undefined;

  /**
   * @param dataset Samples by index, or an iterable of them.
   * @param options See {@link DataLoaderOptions}.
   * @throws {RangeError} When an option is outside its range or contradicts another, or the data set is empty.
   */
  constructor(dataset: Dataset<Sample> | IterableDataset<Sample>, options: DataLoaderOptions = {}) {
    checkOptions(dataset, options);
    const { batchSampler, seed = 0, order = "philox" } = options;
    const fixed = batchSampler instanceof BatchSampler ? batchSampler : undefined;
    this.dataset = dataset;
    this.batchSize = fixed?.batchSize ?? options.batchSize ?? 1;
    this.#dropLast = fixed?.dropLast ?? options.dropLast ?? false;
    this.#collate = options.collate ?? collate;
    this.#prefetch = options.prefetch ?? 0;
    this.#sampler = options.sampler;
    this.#batchSampler = batchSampler;
    if (dataset instanceof IterableDataset) return;
    if (dataset.length === 0) throw new RangeError("Cannot load batches: the data set is empty");
    if (options.shuffle !== true) return;
    this.#shuffled = new EpochRandom({ seed, order }, (random) => {
      // A PyTorch loader takes a seed for its workers from the same generator before each epoch.
      if (order === "torch" && random instanceof TorchGenerator) random.random64();
      return drawSamples(random, dataset.length, false, dataset.length);
    });
  }

  /**
   * Number of batches in an epoch.
   *
   * @throws {RangeError} For an IterableDataset, whose length is not known.
   */
  get length(): number {
    if (this.dataset instanceof IterableDataset) {
      throw new RangeError("Cannot tell the number of batches of an IterableDataset: count them while iterating");
    }
    const count = (this.#sampler ?? this.dataset).length / this.batchSize;
    const all = this.#batchSampler?.length ?? (this.#dropLast ? Math.floor(count) : Math.ceil(count));
    const share = all / this.#shard.worldSize;
    return this.#dropLast ? Math.floor(share) : Math.ceil(share);
  }

  /** Chooses the order of the next iteration; by itself it counts up. */
  setEpoch(epoch: number): void {
    checkEpoch(epoch);
    this.#epoch = epoch;
  }

  /** @internal Used by the Accelerator: which part of the batches comes here, and where they are placed. */
  prepare(shard: Shard, device: Device): void {
    this.#shard = shard;
    this.#device = device;
  }

  #indices(count: number): readonly number[] {
    if (this.#shuffled !== undefined) return this.#shuffled.at(this.#epoch);
    if (this.#sampler === undefined) return Array.from({ length: count }, (_, i) => i);
    this.#sampler.setEpoch?.(this.#epoch);
    return checked([...this.#sampler], count);
  }

  #indexBatches(count: number): readonly (readonly number[])[] {
    const sampler = this.#batchSampler;
    if (sampler === undefined) {
      const all = batches(this.#indices(count), this.batchSize, this.#dropLast);
      return shardBatches(all, this.batchSize, this.#dropLast, this.#shard);
    }
    sampler.setEpoch?.(this.#epoch);
    const all = Array.from(sampler, (batch) => [...checked(batch, count)]);
    return sampler instanceof BatchSampler
      ? shardBatches(all, this.batchSize, this.#dropLast, this.#shard)
      : dealBatches(all, this.#dropLast, this.#shard);
  }

  async *#iterableBatches(
    dataset: IterableDataset<Sample>,
    arrives: (sample: Sample) => boolean,
  ): AsyncGenerator<Sample[], void, undefined> {
    // Every rank reads everything and keeps its slice of each round of batches.
    const { rank, worldSize } = this.#shard;
    const room = this.batchSize * worldSize;
    const first: Sample[] = [];
    let round: Sample[] = [];
    const mine = (): Sample[] => round.slice(rank * this.batchSize, (rank + 1) * this.batchSize);
    const fills = worldSize > 1 && !this.#dropLast;
    for await (const sample of dataset as AsyncIterable<Sample>) {
      if (!arrives(sample)) return;
      if (fills && first.length < room) {
        first.push(sample);
        forEachTensor(sample, isTensor, (tensor) => tensor.keep());
      }
      round.push(sample);
      if (round.length === room) {
        yield mine();
        round = [];
      }
    }
    if (round.length === 0 || this.#dropLast) return;
    if (fills) { while (round.length < room) round.push(...first.slice(0, room - round.length)); }
    yield mine();
  }

  #place(batch: unknown): unknown {
    const device = this.#device;
    if (device === undefined) return batch;
    let moves = false;
    forEachTensor(batch, isTensor, (tensor) => moves ||= tensor.storage.device !== device);
    return moves ? moved(batch, device) : batch;
  }

  /** Makes one batch after another. */
  #source(outer: Scope | undefined): Source {
    const { dataset } = this;
    const make = this.#collate;
    const scopeOf = (): Scope => prepareScope("the end of the training step");
    const adopt = (value: unknown, scope: Scope): void =>
      forEachTensor(value, isTensor, (tensor) => moveInto(tensor, scope, outer));
    const collated = (samples: Sample[], scope: Scope): unknown =>
      scope.ended ? END : withScope(scope, () => make(samples));
    if (dataset instanceof IterableDataset) {
      // The scopes of the batches that are still being read; the first one gets what arrives.
      const reading: Scope[] = [];
      const iterator = this.#iterableBatches(dataset, (sample) => {
        adopt(sample, reading[0]);
        return !reading[0].ended;
      });
      const start = (): Pending => {
        const scope = scopeOf();
        reading.push(scope);
        const batch = withScope(scope, () => iterator.next()).then(({ done, value }) => {
          reading.shift();
          return done ? END : collated(value, scope);
        });
        return { scope, batch };
      };
      return { start, close: async () => void await iterator.return(undefined) };
    }
    const indexBatches = this.#indexBatches(dataset.length);
    const usesOwnBatches = make === collate && isBatched(dataset);
    // The scope is the current one here.
    const fetch = (indices: readonly number[], scope: Scope): unknown => {
      if (usesOwnBatches) return dataset.getBatch(indices);
      const samples = indices.map((index) => dataset.get(index));
      if (!samples.some((sample) => sample instanceof Promise)) return collated(samples as Sample[], scope);
      // A tensor of a sample that arrives during a training step belongs to that step until it is moved to its own.
      const arrived = samples.map(async (sample) => {
        const value = await sample;
        adopt(value, scope);
        return value;
      });
      return Promise.all(arrived).then((list) => collated(list, scope));
    };
    let next = 0;
    const start = (): Pending | undefined => {
      if (next === indexBatches.length) return undefined;
      const scope = scopeOf();
      resumeScope(scope);
      try {
        return { scope, batch: fetch(indexBatches[next++], scope) };
      } catch (error) {
        return { scope, batch: Promise.reject(error) };
      } finally {
        resumeScope(outer);
      }
    };
    return { start, close: () => Promise.resolve() };
  }

  /** The first pending batch, after the queue has been filled. */
  #nextOf(queue: Pending[], source: Source): Pending | undefined {
    while (queue.length <= this.#prefetch) {
      const pending = source.start();
      if (pending === undefined) break;
      // An error is thrown where its batch is used, not before.
      if (pending.batch instanceof Promise) pending.batch.catch(() => {});
      queue.push(pending);
    }
    return queue.shift();
  }

  /** Iterates once over the batches of an epoch. */
  [Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    const { dataset } = this;
    if (this.#prefetch > 0 || this.#collate !== collate) return this.#madeBatches();
    // By far the most common case makes no garbage but the batch.
    return dataset instanceof IterableDataset || !isBatched(dataset) ? this.#madeBatches() : this.#ownBatches(dataset);
  }

  /** The batches of a data set that makes them itself, one when it is wanted. */
  async *#ownBatches(dataset: Dataset<Sample> & BatchedDataset<unknown>): AsyncGenerator<Batch, void, undefined> {
    let step: Scope | undefined;
    try {
      for (const indices of this.#indexBatches(dataset.length)) {
        step = enterScope("the end of the training step");
        yield this.#place(dataset.getBatch(indices)) as Batch;
        endScope(step);
        await macrotask();
      }
    } finally {
      if (step !== undefined) endScope(step);
      this.#epoch++;
    }
  }

  async *#madeBatches(): AsyncGenerator<Batch, void, undefined> {
    const queue: Pending[] = [];
    let step: Scope | undefined;
    const source = this.#source(currentScope());
    try {
      for (;;) {
        const pending = this.#prefetch === 0 ? source.start() : this.#nextOf(queue, source);
        if (pending === undefined) return;
        step = pending.scope;
        resumeScope(step);
        const batch = pending.batch instanceof Promise ? await pending.batch : pending.batch;
        if (batch === END) return;
        yield this.#place(batch) as Batch;
        // Finalizers, signals and I/O run only between macrotasks (2 us). Samples that have just arrived must have found their
        // batch's scope before the step's ends.
        if (this.#prefetch > 0) await macrotask();
        endScope(step);
        if (this.#prefetch === 0) await macrotask();
      }
    } finally {
      if (step !== undefined) endScope(step);
      for (const { scope } of queue) endScope(scope);
      this.#epoch++;
      const closed = source.close();
      // What is being fetched ahead may never come.
      if (queue.length === 0) await closed;
      else closed.catch(() => {});
    }
  }
}

function macrotask(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const isTensor = (value: object): boolean => value instanceof Tensor;

/** Indices that a sampler of the user's gave. */
function checked(indices: readonly number[], count: number): readonly number[] {
  for (const index of indices) {
    if (Number.isInteger(index) && index >= 0 && index < count) continue;
    throw new RangeError(`Cannot load sample ${index}: the data set has ${count} samples, numbered from 0`);
  }
  return indices;
}

function moved(value: unknown, device: Device): unknown {
  if (value instanceof Tensor) return value.to({ device });
  if (Array.isArray(value)) return value.map((item) => moved(item, device));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, moved(item, device)]));
  }
  return value;
}
