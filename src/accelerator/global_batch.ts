/**
 * Steps that do not depend on the number of ranks, nor on how they are cut into micro-batches.
 *
 * @module
 */
import { getRandomState, type RandomState, setRandomState } from "../core/random.ts";
import type { GlobalBatchSize } from "../data/global_deal.ts";
import type { Iteration } from "../data/iteration.ts";
import { PADDING } from "../data/rounds.ts";

/** With `deterministic`, into how many parts a step is cut at most. */
const MAX_PARTS = 8;
/** Blocks of random numbers that a part may use before it comes to those of the next one. */
const BLOCKS_OF_A_PART = 2 ** 28;

/** What is known of the batch that is being used, where steps have a fixed number of samples. */
export interface GlobalBatchLink {
  readonly isDeterministic: boolean;
  /** How many samples of it count on each rank; null outside of loops over batches. */
  counts(): readonly number[] | null;
  /** Whether it is the last of its step. */
  closes(): boolean;
}

/** How steps are cut. */
export interface GlobalBatchOptions {
  readonly size: number;
  readonly isDeterministic: boolean;
  readonly rank: number;
  readonly worldSize: number;
  /** Micro-batches of a rank in a step. */
  readonly steps: () => number;
}

/** The steps of one Accelerator. */
export class GlobalBatch implements GlobalBatchSize {
  readonly size: number;
  readonly isDeterministic: boolean;
  readonly #options: GlobalBatchOptions;
  /** Parts of a step that are always computed alone. */
  readonly #parts: number;
  /** The random numbers outside of loops over batches. */
  #outside: RandomState | undefined;

  /**
   * @param options See {@link GlobalBatchOptions}.
   * @throws {RangeError} When a step cannot be cut for so many ranks.
   */
  constructor(options: GlobalBatchOptions) {
    const { size, isDeterministic, worldSize } = options;
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new RangeError(`Cannot take steps of ${size} samples: globalBatchSize must be a positive integer`);
    }
    let parts = 1;
    while (parts < MAX_PARTS && size % (2 * parts) === 0) parts *= 2;
    if (isDeterministic && parts % worldSize !== 0) {
      throw new RangeError(
        `Cannot take deterministic steps of ${size} samples in ${worldSize} processes: a step is computed in ${parts} parts, which ` +
          `must be equally many for each process`,
      );
    }
    this.size = size;
    this.isDeterministic = isDeterministic;
    this.#options = options;
    this.#parts = parts;
  }

  /** Micro-batches of a rank in a step, when it is not the user's choice. */
  get fixedSteps(): number | undefined {
    return this.isDeterministic ? this.#parts / this.#options.worldSize : undefined;
  }

  /**
   * Samples in a micro-batch of one rank.
   *
   * @throws {RangeError} When the ranks and micro-batches cannot have equally many.
   */
  get share(): number {
    if (this.isDeterministic) return this.size / this.#parts;
    const { worldSize, steps } = this.#options;
    const share = this.size / (worldSize * steps());
    if (Number.isInteger(share)) return share;
    throw new RangeError(
      `Cannot take steps of ${this.size} samples: globalBatchSize must be a multiple of ${worldSize} processes times ${steps()} ` +
        `gradientAccumulationSteps`,
    );
  }

  /** Whether a batch is the last of its step. */
  closes(iteration: Iteration): boolean {
    return iteration.isLast || iteration.position % this.size === 0;
  }

  /** How many samples of the current batch count, on each rank. */
  counts(iteration: Iteration): number[] {
    const count = (_: unknown, rank: number): number =>
      iteration.places(rank).filter((place) => place !== PADDING).length;
    return Array.from({ length: this.#options.worldSize }, count);
  }

  /**
   * Gives a part of a step its own random numbers, so that they do not depend on the rank that computes it.
   *
   * @param iteration Whose batch begins.
   */
  enterPart(iteration: Iteration): void {
    if (!this.isDeterministic) return;
    this.#outside ??= getRandomState();
    const [place] = iteration.places(this.#options.rank);
    const part = Math.floor(Math.max(0, place) / this.share);
    // Epochs differ in the key, parts of an epoch in the counter.
    const { seedLow, seedHigh } = this.#outside;
    const key = (seedHigh ^ Math.imul(iteration.epoch + 1, 0x9e3779b1)) >>> 0;
    setRandomState({ seedLow, seedHigh: key, counter: (part + 1) * BLOCKS_OF_A_PART });
  }

  /** The loops over batches have ended. */
  leaveParts(): void {
    if (this.#outside === undefined) return;
    setRandomState(this.#outside);
    this.#outside = undefined;
  }

  /** What a checkpoint holds of the random numbers. */
  get randomState(): RandomState {
    return this.#outside ?? getRandomState();
  }

  /** A checkpoint was loaded. */
  reset(): void {
    this.#outside = undefined;
  }
}
