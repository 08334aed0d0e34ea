/**
 * One pass of a loader, as others see it: which samples the current batch holds, and whether it is the last.
 *
 * @module
 */
import type { Places, Shard } from "./rounds.ts";

/** A pass over the batches of an epoch. */
export class Iteration {
  readonly epoch: number;
  readonly shard: Shard;
  readonly #places: Places;
  /** Number of the current batch. */
  index = -1;
  /** Whether it is the last of this rank. */
  isLast = false;
  /** Where a pass that is resumed now would begin. */
  position: number;
  /** Whether the loop still runs. */
  isRunning = true;

  /**
   * @param epoch Which order it has.
   * @param shard Which rank of how many.
   * @param places What is known of the batches.
   * @param start Where it begins.
   */
  constructor(epoch: number, shard: Shard, places: Places, start: number) {
    this.epoch = epoch;
    this.shard = shard;
    this.#places = places;
    this.position = start;
  }

  /** Goes to the next batch. */
  advance(isLast: boolean): void {
    this.index++;
    this.isLast = isLast;
    this.position = this.#places.after(this.index);
  }

  /** Whether no rank has another batch. */
  get isLastOfAll(): boolean {
    const next = this.index + 1;
    return Array.from({ length: this.shard.worldSize }, (_, rank) => this.#places.places(next, rank)).every((own) =>
      own.length === 0
    );
  }

  /** The places in the epoch of the samples that a rank holds now; -1 for padding. */
  places(rank: number): number[] {
    return this.#places.places(this.index, rank);
  }
}

/** Learns what loaders do. */
export interface LoaderObserver {
  /** A batch is about to be used. */
  onBatch(iteration: Iteration): void;
  /** The loop ended: it was exhausted, left or failed. */
  onEnd(iteration: Iteration): void;
}
