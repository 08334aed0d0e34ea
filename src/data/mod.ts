/**
 * Data sets, samplers and loaders.
 *
 * @module
 */
export { TorchGenerator } from "../core/mt19937.ts";
export { collate } from "./collate.ts";
export { DataLoader } from "./data_loader.ts";
export { Dataset, IterableDataset, TensorDataset } from "./dataset.ts";
export type { Collated, DataLoaderOptions } from "./loader_options.ts";
export type { DataLoaderState } from "./loader_state.ts";
export { datasetFromModule, type DatasetFromModuleOptions } from "./module_dataset.ts";
export type { RandomOptions, RandomOrder } from "./random_order.ts";
export {
  BatchSampler,
  RandomSampler,
  type RandomSamplerOptions,
  type Sampler,
  SequentialSampler,
  type Sized,
  SubsetRandomSampler,
  WeightedRandomSampler,
  type WeightedRandomSamplerOptions,
} from "./sampler.ts";
export { ConcatDataset, randomSplit, Subset } from "./subset.ts";
