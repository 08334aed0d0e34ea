/**
 * Data sets: where samples come from.
 *
 * @module
 */
import { tensor } from "../creation.ts";
import { ShapeError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { indexSelect } from "../ops/index_select.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";

/** Samples by index. Subclass it with `length` and `get`. */
export abstract class Dataset<Sample> {
  /** Number of samples. */
  abstract readonly length: number;

  /** Sample `index`, from 0. */
  abstract get(index: number): Sample | Promise<Sample>;
}

/** Samples in an order of their own. Subclass it with `*[Symbol.iterator]()` or `async *[Symbol.asyncIterator]()`. */
export abstract class IterableDataset<Sample> {
  [Symbol.iterator]?(): Iterator<Sample>;
  [Symbol.asyncIterator]?(): AsyncIterator<Sample>;
}

/** A data set that can make a whole batch faster than sample by sample. */
export interface BatchedDataset<Batch> {
  /** The batch of these samples, as collating them would give. */
  getBatch(indices: readonly number[]): Batch;
}

/** Whether a data set makes whole batches. */
export function isBatched(dataset: object): dataset is BatchedDataset<unknown> {
  return "getBatch" in dataset && typeof dataset.getBatch === "function";
}

/** Tensors whose first dimensions count the samples. */
export class TensorDataset extends Dataset<Tensor[]> implements BatchedDataset<Tensor[]> {
  readonly #tensors: readonly Tensor[];
  override readonly length: number;

  /**
   * @param tensors At least one; all of the same length. They are kept.
   * @throws {ShapeError} When the lengths differ.
   */
  constructor(...tensors: Tensor[]) {
    super();
    if (tensors.length === 0) throw new RangeError("Cannot make a TensorDataset: give it at least one tensor");
    this.length = tensors[0].length;
    for (const { shape } of tensors) {
      if (shape[0] !== this.length) {
        throw new ShapeError(
          `Cannot make a TensorDataset of ${
            tensors.map((t) => formatShape(t.shape)).join(" and ")
          }: first sizes must be equal`,
        );
      }
    }
    this.#tensors = tensors.map((tensor) => tensor.keep());
  }

  override get(index: number): Tensor[] {
    return this.#tensors.map((tensor) => tensor.select(0, index));
  }

  /** A view when the indices ascend by 1, else a copy. */
  getBatch(indices: readonly number[]): Tensor[] {
    const first = indices[0];
    let ascending = true;
    for (let i = 1; ascending && i < indices.length; i++) ascending = indices[i] === first + i;
    if (ascending && indices.length > 0) return this.#tensors.map((tensor) => tensor.narrow(0, first, indices.length));
    const index = tensor(Int32Array.from(indices));
    return noGrad(() => this.#tensors.map((source) => indexSelect(source, 0, index.to({ device: source.device }))));
  }
}
