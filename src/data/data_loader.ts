/**
 * Batches of a data set, one training step each.
 *
 * @module
 */
import { endScope, enterScope, forEachTensor, type Scope } from "../core/scope.ts";
import type { Device } from "../core/device.ts";
import { Tensor } from "../tensor.ts";
import { collate } from "./collate.ts";
import { type Dataset, isBatched, IterableDataset } from "./dataset.ts";
import { batches, permutation, type Shard, shardBatches } from "./sampler.ts";

/** Options of a loader. */
export interface DataLoaderOptions {
  /** Samples in a batch. Default 1. */
  batchSize?: number;
  /** Another random order for each epoch. Default false. */
  shuffle?: boolean;
  /** Seed of the orders. Default 0. */
  seed?: number;
  /** Leave out the last batch when it is shorter. Default false. */
  dropLast?: boolean;
  /** Makes a batch of samples. Default: {@link collate}. */
  // deno-lint-ignore no-explicit-any
  collate?: (samples: any[]) => unknown;
}

/** What collating gives for a sample: numbers become tensors, containers keep their form. */
export type Collated<Sample> = Sample extends Tensor | number | boolean ? Tensor
  : Sample extends string ? string[]
  : Sample extends ArrayBufferView ? Tensor
  : Sample extends readonly (infer Item)[]
    ? (number extends Sample["length"] ? Collated<Item>[] : { [K in keyof Sample]: Collated<Sample[K]> })
  : Sample extends object ? { [K in keyof Sample]: Collated<Sample[K]> }
  : unknown;

/**
 * Iterates over batches: `for await (const [x, y] of loader)`. Each iteration is a scope: what was made in it is released when the
 * next one begins, scalars and kept tensors excepted.
 */
export class DataLoader<Sample, Batch = Collated<Sample>> {
  readonly dataset: Dataset<Sample> | IterableDataset<Sample>;
  readonly batchSize: number;
  readonly #options: Required<DataLoaderOptions>;
  #epoch = 0;
  #shard: Shard = { rank: 0, worldSize: 1 };
  #device: Device | undefined;

  /**
   * @param dataset Samples by index, or an iterable of them.
   * @param options See {@link DataLoaderOptions}.
   * @throws {RangeError} When the batch size is not a positive integer, the data set is empty, or an iterable is to be shuffled.
   */
  constructor(dataset: Dataset<Sample> | IterableDataset<Sample>, options: DataLoaderOptions = {}) {
    this.dataset = dataset;
    this.#options = { batchSize: 1, shuffle: false, seed: 0, dropLast: false, collate, ...options };
    this.batchSize = this.#options.batchSize;
    if (!Number.isInteger(this.batchSize) || this.batchSize < 1) {
      throw new RangeError(`Cannot load batches of ${this.batchSize}: batchSize must be a positive integer`);
    }
    if (dataset instanceof IterableDataset) {
      if (this.#options.shuffle) throw new RangeError("Cannot shuffle an IterableDataset: shuffle inside the data set");
    } else if (dataset.length === 0) {
      throw new RangeError("Cannot load batches: the data set is empty");
    }
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
    const { dropLast } = this.#options;
    const count = this.dataset.length / this.batchSize;
    const all = dropLast ? Math.floor(count) : Math.ceil(count);
    const share = all / this.#shard.worldSize;
    return dropLast ? Math.floor(share) : Math.ceil(share);
  }

  /** Chooses the order of the next iteration; by itself it counts up. */
  setEpoch(epoch: number): void {
    this.#epoch = epoch;
  }

  /** @internal Used by the Accelerator: which part of the batches comes here, and where they are placed. */
  prepare(shard: Shard, device: Device): void {
    this.#shard = shard;
    this.#device = device;
  }

  #indexBatches(count: number): number[][] {
    const { shuffle, seed, dropLast } = this.#options;
    const order = shuffle ? permutation(count, seed, this.#epoch) : Array.from({ length: count }, (_, i) => i);
    return shardBatches(batches(order, this.batchSize, dropLast), this.batchSize, dropLast, this.#shard);
  }

  async *#iterableBatches(dataset: IterableDataset<Sample>): AsyncGenerator<Sample[]> {
    // Every rank reads everything and keeps its slice of each round of batches.
    const { rank, worldSize } = this.#shard;
    const room = this.batchSize * worldSize;
    const first: Sample[] = [];
    let round: Sample[] = [];
    const mine = (): Sample[] => round.slice(rank * this.batchSize, (rank + 1) * this.batchSize);
    for await (const sample of dataset as AsyncIterable<Sample>) {
      if (first.length < room) first.push(sample);
      round.push(sample);
      if (round.length === room) {
        yield mine();
        round = [];
      }
    }
    if (round.length === 0 || this.#options.dropLast) return;
    if (worldSize > 1) { while (round.length < room) round.push(...first.slice(0, room - round.length)); }
    yield mine();
  }

  #place(batch: unknown): unknown {
    const device = this.#device;
    if (device === undefined) return batch;
    let moves = false;
    forEachTensor(batch, (value) => value instanceof Tensor, (tensor) => moves ||= tensor.storage.device !== device);
    return moves ? moved(batch, device) : batch;
  }

  /** Iterates once over the batches of an epoch. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    const dataset = this.dataset;
    const usesOwnBatches = this.#options.collate === collate && isBatched(dataset);
    let step: Scope | undefined;
    try {
      if (dataset instanceof IterableDataset) {
        for await (const samples of this.#iterableBatches(dataset)) {
          step = enterScope("the end of the training step");
          yield this.#place(this.#options.collate(samples)) as Batch;
          endScope(step);
        }
      } else {
        for (const indices of this.#indexBatches(dataset.length)) {
          step = enterScope("the end of the training step");
          const batch = usesOwnBatches
            ? (dataset as unknown as { getBatch(i: number[]): unknown }).getBatch(indices)
            : this.#options.collate(await Promise.all(indices.map((index) => dataset.get(index))));
          yield this.#place(batch) as Batch;
          endScope(step);
          // Finalizers, signals and I/O run only between macrotasks (2 us).
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      }
    } finally {
      if (step !== undefined) endScope(step);
      this.#epoch++;
    }
  }
}

function moved(value: unknown, device: Device): unknown {
  if (value instanceof Tensor) return value.to({ device });
  if (Array.isArray(value)) return value.map((item) => moved(item, device));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, moved(item, device)]));
  }
  return value;
}
