/**
 * Samplers: in which order samples come, and in which batches. Where one is random, an epoch's order is a pure function of
 * (seed, epoch): by itself every iteration is another epoch, and `setEpoch` goes to a certain one.
 *
 * @module
 */
import { TorchGenerator } from "../core/mt19937.ts";
import { checkEpoch, EpochRandom, type RandomOptions, type RandomSource } from "./random_order.ts";

/**
 * What a loader takes as `sampler` (indices) or `batchSampler` (lists of them): an array, one of the classes here, or an object of your
 * own. On several ranks it must yield the same on each.
 */
export interface Sampler<Item = number> extends Iterable<Item> {
  /** How many items an iteration yields. */
  readonly length: number;
  /** Chooses what the next iteration yields; a loader calls it with its epoch. */
  setEpoch?(epoch: number): void;
}

/** Anything of a length: a data set, an array, or `{ length: 100 }`. */
export interface Sized {
  readonly length: number;
}

function checkCount(what: string, count: number): void {
  if (Number.isSafeInteger(count) && count > 0) return;
  throw new RangeError(`Cannot sample with ${what} ${count}: it must be a positive integer`);
}

/** The samples in their own order. */
export class SequentialSampler implements Sampler {
  readonly #source: Sized;

  /** @param source What is sampled. */
  constructor(source: Sized) {
    this.#source = source;
  }

  get length(): number {
    return this.#source.length;
  }

  *[Symbol.iterator](): Generator<number, void, undefined> {
    for (let i = 0; i < this.length; i++) yield i;
  }
}

abstract class EpochSampler implements Sampler {
  readonly #random: EpochRandom<number[]>;
  #epoch = 0;
  abstract readonly length: number;

  constructor(options: RandomOptions, draw: (source: RandomSource) => number[]) {
    this.#random = new EpochRandom(options, draw);
  }

  setEpoch(epoch: number): void {
    checkEpoch(epoch);
    this.#epoch = epoch;
  }

  [Symbol.iterator](): ArrayIterator<number> {
    return this.#random.at(this.#epoch++).values();
  }
}

/** Options of {@link RandomSampler}. */
export interface RandomSamplerOptions extends RandomOptions {
  /** Draw each index independently. Default false: every sample once. */
  replacement?: boolean;
  /** How many indices to draw. Default: as many as there are samples. */
  numSamples?: number;
}

/** As torch's RandomSampler draws. */
export function drawSamples(source: RandomSource, size: number, replacement: boolean, count: number): number[] {
  if (replacement) return source.randint(size, count);
  let order: number[] = [];
  while (count - order.length >= size) order = order.concat(source.randperm(size));
  const rest = count - order.length;
  // At the end of an epoch torch draws one more order, even when nothing of it is used.
  if (rest > 0 || source instanceof TorchGenerator) order = order.concat(source.randperm(size).slice(0, rest));
  return order;
}

/**
 * The samples in a random order, as `torch.utils.data.RandomSampler`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { data } from "../../mod.ts";
 * const sampler = new data.RandomSampler({ length: 8 }, { seed: 42, order: "torch" });
 * assertEquals([...sampler], [6, 3, 0, 7, 2, 1, 4, 5]);
 * ```
 */
export class RandomSampler extends EpochSampler {
  override readonly length: number;

  /**
   * @param source What is sampled.
   * @param options See {@link RandomSamplerOptions}.
   * @throws {RangeError} When there is nothing to sample, or an option is outside its range.
   */
  constructor(source: Sized, options: RandomSamplerOptions = {}) {
    const { replacement = false, numSamples = source.length } = options;
    checkCount("numSamples", numSamples);
    checkCount("a source of length", source.length);
    super(options, (random) => drawSamples(random, source.length, replacement, numSamples));
    this.length = numSamples;
  }
}

/** Some of the samples in a random order, as `torch.utils.data.SubsetRandomSampler`. */
export class SubsetRandomSampler extends EpochSampler {
  override readonly length: number;

  /**
   * @param indices The samples that take part.
   * @param options Seed and order.
   */
  constructor(indices: readonly number[], options: RandomOptions = {}) {
    const kept = [...indices];
    super(options, (random) => random.randperm(kept.length).map((i) => kept[i]));
    this.length = kept.length;
  }
}

/** Options of {@link WeightedRandomSampler}. */
export interface WeightedRandomSamplerOptions extends RandomOptions {
  /** Draw each index independently. Default true. */
  replacement?: boolean;
}

/** As torch.multinomial of float64 weights. */
function multinomial(random: RandomSource, weights: readonly number[], count: number, replacement: boolean): number[] {
  if (!replacement || count === 1) {
    // The largest of w / q with exponential q: the order of arrival of Poisson processes.
    const keys = weights.map((weight) => weight / Math.max(-Math.log1p(-random.uniform()), Number.MIN_VALUE));
    return weights.map((_, i) => i).sort((a, b) => keys[b] - keys[a]).slice(0, count);
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  const bounds = weights.map((weight) => (sum += weight) / total);
  // Rounding must not reach a sample of weight 0.
  const first = weights.findIndex((weight) => weight > 0);
  const last = weights.findLastIndex((weight) => weight > 0);
  return Array.from({ length: count }, () => {
    const u = random.uniform();
    let low = first;
    let high = last;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bounds[middle] < u) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/**
 * Samples by weight, as `torch.utils.data.WeightedRandomSampler`: for classes of unequal size.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { data } from "../../mod.ts";
 * const sampler = new data.WeightedRandomSampler([0, 3, 0, 1], 100);
 * const counts = [0, 0, 0, 0];
 * for (const index of sampler) counts[index]++;
 * assertEquals([counts[0], counts[2]], [0, 0]);
 * ```
 */
export class WeightedRandomSampler extends EpochSampler {
  override readonly length: number;

  /**
   * @param weights One for each sample, not negative; they need not add up to 1.
   * @param numSamples How many indices to draw.
   * @param options See {@link WeightedRandomSamplerOptions}.
   * @throws {RangeError} When a weight is negative or not finite, or too few are above 0.
   */
  constructor(weights: Iterable<number>, numSamples: number, options: WeightedRandomSamplerOptions = {}) {
    const kept = [...weights];
    const { replacement = true } = options;
    checkCount("numSamples", numSamples);
    const wrong = kept.findIndex((weight) => !(weight >= 0 && weight < Infinity));
    if (wrong !== -1) {
      throw new RangeError(
        `Cannot sample by weight ${kept[wrong]} of sample ${wrong}: weights must be finite and at least 0`,
      );
    }
    const possible = kept.filter((weight) => weight > 0).length;
    const needed = replacement ? 1 : numSamples;
    if (possible < needed) {
      throw new RangeError(
        `Cannot draw ${numSamples} samples: ${possible} of ${kept.length} weights are above 0, at least ${needed} must be`,
      );
    }
    super(options, (random) => multinomial(random, kept, numSamples, replacement));
    this.length = numSamples;
  }
}

/**
 * The indices of another sampler in batches, as `torch.utils.data.BatchSampler`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { data } from "../../mod.ts";
 * const sampler = new data.SequentialSampler({ length: 5 });
 * assertEquals([...new data.BatchSampler(sampler, 2)], [[0, 1], [2, 3], [4]]);
 * ```
 */
export class BatchSampler implements Sampler<number[]> {
  readonly sampler: Sampler;
  readonly batchSize: number;
  readonly dropLast: boolean;

  /**
   * @param sampler The indices.
   * @param batchSize How many make a batch.
   * @param options `dropLast`: leave out the last batch when it is shorter, default false.
   */
  constructor(sampler: Sampler, batchSize: number, { dropLast = false }: { dropLast?: boolean } = {}) {
    checkCount("batchSize", batchSize);
    this.sampler = sampler;
    this.batchSize = batchSize;
    this.dropLast = dropLast;
  }

  get length(): number {
    const count = this.sampler.length / this.batchSize;
    return this.dropLast ? Math.floor(count) : Math.ceil(count);
  }

  setEpoch(epoch: number): void {
    this.sampler.setEpoch?.(epoch);
  }

  [Symbol.iterator](): ArrayIterator<number[]> {
    return batches([...this.sampler], this.batchSize, this.dropLast).values();
  }
}

/** Cuts an order into batches; the last one may be shorter, or be dropped. */
export function batches(order: readonly number[], batchSize: number, dropLast: boolean): number[][] {
  const out: number[][] = [];
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = order.slice(start, start + batchSize);
    if (batch.length === batchSize || !dropLast) out.push(batch);
  }
  return out;
}
