/**
 * The methods of a tensor that take, place and rearrange elements.
 *
 * @module
 */
import { where } from "./ops/binary.ts";
import { gather, scatter, scatterAdd } from "./ops/gather.ts";
import { indexSelect } from "./ops/index_select.ts";
import { flip, maskedSelect, nonzero, repeat, repeatInterleave, roll } from "./ops/rearrange.ts";
import { maskedFill } from "./ops/masked_fill.ts";
import { tril, triu } from "./ops/scan.ts";
import type { Shape } from "./core/shape.ts";
import type { Tensor } from "./tensor.ts";
import { TensorElementwise } from "./tensor_elementwise.ts";

/** Selections by index and by mask, and elements in another order. */
export abstract class TensorIndexing extends TensorElementwise {
  /** The slices of dimension `dim` that `index` (int32 or int64) names. */
  indexSelect(dim: number, index: Tensor): Tensor {
    return indexSelect(this.self, dim, index);
  }
  /** Elements at the index along a dimension: `out[i][j] = this[index[i][j]][j]` for dimension 0. */
  gather(dim: number, index: Tensor): Tensor {
    return gather(this.self, dim, index);
  }
  /** The tensor with the elements of `source` added at the index along a dimension; deterministic. */
  scatterAdd(dim: number, index: Tensor, source: Tensor): Tensor {
    return scatterAdd(this.self, dim, index, source);
  }
  /** The tensor with the elements of `source` in place of those at the index along a dimension. */
  scatter(dim: number, index: Tensor, source: Tensor): Tensor {
    return scatter(this.self, dim, index, source);
  }
  /** The tensor with a value where the bool mask, which is broadcast, holds. */
  maskedFill(mask: Tensor, value: number | Tensor): Tensor {
    return maskedFill(this.self, mask, value);
  }
  /** The elements where the bool mask holds, in one dimension. */
  maskedSelect(mask: Tensor): Tensor {
    return maskedSelect(this.self, mask);
  }
  /** Indices (count, ndim; int64) of the elements that are not zero. */
  nonzero(): Tensor {
    return nonzero(this.self);
  }
  /** This tensor's elements where the condition holds, those of `other` elsewhere. */
  where(condition: Tensor, other: Tensor | number): Tensor {
    return where(condition, this.self, other);
  }
  /** The lower triangle of matrices, 0 above the diagonal. */
  tril(options?: { diagonal?: number }): Tensor {
    return tril(this.self, options);
  }
  /** The upper triangle of matrices, 0 below the diagonal. */
  triu(options?: { diagonal?: number }): Tensor {
    return triu(this.self, options);
  }
  /** The elements of some dimensions from the last to the first. */
  flip(dims: number | readonly number[]): Tensor {
    return flip(this.self, dims);
  }
  /** The elements moved along dimensions; what leaves at the end enters at the beginning. */
  roll(shifts: number | readonly number[], dims?: number | readonly number[]): Tensor {
    return roll(this.self, shifts, dims);
  }
  /** The tensor repeated `counts[i]` times along dimension i. */
  repeat(counts: Shape): Tensor {
    return repeat(this.self, counts);
  }
  /** Each element along a dimension repeated `count` times. */
  repeatInterleave(count: number, options?: { dim?: number }): Tensor {
    return repeatInterleave(this.self, count, options);
  }
}
