/**
 * The methods of a tensor that give another window on the same memory.
 *
 * @module
 */
import type { Shape } from "./core/shape.ts";
import * as views from "./ops/view.ts";
import * as windows from "./ops/window.ts";
import type { Tensor } from "./tensor.ts";
import { TensorBase } from "./tensor_base.ts";

/** Views, and selections by index. A change of a view in place is a change of the tensor. */
export abstract class TensorViews extends TensorBase {
  /** The same elements in another shape, of which one size may be -1: a view where strides can express it, else a copy. */
  reshape(shape: Shape): Tensor {
    return views.reshape(this.self, shape);
  }
  /** The same elements in another shape, always a view; an error where that needs a copy. */
  view(shape: Shape): Tensor {
    return views.view(this.self, shape);
  }
  /** A view in the shape of another tensor. */
  viewAs(other: Tensor): Tensor {
    return views.view(this.self, other.shape);
  }
  /** The dimensions from `startDim` to `endDim` merged into one. */
  flatten(startDim = 0, endDim = -1): Tensor {
    return views.flatten(this.self, startDim, endDim);
  }
  /** One dimension divided into several; one size may be -1. */
  unflatten(dim: number, sizes: Shape): Tensor {
    return views.unflatten(this.self, dim, sizes);
  }
  /** Two dimensions exchanged. */
  transpose(dim0: number, dim1: number): Tensor {
    return views.transpose(this.self, dim0, dim1);
  }
  /** Rows and columns of a matrix exchanged; vectors and scalars stay as they are. */
  t(): Tensor {
    return views.transposeMatrix(this.self);
  }
  /** The last two dimensions exchanged. */
  get mT(): Tensor {
    return views.transposeMatrices(this.self);
  }
  /** All dimensions in another order. */
  permute(dims: readonly number[]): Tensor {
    return views.permute(this.self, dims);
  }
  /** Some dimensions moved to other places; the others keep their order. */
  movedim(source: number | readonly number[], destination: number | readonly number[]): Tensor {
    return views.movedim(this.self, source, destination);
  }
  /** A dimension of size 1 inserted. */
  unsqueeze(dim: number): Tensor {
    return views.unsqueeze(this.self, dim);
  }
  /** Without those of the named dimensions that have size 1, or without all of size 1. */
  squeeze(dim?: number | readonly number[]): Tensor {
    return views.squeeze(this.self, dim);
  }
  /** Dimensions of size 1 repeated, without memory; -1 keeps a size. */
  expand(shape: Shape): Tensor {
    return views.expand(this.self, shape);
  }
  /** Expanded to the shape of another tensor. */
  expandAs(other: Tensor): Tensor {
    return views.expand(this.self, other.shape);
  }
  /** `length` indices of a dimension from `start`, which may count from the end. */
  narrow(dim: number, start: number, length: number): Tensor {
    return windows.narrow(this.self, dim, start, length);
  }
  /** Every `step`-th index of a dimension from `start` to before `end`; bounds are clipped. */
  slice(options: windows.SliceOptions): Tensor {
    return windows.slice(this.self, options);
  }
  /** One index of a dimension, which disappears. */
  select(dim: number, index: number): Tensor {
    return windows.selectIndex(this.self, dim, index);
  }
  /** One view for each index of a dimension, which disappears. */
  unbind(dim = 0): Tensor[] {
    return windows.unbind(this.self, dim);
  }
  /** Parts of one size, the last one perhaps smaller, or of the given sizes. */
  split(sizes: number | readonly number[], { dim = 0 }: { dim?: number } = {}): Tensor[] {
    return windows.split(this.self, sizes, dim);
  }
  /** At most so many parts, all of one size but the last. */
  chunk(chunks: number, { dim = 0 }: { dim?: number } = {}): Tensor[] {
    return windows.chunk(this.self, chunks, dim);
  }
  /** A diagonal of two dimensions, which becomes the last dimension. */
  diagonal(options: windows.DiagonalOptions = {}): Tensor {
    return windows.diagonal(this.self, options);
  }
}
