/**
 * The methods of a tensor that reduce dimensions, run along one, or put it in order.
 *
 * @module
 */
import { argReduce, type DimOptions, extremeOfDim, type ValuesAndIndices } from "./ops/extreme.ts";
import { extreme, mean, prod, type ReduceOptions, sum, type TotalOptions, truth } from "./ops/reduce.ts";
import { cumprod, cumsum, type ScanDim } from "./ops/scan.ts";
import { sort, type SortOptions, topk, type TopkOptions } from "./ops/sort.ts";
import { type NormOptions, variance, type VarianceOptions, vectorNorm } from "./ops/statistics.ts";
import type { Tensor } from "./tensor.ts";
import { TensorIndexing } from "./tensor_indexing.ts";

/** Reductions take `{ dim, keepDim }`; without `dim` they cover all dimensions. */
export abstract class TensorReductions extends TensorIndexing {
  /** Sum over dimensions; integers and bool are summed in int64. */
  sum(options?: TotalOptions): Tensor {
    return sum(this.self, options);
  }
  /** Mean over dimensions, of floating tensors. */
  mean(options?: TotalOptions): Tensor {
    return mean(this.self, options);
  }
  /** Product over dimensions; integers and bool are multiplied in int64. */
  prod(options?: TotalOptions): Tensor {
    return prod(this.self, options);
  }
  /** Variance over dimensions; `unbiased`, the default, divides by n - 1. */
  var(options: VarianceOptions = {}): Tensor {
    return variance(this.self, options, false);
  }
  /** Standard deviation over dimensions; `unbiased`, the default, divides by n - 1. */
  std(options: VarianceOptions = {}): Tensor {
    return variance(this.self, options, true);
  }
  /** Vector norm over dimensions, by default the Euclidean one. */
  norm(options?: NormOptions): Tensor {
    return vectorNorm(this.self, options);
  }

  /**
   * The largest element; with `dim` the largest ones along it and their indices.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { tensor } from "../mod.ts";
   * const { values, indices } = tensor([[1, 5], [7, 3]]).max({ dim: 1 });
   * assertEquals([values.toArray(), indices.toArray()], [[5, 7], [1, 0]]);
   * ```
   */
  max(options: DimOptions & { dim: number }): ValuesAndIndices;
  /** The largest element, as a scalar. NaN is larger than all others. */
  max(): Tensor;
  max(options?: DimOptions & { dim: number }): Tensor | ValuesAndIndices {
    return options === undefined ? extreme(this.self, "max") : extremeOfDim(this.self, "max", options);
  }
  /** The smallest element; with `dim` the smallest ones along it and their indices. */
  min(options: DimOptions & { dim: number }): ValuesAndIndices;
  /** The smallest element, as a scalar. NaN is smaller than all others. */
  min(): Tensor;
  min(options?: DimOptions & { dim: number }): Tensor | ValuesAndIndices {
    return options === undefined ? extreme(this.self, "min") : extremeOfDim(this.self, "min", options);
  }
  /** Maximum over dimensions; equal elements share the gradient. */
  amax(options?: ReduceOptions): Tensor {
    return extreme(this.self, "max", options);
  }
  /** Minimum over dimensions; equal elements share the gradient. */
  amin(options?: ReduceOptions): Tensor {
    return extreme(this.self, "min", options);
  }
  /** Index (int64) of the first maximum along `dim`, or in the flattened tensor. */
  argmax(options?: DimOptions): Tensor {
    return argReduce(this.self, "max", options);
  }
  /** Index (int64) of the first minimum along `dim`, or in the flattened tensor. */
  argmin(options?: DimOptions): Tensor {
    return argReduce(this.self, "min", options);
  }
  /** Whether any element is not zero. */
  any(options?: ReduceOptions): Tensor {
    return truth(this.self, "any", options);
  }
  /** Whether all elements are not zero. */
  all(options?: ReduceOptions): Tensor {
    return truth(this.self, "all", options);
  }

  /** Sums of all elements up to each: `cumsum(0)` or `cumsum({ dim: 0, dtype })`. */
  cumsum(dim: ScanDim): Tensor {
    return cumsum(this.self, dim);
  }
  /** Products of all elements up to each: `cumprod(0)` or `cumprod({ dim: 0, dtype })`. */
  cumprod(dim: ScanDim): Tensor {
    return cumprod(this.self, dim);
  }

  /** The elements along a dimension in order, and where they were. NaN is the greatest; the order is stable. */
  sort(options?: SortOptions): ValuesAndIndices {
    return sort(this.self, options);
  }
  /** The indices that put the elements along a dimension in order. */
  argsort(options?: SortOptions): Tensor {
    return sort(this.self, options).indices;
  }
  /** The `k` largest (or smallest) elements along a dimension in order, and where they were. */
  topk(options: TopkOptions): ValuesAndIndices {
    return topk(this.self, options);
  }
}
