/**
 * Batches of a data set, one training step each.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { TorchGenerator } from "../core/mt19937.ts";
import { currentScope, endScope, enterScope, type Scope, withScope } from "../core/scope.ts";
import { collate } from "./collate.ts";
import { type BatchedDataset, type Dataset, isBatched, IterableDataset } from "./dataset.ts";
import { dispatchSource, type Scatter } from "./dispatch.ts";
import { type GlobalBatchSize, GlobalDeal } from "./global_deal.ts";
import { Iteration, type LoaderObserver } from "./iteration.ts";
import { checkOptions, type Collated, type DataLoaderOptions } from "./loader_options.ts";
import { checkState, type DataLoaderState, type LoaderIdentity } from "./loader_state.ts";
import { workerAccess } from "./module_dataset.ts";
import { unpack } from "./parcel.ts";
import { checkedIndices, placed } from "./placing.ts";
import { checkEpoch, EpochRandom } from "./random_order.ts";
import { BatchDeal, type Deal, type DealOptions, DispatchedRounds, OrderDeal, Rounds, type Shard } from "./rounds.ts";
import { BatchSampler, drawSamples, type Sampler } from "./sampler.ts";
import { END, type Fetch, fetchSamples, indexSource, keepShare, type Source, streamSource } from "./source.ts";
import { macrotask, useBatches } from "./use_batches.ts";
import { WorkerPool } from "./worker_pool.ts";

/** How a prepared loader works with the others. */
export interface Placement {
  /** `batchSize` is that of all ranks together. Default false: of each rank. */
  splitBatches?: boolean;
  /** See {@link DealOptions}. Default true. */
  evenBatches?: boolean;
  /** Steps of this many samples, instead of batches of `batchSize`. */
  globalBatch?: GlobalBatchSize;
  /** Rank 0 reads for all, and hands out with this. */
  scatter?: Scatter;
  /** Who wants to know of the batches. */
  observer?: LoaderObserver;
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
  readonly sampler: DataLoaderOptions["sampler"];
  readonly batchSampler: DataLoaderOptions["batchSampler"];
  readonly #options: DataLoaderOptions;
  readonly #collate: NonNullable<DataLoaderOptions["collate"]>;
  readonly #dropLast: boolean;
  readonly #prefetch: number;
  readonly #shuffled: EpochRandom<number[]> | undefined;
  #shard: Shard = { rank: 0, worldSize: 1 };
  #device: Device | undefined;
  #placement: Placement = {};
  /** Where the next iteration begins. */
  #epoch = 0;
  #start = 0;
  /** The iteration that runs, or was left before its end. */
  #current: Iteration | undefined;
  #pool: Promise<WorkerPool> | undefined;

  /**
   * @param dataset Samples by index, or an iterable of them.
   * @param options See {@link DataLoaderOptions}.
   * @throws {RangeError} When an option is outside its range or contradicts another, or the data set is empty.
   */
  constructor(dataset: Dataset<Sample> | IterableDataset<Sample>, options: DataLoaderOptions = {}) {
    checkOptions(dataset, options);
    const { batchSampler, seed = 0, order = "philox", numWorkers = 0, prefetchFactor = 2 } = options;
    const fixed = batchSampler instanceof BatchSampler ? batchSampler : undefined;
    this.dataset = dataset;
    this.batchSize = fixed?.batchSize ?? options.batchSize ?? 1;
    this.sampler = options.sampler;
    this.batchSampler = batchSampler;
    this.#options = options;
    this.#dropLast = batchSampler?.dropLast ?? options.dropLast ?? false;
    this.#collate = options.collate ?? collate;
    this.#prefetch = Math.max(options.prefetch ?? 0, numWorkers * prefetchFactor);
    if (dataset instanceof IterableDataset) return;
    if (dataset.length === 0) throw new RangeError("Cannot load batches: the data set is empty");
    if (numWorkers > 0) workerAccess(dataset);
    if (options.shuffle !== true) return;
    this.#shuffled = new EpochRandom({ seed, order }, (random) => {
      // A PyTorch loader takes a seed for its workers from the same generator before each epoch.
      if (order === "torch" && random instanceof TorchGenerator) random.random64();
      return drawSamples(random, dataset.length, false, dataset.length);
    });
  }

  /** Whether whole batches are dealt, whatever their size. */
  get #dealsBatches(): boolean {
    return this.batchSampler !== undefined && !(this.batchSampler instanceof BatchSampler);
  }

  /** Samples in a batch of one rank. */
  get #share(): number {
    const { globalBatch } = this.#placement;
    if (globalBatch !== undefined) return globalBatch.share;
    return this.#placement.splitBatches === true ? this.batchSize / this.#shard.worldSize : this.batchSize;
  }

  get #dealing(): DealOptions {
    return { dropLast: this.#dropLast, evenBatches: this.#placement.evenBatches ?? true };
  }

  /**
   * Number of batches in an epoch.
   *
   * @throws {RangeError} For an IterableDataset, whose length is not known.
   */
  get length(): number {
    const { rank, worldSize } = this.#shard;
    if (this.dataset instanceof IterableDataset) {
      throw new RangeError("Cannot tell the number of batches of an IterableDataset: count them while iterating");
    }
    if (this.#dealsBatches) {
      return new Rounds(this.batchSampler!.length, 1, this.#shard, this.#dealing).lengthOf(rank);
    }
    const count = this.batchSampler instanceof BatchSampler
      ? this.batchSampler.sampler.length
      : (this.sampler ?? this.dataset).length;
    const { globalBatch } = this.#placement;
    if (globalBatch !== undefined) {
      return new GlobalDeal(new Array(count), globalBatch, this.#shard, this.#dropLast, 0).length;
    }
    const whole = worldSize === 1 || this.#placement.scatter === undefined ? Rounds : DispatchedRounds;
    return new whole(count, this.#share, this.#shard, this.#dealing).lengthOf(rank);
  }

  /** The epoch of the iteration that runs or was left, else of the next one. */
  get epoch(): number {
    return this.#current?.epoch ?? this.#epoch;
  }

  /** Chooses the order of the next iteration; by itself it counts up. */
  setEpoch(epoch: number): void {
    checkEpoch(epoch);
    if (epoch !== this.#epoch) this.#start = 0;
    this.#epoch = epoch;
    if (this.#current?.isRunning === false) this.#current = undefined;
  }

  /**
   * Lets the next iteration begin after some batches of its epoch. The batches are not made.
   *
   * @param count Batches of this rank, from the beginning of the epoch.
   */
  skipFirstBatches(count: number): void {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`Cannot skip ${count} batches: it must be a non-negative integer`);
    }
    this.#start = count * this.#shard.worldSize * (this.#dealsBatches ? 1 : this.#share);
    this.#current = undefined;
  }

  get #identity(): LoaderIdentity {
    const { dataset, sampler, batchSampler } = this;
    const { shuffle = false, seed = 0, order = "philox" } = this.#options;
    const own = shuffle ? `shuffle ${order} ${seed}` : "in order";
    return {
      unit: this.#dealsBatches ? "batches" : "samples",
      samples: dataset instanceof IterableDataset ? null : dataset.length,
      order: batchSampler !== undefined ? "batchSampler" : sampler !== undefined ? "sampler" : own,
    };
  }

  /**
   * Where training is in the data: of the iteration that runs or was left, else of the next one. What was handed out counts, not what
   * was fetched ahead; every rank has the same, and a job of another size can go on from it. JSON can hold it.
   */
  stateDict(): DataLoaderState {
    const { epoch, position } = this.#current ?? { epoch: this.#epoch, position: this.#start };
    return { epoch, position, ...this.#identity };
  }

  /**
   * Lets the next iteration go on where `stateDict` was taken: in the same epoch, after the samples that were handed out.
   *
   * @throws {RangeError} When the state is that of another data set or another order.
   */
  loadStateDict(state: DataLoaderState): void {
    checkState(state, this.#identity);
    this.#epoch = state.epoch;
    this.#start = state.position;
    this.#current = undefined;
  }

  /** Ends workers that `persistentWorkers` keeps. */
  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await (await pool)?.end();
  }

  /** @internal Used by the Accelerator: which part of the batches comes here, and where they are placed. */
  prepare(shard: Shard, device: Device | undefined, placement: Placement = {}): void {
    const { worldSize } = shard;
    const { splitBatches = false, scatter } = placement;
    if (this.#dealsBatches && worldSize > 1 && (splitBatches || scatter !== undefined)) {
      throw new RangeError(
        "Cannot use splitBatches or dispatchBatches with batches of any size: give batchSize, or a BatchSampler that has one",
      );
    }
    if (placement.globalBatch !== undefined && (this.#dealsBatches || scatter !== undefined)) {
      throw new RangeError("Cannot use globalBatchSize with dispatchBatches or with batches of any size");
    }
    if (splitBatches && this.batchSize % worldSize !== 0) {
      throw new RangeError(
        `Cannot split batches of ${this.batchSize} among ${worldSize} ranks: with splitBatches the batchSize must be a round ` +
          `multiple of the number of ranks`,
      );
    }
    this.#shard = shard;
    this.#device = device;
    this.#placement = placement;
  }

  /** @internal Changes `evenBatches` of the iterations to come; returns what it was. */
  setEvenBatches(evenBatches: boolean): boolean {
    const before = this.#dealing.evenBatches;
    this.#placement = { ...this.#placement, evenBatches };
    return before;
  }

  #order(count: number, epoch: number): readonly number[] {
    const sampler = this.batchSampler ?? this.sampler;
    sampler?.setEpoch?.(epoch);
    if (this.batchSampler !== undefined) return checkedIndices([...this.batchSampler].flat(), count);
    if (this.#shuffled !== undefined) return this.#shuffled.at(epoch);
    if (this.sampler === undefined) return Array.from({ length: count }, (_, i) => i);
    return checkedIndices([...this.sampler], count);
  }

  #deal(count: number, epoch: number, start: number): Deal {
    const { globalBatch } = this.#placement;
    if (globalBatch !== undefined) {
      return new GlobalDeal(this.#order(count, epoch), globalBatch, this.#shard, this.#dropLast, start);
    }
    if (!this.#dealsBatches) {
      return new OrderDeal(this.#order(count, epoch), this.#share, this.#shard, this.#dealing, start);
    }
    const sampler: Sampler<readonly number[]> = this.batchSampler!;
    sampler.setEpoch?.(epoch);
    return new BatchDeal(
      Array.from(sampler, (batch) => checkedIndices(batch, count)),
      this.#shard,
      this.#dealing,
      start,
    );
  }

  #startPool(dataset: Dataset<Sample>): Promise<WorkerPool> {
    const { numWorkers = 0, persistentWorkers } = this.#options;
    const { origin } = workerAccess(dataset);
    const pool = this.#pool ?? WorkerPool.start(numWorkers, { origin, collates: this.#collate === collate });
    if (persistentWorkers === true) this.#pool = pool;
    return pool;
  }

  #workerFetch(dataset: Dataset<Sample>, pool: Promise<WorkerPool>, epoch: number): Fetch {
    const { at } = workerAccess(dataset);
    const make = this.#collate === collate ? (batch: unknown) => batch : this.#collate as (samples: unknown) => unknown;
    return async (indices, scope) => {
      const parcel = await (await pool).make(indices.map(at), this.#options.seed ?? 0, epoch);
      return scope.ended ? END : withScope(scope, () => make(unpack(parcel)));
    };
  }

  /** Makes one batch after another. */
  #source(outer: Scope | undefined, epoch: number, start: number): Source {
    const { dataset } = this;
    const make = this.#collate;
    const { scatter } = this.#placement;
    if (scatter !== undefined && this.#shard.worldSize > 1) {
      const options = { ...this.#dealing, evenBatches: true };
      const order = dataset instanceof IterableDataset ? [] : this.#order(dataset.length, epoch);
      const count = dataset instanceof IterableDataset ? Infinity : order.length;
      const rounds = new DispatchedRounds(count, this.#share, this.#shard, options, start);
      return dispatchSource(dataset, rounds, order, make, scatter, outer);
    }
    if (dataset instanceof IterableDataset) {
      const rounds = new Rounds(Infinity, this.#share, this.#shard, this.#dealing, start);
      return streamSource(dataset, rounds, keepShare(rounds, make), outer);
    }
    const deal = this.#deal(dataset.length, epoch, start);
    if ((this.#options.numWorkers ?? 0) > 0) {
      const pool = this.#startPool(dataset);
      const source = indexSource(deal, this.#workerFetch(dataset, pool, epoch), outer);
      return this.#pool === undefined ? { ...source, close: async () => await (await pool).end() } : source;
    }
    if (make === collate && isBatched(dataset)) return indexSource(deal, (indices) => dataset.getBatch(indices), outer);
    return indexSource(deal, fetchSamples(dataset, make, outer), outer);
  }

  /** Where an iteration that starts now begins; the next one will be another epoch. */
  #begin(): { epoch: number; start: number } {
    const begun = { epoch: this.#epoch, start: this.#start };
    this.#epoch++;
    this.#start = 0;
    return begun;
  }

  #end(iteration: Iteration, isComplete: boolean): void {
    iteration.isRunning = false;
    if (isComplete && this.#current === iteration) this.#current = undefined;
    this.#placement.observer?.onEnd(iteration);
  }

  /** Iterates once over the batches of an epoch. */
  [Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    const { dataset } = this;
    if (this.#prefetch > 0 || this.#collate !== collate) return this.#madeBatches();
    if (dataset instanceof IterableDataset || !isBatched(dataset)) return this.#madeBatches();
    if (this.#placement.scatter !== undefined && this.#shard.worldSize > 1) return this.#madeBatches();
    // By far the most common case makes no garbage but the batch.
    return this.#ownBatches(dataset);
  }

  /** The batches of a data set that makes them itself, one when it is wanted. */
  async *#ownBatches(dataset: Dataset<Sample> & BatchedDataset<unknown>): AsyncGenerator<Batch, void, undefined> {
    const { epoch, start } = this.#begin();
    const deal = this.#deal(dataset.length, epoch, start);
    const iteration = this.#current = new Iteration(epoch, this.#shard, deal, start);
    const { observer } = this.#placement;
    let step: Scope | undefined;
    let isComplete = false;
    try {
      for (let i = 0; i < deal.length; i++) {
        step = enterScope("the end of the training step");
        const batch = placed(dataset.getBatch(deal.indices(i)), this.#device) as Batch;
        iteration.advance(i === deal.length - 1);
        observer?.onBatch(iteration);
        yield batch;
        endScope(step);
        await macrotask();
      }
      isComplete = true;
    } finally {
      if (step !== undefined) endScope(step);
      this.#end(iteration, isComplete);
    }
  }

  async *#madeBatches(): AsyncGenerator<Batch, void, undefined> {
    const { epoch, start } = this.#begin();
    const source = this.#source(currentScope(), epoch, start);
    const iteration = this.#current = new Iteration(epoch, this.#shard, source.places, start);
    const { observer } = this.#placement;
    // Whether a batch of a stream is the last, only the one after it tells.
    const looksAhead = observer !== undefined && source.length === undefined;
    const ahead = Math.max(this.#prefetch, looksAhead ? 1 : 0);
    const place = (batch: unknown): unknown => placed(batch, this.#device);
    let isComplete = false;
    try {
      yield* useBatches(source, iteration, { ahead, looksAhead, place, observer }) as AsyncGenerator<Batch>;
      isComplete = true;
    } finally {
      this.#end(iteration, isComplete);
    }
  }
}
