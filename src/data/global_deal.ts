/**
 * Batches whose steps are the same for every number of ranks: the order is cut into steps of `size` samples, and each step into rounds in
 * which every rank takes the next `share`. The last step of an epoch may be smaller; then the last ranks have less in its last round, and one
 * that has nothing gets padding that does not count.
 *
 * @module
 */
import { type Deal, PADDING, type Shard } from "./rounds.ts";

/** How many samples make a step of the optimizer. */
export interface GlobalBatchSize {
  /** Of all ranks and micro-batches together. */
  readonly size: number;
  /** Samples in a micro-batch of one rank. */
  readonly share: number;
}

/** The batches of one rank in one epoch. */
export class GlobalDeal implements Deal {
  readonly #order: readonly number[];
  readonly #batch: GlobalBatchSize;
  readonly #shard: Shard;
  readonly #count: number;
  /** Place of the first sample of each round, and the end of the last. */
  readonly #starts: readonly number[];

  /**
   * @param order The samples of the epoch.
   * @param batch How they make steps.
   * @param shard Which rank of how many.
   * @param dropLast Whether to leave out the last step when it is smaller.
   * @param start Place of the first sample, after a resume.
   */
  constructor(order: readonly number[], batch: GlobalBatchSize, shard: Shard, dropLast: boolean, start: number) {
    const { size, share } = batch;
    this.#order = order;
    this.#batch = batch;
    this.#shard = shard;
    this.#count = dropLast ? order.length - order.length % size : order.length;
    const starts = [start];
    while (starts[starts.length - 1] < this.#count) {
      const first = starts[starts.length - 1];
      // A round ends with its step, also when the run was saved with another number of ranks.
      const end = Math.min(this.#count, (Math.floor(first / size) + 1) * size);
      starts.push(Math.min(end, first + share * shard.worldSize));
    }
    this.#starts = starts;
  }

  get length(): number {
    return this.#starts.length - 1;
  }

  places(index: number, rank: number): number[] {
    if (index >= this.length) return [];
    const { share } = this.#batch;
    const first = this.#starts[index] + rank * share;
    const end = Math.min(this.#starts[index + 1], first + share);
    return end <= first ? [PADDING] : Array.from({ length: end - first }, (_, i) => first + i);
  }

  indices(index: number): readonly number[] {
    return this.places(index, this.#shard.rank).map((place) => this.#order[place === PADDING ? 0 : place]);
  }

  after(index: number): number {
    return this.#starts[index + 1];
  }
}
