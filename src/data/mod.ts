/**
 * Data sets and loaders.
 *
 * @module
 */
export { collate } from "./collate.ts";
export { type Collated, DataLoader, type DataLoaderOptions } from "./data_loader.ts";
export { Dataset, IterableDataset, TensorDataset } from "./dataset.ts";
