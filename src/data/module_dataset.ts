/**
 * Data sets that a Worker can make too. A function or an object cannot be sent to another thread, but the address of a module can.
 *
 * @module
 */
import { Dataset } from "./dataset.ts";
import { Subset } from "./subset.ts";

/** How to make a data set anywhere. */
export interface DatasetOrigin {
  readonly url: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

/** Options of {@link datasetFromModule}. */
export interface DatasetFromModuleOptions {
  /** Name of the exported class or function. Default "default". */
  export?: string;
  /** Its arguments: values that structured cloning copies. Default none. */
  args?: readonly unknown[];
}

const origins = new WeakMap<object, DatasetOrigin>();

function isDatasetClass(value: unknown): value is new (...args: unknown[]) => Dataset<unknown> {
  return typeof value === "function" && value.prototype instanceof Dataset;
}

/** Imports the module and makes the data set in this thread. */
export async function makeFromOrigin({ url, name, args }: DatasetOrigin): Promise<Dataset<unknown>> {
  const module = await import(url);
  const made = module[name];
  if (typeof made !== "function") {
    throw new TypeError(
      `Cannot make a data set from ${url}: its export "${name}" must be a Dataset class or a function, got ${typeof made}`,
    );
  }
  const dataset = isDatasetClass(made) ? new made(...args) : await made(...args);
  if (dataset instanceof Dataset) return dataset;
  throw new TypeError(`Cannot make a data set from ${url}: its export "${name}" did not give a Dataset`);
}

/**
 * Makes a data set from a module, so that the workers of a loader can make it again: `numWorkers` needs that.
 *
 * @param url The module, for example `new URL("./images.ts", import.meta.url)`.
 * @param options See {@link DatasetFromModuleOptions}. The export is a class that extends Dataset, or a function that returns a data
 * set or a promise of it. Every thread makes its own, so all must be alike.
 * @throws {TypeError} When the export gives no Dataset.
 */
export async function datasetFromModule<Sample>(
  url: URL | string,
  { export: name = "default", args = [] }: DatasetFromModuleOptions = {},
): Promise<Dataset<Sample>> {
  const origin = { url: String(url), name, args: structuredClone(args) };
  const dataset = await makeFromOrigin(origin);
  origins.set(dataset, origin);
  return dataset as Dataset<Sample>;
}

/** How a Worker gets at a data set: where it comes from, and which of its samples an index means. */
export interface WorkerAccess {
  readonly origin: DatasetOrigin;
  readonly at: (index: number) => number;
}

/**
 * How a Worker gets at a data set or a Subset of it.
 *
 * @throws {RangeError} When it was not made by {@link datasetFromModule}.
 */
export function workerAccess(dataset: Dataset<unknown>): WorkerAccess {
  const origin = origins.get(dataset);
  if (origin !== undefined) return { origin, at: (index) => index };
  if (dataset instanceof Subset) {
    const inner = workerAccess(dataset.dataset);
    return { origin: inner.origin, at: (index) => inner.at(dataset.indices[index]) };
  }
  throw new RangeError(
    `Cannot load a ${dataset.constructor.name} with workers: a Worker cannot be given an object of this thread. Make the data ` +
      `set with await datasetFromModule(new URL("./my_dataset.ts", import.meta.url), { export, args }), or use numWorkers: 0`,
  );
}
