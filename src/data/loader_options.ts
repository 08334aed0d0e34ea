/**
 * Options of a loader, and the type of what it yields.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import { IterableDataset } from "./dataset.ts";
import type { RandomOrder } from "./random_order.ts";
import type { Sampler } from "./sampler.ts";

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
  /**
   * Which samples make each batch; instead of batchSize, shuffle, sampler and dropLast. Several ranks are dealt whole batches; a
   * `dropLast` of its own says whether they leave out a round that is not full.
   */
  batchSampler?: Sampler<readonly number[]> & { readonly dropLast?: boolean };
  /** Makes a batch of samples. Default: {@link collate}. */
  // deno-lint-ignore no-explicit-any
  collate?: (samples: any[]) => unknown;
  /**
   * How many batches are fetched and collated ahead while the training step runs; the order does not change. It helps where `get` or
   * the iterator waits for something. Default 0.
   */
  prefetch?: number;
  /**
   * How many Deno Workers call `get`, for data sets whose samples take time to compute. The data set must come from
   * {@link datasetFromModule}, so that each Worker can make its own. Default 0: samples are made in this thread.
   */
  numWorkers?: number;
  /** Batches that each worker makes ahead. Default 2. */
  prefetchFactor?: number;
  /** Keep the workers for the next epoch; `close()` ends them. Default false: they end with the iteration. */
  persistentWorkers?: boolean;
}

/** What collating gives for a sample: numbers become tensors, containers keep their form. */
export type Collated<Sample> = Sample extends Tensor | number | boolean ? Tensor
  : Sample extends string ? string[]
  : Sample extends ArrayBufferView ? Tensor
  : Sample extends readonly (infer Item)[]
    ? (number extends Sample["length"] ? Collated<Item>[] : { [K in keyof Sample]: Collated<Sample[K]> })
  : Sample extends object ? { [K in keyof Sample]: Collated<Sample[K]> }
  : unknown;

function checkAtLeast(low: number, name: string, value: number, what: string): void {
  if (Number.isInteger(value) && value >= low) return;
  const rule = low === 0 ? "a non-negative integer" : "a positive integer";
  throw new RangeError(`Cannot ${what}: ${name} must be ${rule}`);
}

/** Throws a RangeError when an option is outside its range or contradicts another. */
export function checkOptions(dataset: object, options: DataLoaderOptions): void {
  const { batchSize = 1, shuffle = false, dropLast = false, sampler, batchSampler, prefetch = 0 } = options;
  const { numWorkers = 0, prefetchFactor = 2, persistentWorkers = false } = options;
  checkAtLeast(1, "batchSize", batchSize, `load batches of ${batchSize}`);
  checkAtLeast(0, "prefetch", prefetch, `prefetch ${prefetch} batches`);
  checkAtLeast(0, "numWorkers", numWorkers, `load with ${numWorkers} workers`);
  checkAtLeast(1, "prefetchFactor", prefetchFactor, `make ${prefetchFactor} batches ahead`);
  if (persistentWorkers && numWorkers === 0) {
    throw new RangeError("Cannot keep workers that do not exist: persistentWorkers needs numWorkers above 0");
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
  if (numWorkers > 0) {
    throw new RangeError("Cannot read an IterableDataset with workers: it has one order. Use prefetch to read ahead");
  }
}
