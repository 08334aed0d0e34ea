/**
 * Which samples come to which rank. The order of an epoch is dealt in rounds: in each, every rank takes one batch. All of it is
 * arithmetic on (order, start, rank), so every rank knows what the others hold.
 *
 * A place counts the samples of an epoch's order from 0. Padding, which only fills a batch, has the place -1.
 *
 * @module
 */

/** Which rank of how many. */
export interface Shard {
  readonly rank: number;
  readonly worldSize: number;
}

/** How an epoch is dealt. */
export interface DealOptions {
  /** Leave out the last round when it is not full. */
  readonly dropLast: boolean;
  /** Fill the last round from the beginning of the epoch, so that all ranks have equally many and equally large batches. */
  readonly evenBatches: boolean;
}

/** The place of padding. */
export const PADDING = -1;

/** What is known of the batches of all ranks by their number. */
export interface Places {
  /** The places of the samples in batch `index` of a rank; empty when it has no such batch. */
  places(index: number, rank: number): number[];
  /** Where the next round begins: what a resumed epoch starts with. */
  after(index: number): number;
}

/** The batches of one rank in one epoch. */
export interface Deal extends Places {
  /** How many this rank has. */
  readonly length: number;
  /** The samples of batch `index`. */
  indices(index: number): readonly number[];
}

/** Rounds of batches of equal size, cut from `count` samples. */
export class Rounds implements Places {
  readonly start: number;
  readonly size: number;
  readonly shard: Shard;
  readonly options: DealOptions;
  /** Samples in the epoch; `Infinity` while a stream goes on. */
  count: number;

  /**
   * @param count Samples in the epoch.
   * @param size Samples in a batch of one rank.
   * @param shard Which rank of how many.
   * @param options See {@link DealOptions}.
   * @param start Place of the first sample, after a resume.
   */
  constructor(count: number, size: number, shard: Shard, options: DealOptions, start = 0) {
    this.count = count;
    this.size = size;
    this.shard = shard;
    this.options = options;
    this.start = start;
  }

  /** How many batches a rank has. */
  lengthOf(rank: number): number {
    const { size, shard: { worldSize }, options: { dropLast, evenBatches } } = this;
    const left = Math.max(0, this.count - this.start);
    const rounds = left / (size * worldSize);
    if (dropLast) return Math.floor(rounds);
    if (evenBatches && worldSize > 1) return Math.ceil(rounds);
    return Math.max(0, Math.ceil((left - rank * size) / (size * worldSize)));
  }

  /** Place of the first sample of a batch. */
  first(index: number, rank: number): number {
    return this.start + (index * this.shard.worldSize + rank) * this.size;
  }

  /** Place after the last sample of a batch; beyond `count` where it is filled. */
  end(index: number, rank: number): number {
    const end = this.first(index, rank) + this.size;
    return this.options.evenBatches && this.shard.worldSize > 1 ? end : Math.min(end, this.count);
  }

  places(index: number, rank: number): number[] {
    if (index >= this.lengthOf(rank)) return [];
    const first = this.first(index, rank);
    return Array.from(
      { length: this.end(index, rank) - first },
      (_, i) => first + i < this.count ? first + i : PADDING,
    );
  }

  after(index: number): number {
    return Math.min(this.count, this.first(index + 1, 0));
  }
}

/** Batches of equal size from an order. */
export class OrderDeal extends Rounds implements Deal {
  readonly #order: readonly number[];
  readonly length: number;

  /** The order, and the arguments of {@link Rounds}. */
  constructor(order: readonly number[], size: number, shard: Shard, options: DealOptions, start = 0) {
    super(order.length, size, shard, options, start);
    this.#order = order;
    this.length = this.lengthOf(shard.rank);
  }

  indices(index: number): readonly number[] {
    const { rank } = this.shard;
    const [first, end] = [this.first(index, rank), this.end(index, rank)];
    const own = this.#order.slice(first, end);
    for (let place = Math.max(first, this.count); place < end; place++) {
      own.push(this.#order[(place - this.count) % this.count]);
    }
    return own;
  }
}

/** Whole batches of any size, dealt one by one; the first ones fill the last round. A start counts batches here. */
export class BatchDeal implements Deal {
  readonly #batches: readonly (readonly number[])[];
  readonly #shard: Shard;
  readonly #options: DealOptions;
  readonly #start: number;
  /** Place of the first sample of each batch. */
  readonly #firsts: readonly number[];
  readonly length: number;

  /** The batches, and the arguments of {@link Rounds}. */
  constructor(batches: readonly (readonly number[])[], shard: Shard, options: DealOptions, start = 0) {
    this.#batches = batches;
    this.#shard = shard;
    this.#options = options;
    this.#start = start;
    let place = 0;
    this.#firsts = batches.map((batch) => (place += batch.length) - batch.length);
    this.length = this.#lengthOf(shard.rank);
  }

  #lengthOf(rank: number): number {
    const { worldSize } = this.#shard;
    const left = Math.max(0, this.#batches.length - this.#start);
    if (this.#options.dropLast) return Math.floor(left / worldSize);
    return this.#options.evenBatches ? Math.ceil(left / worldSize) : Math.max(0, Math.ceil((left - rank) / worldSize));
  }

  #number(index: number, rank: number): number {
    return this.#start + index * this.#shard.worldSize + rank;
  }

  indices(index: number): readonly number[] {
    return this.#batches[this.#number(index, this.#shard.rank) % this.#batches.length];
  }

  places(index: number, rank: number): number[] {
    if (index >= this.#lengthOf(rank)) return [];
    const number = this.#number(index, rank);
    const { length } = this.#batches[number % this.#batches.length];
    return Array.from({ length }, (_, i) => number < this.#batches.length ? this.#firsts[number] + i : PADDING);
  }

  after(index: number): number {
    return Math.min(this.#batches.length, this.#number(index + 1, 0));
  }
}

/**
 * Rounds that one rank reads and hands out: the last one is cut into equal parts, however short it is, as Accelerate's
 * DataLoaderDispatcher.
 */
export class DispatchedRounds extends Rounds {
  #lastSize(index: number): number {
    const { worldSize } = this.shard;
    const left = this.count - (this.start + index * worldSize * this.size);
    return Math.min(this.size, Math.ceil(left / worldSize));
  }

  override first(index: number, rank: number): number {
    const base = this.start + index * this.shard.worldSize * this.size;
    return base + rank * this.#lastSize(index);
  }

  override end(index: number, rank: number): number {
    return this.first(index, rank) + this.#lastSize(index);
  }

  override lengthOf(): number {
    const rounds = Math.max(0, this.count - this.start) / (this.size * this.shard.worldSize);
    return this.options.dropLast ? Math.floor(rounds) : Math.ceil(rounds);
  }

  override after(index: number): number {
    return Math.min(this.count, this.start + (index + 1) * this.shard.worldSize * this.size);
  }
}
