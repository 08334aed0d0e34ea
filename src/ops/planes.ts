/**
 * What convolution and pooling share: sizes by direction, and inputs with or without a batch.
 *
 * @module
 */
import { isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatShape, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";

/** A number for both directions, or one for the height and one for the width. */
export type Pair = number | readonly [number, number];

/** One value for each direction: the width, or the height and the width. */
export type Sizes = readonly number[];

/** How many directions a window moves in. */
export type Directions = 1 | 2;

/**
 * Values by direction.
 *
 * @throws {RangeError} When a value is not an integer of at least `least`, or their number is wrong.
 */
export function sizesOf(
  value: number | readonly number[],
  directions: Directions,
  name: string,
  least: number,
  action: string,
): Sizes {
  const sizes = typeof value === "number" ? (directions === 1 ? [value] : [value, value]) : value;
  if (sizes.length !== directions || sizes.some((size) => !Number.isInteger(size) || size < least)) {
    const kind = least === 0 ? "a non-negative integer" : "a positive integer";
    throw new RangeError(
      `Cannot ${action}: ${name} must be ${kind}${directions === 1 ? "" : " or a pair of them"}, got ${
        typeof value === "number" ? value : `[${value}]`
      }`,
    );
  }
  return sizes;
}

/** An input (batch, channels, ...) or (channels, ...), as height and width; one direction has height 1. */
export interface Planes {
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** The sizes before those of the directions. */
  readonly lead: Shape;
}

/**
 * Takes the shape of an input apart.
 *
 * @throws {ShapeError} When it has too few or too many dimensions, or an empty one other than the batch.
 * @throws {DTypeError} When it is not floating.
 */
export function planesOf(x: Tensor, directions: Directions, action: string): Planes {
  const ndim = x.shape.length;
  const spatial = directions === 1 ? "length" : "height, width";
  if (ndim !== directions + 1 && ndim !== directions + 2) {
    throw new ShapeError(
      `Cannot ${action} ${
        formatShape(x.shape)
      }: its shape must be (batch, channels, ${spatial}) or (channels, ${spatial})`,
    );
  }
  if (!isFloating(x.dtype)) throw new DTypeError(`Cannot ${action} ${x.dtype}: the input must be floating`);
  if (x.shape.slice(-directions - 1).includes(0)) {
    throw new ShapeError(`Cannot ${action} ${formatShape(x.shape)}: only the batch may be empty`);
  }
  return {
    batch: ndim === directions + 2 ? x.shape[0] : 1,
    channels: x.shape[ndim - directions - 1],
    height: directions === 1 ? 1 : x.shape[ndim - 2],
    width: x.shape[ndim - 1],
    lead: x.shape.slice(0, ndim - directions),
  };
}

/** The first of two directions, or what stands for it where there is only one. */
export function heightOf(sizes: Sizes, otherwise: number): number {
  return sizes.length === 1 ? otherwise : sizes[0];
}

/** The last direction. */
export function widthOf(sizes: Sizes): number {
  return sizes[sizes.length - 1];
}
