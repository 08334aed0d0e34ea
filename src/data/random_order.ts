/**
 * Where samplers take their random numbers from. What an epoch gets is a pure function of (seed, epoch), so that every rank and every
 * restart computes the same.
 *
 * @module
 */
import { TorchGenerator } from "../core/mt19937.ts";
import { philoxWords } from "../core/philox.ts";

/**
 * How seed and epoch give an order.
 * - `philox`: a counter-based generator with the key (seed, epoch).
 * - `torch`: as the epochs one after another of a PyTorch loader or sampler whose generator was seeded once.
 * - `accelerate`: as Accelerate's SeedableRandomSampler, PyTorch's generator with the seed `seed + epoch`.
 */
export type RandomOrder = "philox" | "torch" | "accelerate";

/** Options of everything that is random. */
export interface RandomOptions {
  /** An integer. Default 0. */
  seed?: number;
  /** Whose numbers these are. Default "philox". */
  order?: RandomOrder;
}

/** The random numbers of one epoch. */
export interface RandomSource {
  /** A random order of 0 to `count - 1`. */
  randperm(count: number): number[];
  /** Integers in [0, high). */
  randint(high: number, count: number): number[];
  /** A number in [0, 1). */
  uniform(): number;
}

/** Philox with the key (seed, epoch); its low 32 bits count in both. */
export class PhiloxSource implements RandomSource {
  readonly #seed: number;
  readonly #epoch: number;
  #words: readonly number[] = [];
  #used = 0;

  constructor(seed: number, epoch: number) {
    this.#seed = seed;
    this.#epoch = epoch;
  }

  #next(): number {
    if (this.#used % 4 === 0) this.#words = philoxWords(this.#seed, this.#epoch, this.#used / 4);
    return this.#words[this.#used++ % 4];
  }

  uniform(): number {
    return (this.#next() % 2 ** 21 * 2 ** 32 + this.#next()) / 2 ** 53;
  }

  randint(high: number, count: number): number[] {
    return Array.from({ length: count }, () => Math.floor(this.#next() / 2 ** 32 * high));
  }

  /** Fisher-Yates. */
  randperm(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = Math.floor(this.#next() / 2 ** 32 * (i + 1));
      const value = order[i];
      order[i] = order[j];
      order[j] = value;
    }
    return order;
  }
}

/** Throws unless an epoch is one. */
export function checkEpoch(epoch: number): void {
  if (Number.isSafeInteger(epoch) && epoch >= 0) return;
  throw new RangeError(`Cannot go to epoch ${epoch}: it must be a non-negative integer`);
}

/** Draws what an epoch needs. */
export class EpochRandom<Drawn> {
  readonly #seed: number;
  readonly #order: RandomOrder;
  readonly #draw: (source: RandomSource) => Drawn;
  readonly #generator = new TorchGenerator();
  /** The epoch that the generator of order `torch` has come to. */
  #next = Infinity;

  /**
   * @param options Seed and order.
   * @param draw Takes the numbers of one epoch.
   * @throws {RangeError} When the seed is no integer, or the order is unknown.
   */
  constructor({ seed = 0, order = "philox" }: RandomOptions, draw: (source: RandomSource) => Drawn) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`Cannot shuffle with seed ${seed}: it must be an integer`);
    if (order !== "philox" && order !== "torch" && order !== "accelerate") {
      throw new RangeError(`Cannot shuffle in the order "${order}": choose "philox", "torch" or "accelerate"`);
    }
    this.#seed = seed;
    this.#order = order;
    this.#draw = draw;
  }

  /** What an epoch draws. */
  at(epoch: number): Drawn {
    if (this.#order === "philox") return this.#draw(new PhiloxSource(this.#seed, epoch));
    if (this.#order === "accelerate") return this.#draw(this.#generator.manualSeed(this.#seed + epoch));
    if (epoch < this.#next) {
      this.#generator.manualSeed(this.#seed);
      this.#next = 0;
    }
    for (; this.#next < epoch; this.#next++) this.#draw(this.#generator);
    this.#next++;
    return this.#draw(this.#generator);
  }
}
