/**
 * The methods of a tensor that give another window on the same memory.
 *
 * @module
 */
import { type Shape, sizeOf } from "./core/shape.ts";
import { indexSelect } from "./ops/index_select.ts";
import * as views from "./ops/view.ts";
import type { Tensor } from "./tensor.ts";
import { TensorBase } from "./tensor_base.ts";

/** Views, and selections by index. */
export abstract class TensorViews extends TensorBase {
  // Views.

  reshape(shape: Shape): Tensor {
    return views.reshape(this.self, shape);
  }
  view(shape: Shape): Tensor {
    return views.view(this.self, shape);
  }
  transpose(dim0: number, dim1: number): Tensor {
    return views.transpose(this.self, dim0, dim1);
  }
  permute(dims: readonly number[]): Tensor {
    return views.permute(this.self, dims);
  }
  flatten(startDim = 0, endDim = -1): Tensor {
    const from = startDim < 0 ? startDim + this.shape.length : startDim;
    const to = endDim < 0 ? endDim + this.shape.length : endDim;
    const merged = sizeOf(this.shape.slice(from, to + 1));
    return this.reshape([...this.shape.slice(0, from), merged, ...this.shape.slice(to + 1)]);
  }
  unsqueeze(dim: number): Tensor {
    return views.unsqueeze(this.self, dim);
  }
  squeeze(dim?: number): Tensor {
    return views.squeeze(this.self, dim);
  }
  expand(shape: Shape): Tensor {
    return views.expand(this.self, shape);
  }
  narrow(dim: number, start: number, length: number): Tensor {
    return views.narrow(this.self, dim, start, length);
  }
  slice(options: views.SliceOptions): Tensor {
    return views.slice(this.self, options);
  }
  select(dim: number, index: number): Tensor {
    return views.selectIndex(this.self, dim, index);
  }
  indexSelect(dim: number, index: Tensor): Tensor {
    return indexSelect(this.self, dim, index);
  }
}
