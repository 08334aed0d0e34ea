/**
 * Dropout. The backward pass draws the same random numbers again, so no mask is stored.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { type RandomState, takeRandom } from "../core/random.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous } from "./launch.ts";

interface DropoutAttrs {
  readonly p: number;
  readonly random: RandomState;
}

function run(input: Tensor, { p, random }: DropoutAttrs, origin: string): Tensor {
  const x = contiguous(input);
  const out = empty(x.storage.device, x.shape, x.dtype, origin);
  const library = out.storage.device.library;
  check(
    library.ax_dropout(
      dtypeId(x.dtype),
      out.storage.id,
      out.offset,
      x.storage.id,
      x.offset,
      x.size,
      p,
      random.seedLow,
      random.seedHigh,
      random.counter,
    ),
    "ax_dropout",
    library,
  );
  return out;
}

const dropoutOp: Op<DropoutAttrs> = {
  name: "dropout",
  outputShape([x]) {
    if (!isFloating(x.dtype)) throw new DTypeError(`Cannot drop out of ${x.dtype}: the input must be floating`);
    return x.shape;
  },
  forward: ([x], attrs) => run(x, attrs, "dropout"),
  vjp: ({ attrs }, g) => [run(g, attrs, "grad")],
};

/** Zeroes elements with probability p and scales the others by 1 / (1 - p). */
export function dropout(x: Tensor, p: number): Tensor {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`Cannot drop out with p = ${p}: it must be in [0, 1]`);
  return apply(dropoutOp, [x], { p, random: takeRandom(x.size) });
}
