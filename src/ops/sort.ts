/**
 * Order along a dimension. NaN counts as the greatest value, as in PyTorch; equal elements stay in the order of their indices.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { dtypeId } from "../core/dtype.ts";
import { empty, viewOf } from "../core/op.ts";
import { formatShape, normalizeDim } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import type { ValuesAndIndices } from "./extreme.ts";
import { gather } from "./gather.ts";
import { contiguous, fillInto } from "./launch.ts";

interface SortAttrs {
  readonly dim: number;
  /** How many elements of the order are wanted. */
  readonly take: number;
  readonly descending: boolean;
}

/** A view with `dim` last, or back again. */
function exchanged(x: Tensor, dim: number): Tensor {
  const last = x.shape.length - 1;
  if (dim === last) return x;
  const swap = (entries: readonly number[]): number[] =>
    entries.map((each, i) => i === dim ? entries[last] : i === last ? entries[dim] : each);
  return viewOf(x, swap(x.shape), swap(x.strides), x.offset, "sort");
}

/** The first `take` elements of the order, and their indices, without recording. */
function ordered(x: Tensor, { dim, take, descending }: SortAttrs): ValuesAndIndices {
  const device = x.storage.device;
  if (x.shape.length === 0) {
    const indices = fillInto(empty(device, [], "int64", "sort"), 0);
    return { values: contiguous(x), indices };
  }
  const source = contiguous(exchanged(x, dim));
  const shape = source.shape.with(-1, take);
  const values = empty(device, shape, x.dtype, "sort");
  const indices = empty(device, shape, "int64", "sort");
  const count = source.shape[shape.length - 1];
  const library = device.library;
  check(
    library.ax_sort(
      dtypeId(x.dtype),
      values.storage.id,
      values.offset,
      indices.storage.id,
      indices.offset,
      source.storage.id,
      source.offset,
      count === 0 ? 0 : source.size / count,
      count,
      take,
      descending ? 1 : 0,
    ),
    "ax_sort",
    library,
  );
  return { values: contiguous(exchanged(values, dim)), indices: contiguous(exchanged(indices, dim)) };
}

/** Where a gradient must flow, the values are gathered at the indices. */
function recorded(x: Tensor, attrs: SortAttrs): ValuesAndIndices {
  x.checkLive("sort");
  const found = ordered(x, attrs);
  if (!x.requiresGrad) return found;
  return { values: gather(x, attrs.dim, found.indices), indices: found.indices };
}

/** Options of {@link sort}. */
export interface SortOptions {
  /** Dimension to sort along. Default -1. */
  dim?: number;
  /** Largest first. Default false. */
  descending?: boolean;
  /** Accepted for PyTorch's sake: the order is always stable. */
  stable?: boolean;
}

/** All elements along a dimension in order, and where they were. */
export function sort(x: Tensor, { dim = -1, descending = false }: SortOptions = {}): ValuesAndIndices {
  const at = normalizeDim(dim, x.shape.length, "sort");
  return recorded(x, { dim: at, take: x.shape[at] ?? 1, descending });
}

/** Options of {@link topk}. */
export interface TopkOptions {
  /** How many. */
  k: number;
  /** Dimension to choose from. Default -1. */
  dim?: number;
  /** The largest, else the smallest. Default true. */
  largest?: boolean;
  /** Accepted for PyTorch's sake: the elements are always in order. */
  sorted?: boolean;
}

/**
 * The `k` largest elements along a dimension, largest first, and their indices.
 *
 * @throws {RangeError} When `k` is not an integer in [0, size].
 */
export function topk(x: Tensor, { k, dim = -1, largest = true }: TopkOptions): ValuesAndIndices {
  const at = normalizeDim(dim, x.shape.length, "choose the top k");
  const size = x.shape[at] ?? 1;
  if (!Number.isInteger(k) || k < 0 || k > size) {
    throw new RangeError(
      `Cannot take the top ${k} of dimension ${at} of ${formatShape(x.shape)}: k must be in [0, ${size}]`,
    );
  }
  return recorded(x, { dim: at, take: k, descending: largest });
}
