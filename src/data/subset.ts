/**
 * Data sets made of others: a part, several one after another, a random split.
 *
 * @module
 */
import { type BatchedDataset, Dataset, isBatched } from "./dataset.ts";
import { EpochRandom, type RandomOptions } from "./random_order.ts";

/** Some samples of a data set, as `torch.utils.data.Subset`. */
export class Subset<Sample> extends Dataset<Sample> {
  readonly dataset: Dataset<Sample>;
  readonly indices: readonly number[];
  /** Present when the data set makes whole batches. */
  readonly getBatch?: BatchedDataset<unknown>["getBatch"];

  /**
   * @param dataset All samples.
   * @param indices Which of them, in which order.
   * @throws {RangeError} When an index is not one of the data set's.
   */
  constructor(dataset: Dataset<Sample>, indices: Iterable<number>) {
    super();
    this.dataset = dataset;
    this.indices = [...indices];
    const wrong = this.indices.find((index) => !(Number.isInteger(index) && index >= 0 && index < dataset.length));
    if (wrong !== undefined) {
      throw new RangeError(`Cannot take sample ${wrong}: the data set has ${dataset.length}, numbered from 0`);
    }
    if (isBatched(dataset)) {
      this.getBatch = (indices) => dataset.getBatch(indices.map((index) => this.indices[index]));
    }
  }

  override get length(): number {
    return this.indices.length;
  }

  override get(index: number): Sample | Promise<Sample> {
    return this.dataset.get(this.indices[index]);
  }
}

/**
 * Data sets one after another, as `torch.utils.data.ConcatDataset`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { arange, data } from "../../mod.ts";
 * const [a, b] = [new data.TensorDataset(arange(3)), new data.TensorDataset(arange(2))];
 * assertEquals(new data.ConcatDataset([a, b]).length, 5);
 * ```
 */
export class ConcatDataset<Sample> extends Dataset<Sample> {
  readonly datasets: readonly Dataset<Sample>[];
  /** Index after the last sample of each data set. */
  readonly #ends: readonly number[];

  /**
   * @param datasets At least one.
   * @throws {RangeError} When there is none.
   */
  constructor(datasets: Iterable<Dataset<Sample>>) {
    super();
    this.datasets = [...datasets];
    if (this.datasets.length === 0) throw new RangeError("Cannot concatenate data sets: give at least one");
    if (!this.datasets.every((dataset) => dataset instanceof Dataset)) {
      throw new TypeError("Cannot concatenate data sets without index: an IterableDataset has none");
    }
    let end = 0;
    this.#ends = this.datasets.map(({ length }) => end += length);
  }

  override get length(): number {
    return this.#ends[this.#ends.length - 1];
  }

  override get(index: number): Sample | Promise<Sample> {
    if (!(index >= 0 && index < this.length)) {
      throw new RangeError(`Cannot take sample ${index}: the data sets have ${this.length}, numbered from 0`);
    }
    let [low, high] = [0, this.#ends.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle] <= index) low = middle + 1;
      else high = middle;
    }
    return this.datasets[low].get(index - (low === 0 ? 0 : this.#ends[low - 1]));
  }
}

/** How many samples each part gets, as torch.utils.data.random_split counts them. */
function partSizes(lengths: readonly number[], total: number): number[] {
  const wrong = lengths.find((length) => !(length >= 0));
  if (wrong !== undefined) throw new RangeError(`Cannot split off ${wrong} samples: lengths must be at least 0`);
  const sum = lengths.reduce((a, b) => a + b, 0);
  if (Math.abs(sum - 1) <= 1e-9) {
    const sizes = lengths.map((fraction) => Math.floor(total * fraction));
    const left = total - sizes.reduce((a, b) => a + b, 0);
    for (let i = 0; i < left; i++) sizes[i % sizes.length]++;
    return sizes;
  }
  if (sum === total && lengths.every(Number.isInteger)) return [...lengths];
  throw new RangeError(
    `Cannot split ${total} samples into parts of [${
      lengths.join(", ")
    }]: integers must add up to ${total}, fractions to 1, got ${sum}`,
  );
}

/**
 * Splits a data set at random into parts that have no sample in common, as `torch.utils.data.random_split`.
 *
 * @param dataset All samples.
 * @param lengths Sizes of the parts, or fractions that add up to 1.
 * @param options Seed and order: with the order "torch" the parts of `torch.Generator().manual_seed(seed)`.
 * @throws {RangeError} When the lengths do not add up.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { arange, data } from "../../mod.ts";
 * const [train, test] = data.randomSplit(new data.TensorDataset(arange(10)), [0.8, 0.2], { seed: 1 });
 * assertEquals([train.length, test.length], [8, 2]);
 * ```
 */
export function randomSplit<Sample>(
  dataset: Dataset<Sample>,
  lengths: readonly number[],
  options: RandomOptions = {},
): Subset<Sample>[] {
  const sizes = partSizes(lengths, dataset.length);
  const order = new EpochRandom(options, (random) => random.randperm(dataset.length)).at(0);
  let start = 0;
  return sizes.map((size) => new Subset(dataset, order.slice(start, start += size)));
}
