/**
 * Elements in another order or repeated, made of other operations.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { dtypeId } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { empty } from "../core/op.ts";
import { broadcastShapes, formatShape, normalizeDim, normalizeDims, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cat } from "./cat.ts";
import { cast, readBytes, writeBytes } from "./copy.ts";

/** Fills with `start + i * step`. */
export function arangeInto(out: Tensor, start: number, step: number): Tensor {
  const library = out.storage.device.library;
  check(
    library.ax_arange(dtypeId(out.dtype), out.storage.id, out.offset, out.size, start, step),
    "ax_arange",
    library,
  );
  return out;
}

/** The elements of some dimensions from the last to the first. */
export function flip(x: Tensor, dims: number | readonly number[]): Tensor {
  let out = x;
  for (const dim of normalizeDims(dims, x.shape.length, "flip")) {
    const size = x.shape[dim];
    out = out.indexSelect(dim, arangeInto(empty(x.storage.device, [size], "int64", "flip"), size - 1, -1));
  }
  return out === x ? x.clone() : out;
}

/** The elements moved along dimensions; what leaves at the end enters at the beginning. */
export function roll(x: Tensor, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor {
  if (dims === undefined) {
    if (typeof shifts !== "number") {
      throw new ShapeError("Cannot roll by several shifts: dims must name their dimensions");
    }
    return roll(x.reshape([x.size]), shifts, 0).reshape(x.shape);
  }
  const by = typeof shifts === "number" ? [shifts] : shifts;
  const along = typeof dims === "number" ? [dims] : dims;
  if (by.length !== along.length) {
    throw new ShapeError(`Cannot roll by ${by.length} shifts along ${along.length} dimensions: they must be as many`);
  }
  let out = x;
  by.forEach((shift, i) => {
    const dim = normalizeDim(along[i], x.shape.length, "roll");
    const size = x.shape[dim] ?? 1;
    const start = size === 0 ? 0 : ((-shift % size) + size) % size;
    if (start > 0) out = cat([out.narrow(dim, start, size - start), out.narrow(dim, 0, start)], { dim });
  });
  return out === x ? x.clone() : out;
}

/** The tensor repeated: `counts[i]` times along dimension i; more counts than dimensions make new ones in front. */
export function repeat(x: Tensor, counts: Shape): Tensor {
  const lead = counts.length - x.shape.length;
  if (lead < 0 || counts.some((count) => !Number.isInteger(count) || count < 0)) {
    throw new ShapeError(
      `Cannot repeat ${formatShape(x.shape)} by [${counts}]: there must be a count of at least 0 for each dimension`,
    );
  }
  const shape = [...new Array<number>(lead).fill(1), ...x.shape];
  const ones = shape.flatMap((size) => [1, size]);
  const repeated = shape.flatMap((size, i) => [counts[i], size]);
  return x.reshape(ones).expand(repeated).reshape(shape.map((size, i) => size * counts[i]));
}

/** Each element along a dimension repeated `count` times; without a dimension each of the flattened ones. */
export function repeatInterleave(x: Tensor, count: number, { dim }: { dim?: number } = {}): Tensor {
  if (!Number.isInteger(count) || count < 0) {
    throw new ShapeError(`Cannot repeat elements ${count} times: the count must be a non-negative integer`);
  }
  const source = dim === undefined ? x.reshape([x.size]) : x;
  const at = normalizeDim(dim ?? 0, source.shape.length, "repeat");
  const shape = source.shape.length === 0 ? [1] : source.shape;
  const wide = source.reshape(shape).unsqueeze(at + 1);
  return wide.expand(wide.shape.with(at + 1, count)).reshape(shape.with(at, shape[at] * count));
}

/** Indices (count, ndim; int64) of the elements that are not zero. Their number must be known, so this waits for the device. */
export function nonzero(x: Tensor): Tensor {
  x.checkLive("nonzero");
  const mask = new Uint8Array(readBytes(cast(x, "bool")));
  const found: bigint[] = [];
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] === 0) continue;
    const position: bigint[] = [];
    for (let dim = x.shape.length - 1, rest = i; dim >= 0; dim--) {
      position.push(BigInt(rest % x.shape[dim]));
      rest = Math.floor(rest / x.shape[dim]);
    }
    found.push(...position.reverse());
  }
  const ndim = x.shape.length;
  const count = ndim === 0 ? mask[0] : found.length / ndim;
  const out = empty(x.storage.device, [count, ndim], "int64", "nonzero");
  return writeBytes(out, new Uint8Array(BigInt64Array.from(found).buffer));
}

/**
 * The elements where a bool mask holds, in one dimension; both are broadcast. Their number must be known, so this waits for the device.
 *
 * @throws {DTypeError} When the mask is not bool.
 */
export function maskedSelect(x: Tensor, mask: Tensor): Tensor {
  if (mask.dtype !== "bool") {
    throw new DTypeError(`Cannot select by a mask of ${mask.dtype}: it must be bool. Compare first`);
  }
  const shape = broadcastShapes(x.shape, mask.shape, "select");
  const size = sizeOf(shape);
  const found = nonzero(mask.expand(shape).reshape([size]));
  return x.expand(shape).reshape([size]).indexSelect(0, found.reshape([found.size]));
}
