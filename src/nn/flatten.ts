/**
 * Modules that change no value.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

/**
 * Makes one dimension of several, as `torch.nn.Flatten`: by default of all but the batch.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones } from "../../mod.ts";
 * assert(new nn.Flatten().forward(ones([2, 3, 4])).shape.join() === "2,12");
 * ```
 */
export class Flatten extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  readonly #startDim: number;
  readonly #endDim: number;

  /** Dimensions from `startDim` to `endDim`, both included; negative ones count from the end. */
  constructor(startDim = 1, endDim = -1) {
    super();
    this.#startDim = startDim;
    this.#endDim = endDim;
  }

  /** A view where the memory allows it, else a copy. */
  override forward(x: Tensor): Tensor {
    return x.flatten(this.#startDim, this.#endDim);
  }
}

/** Returns its input, as `torch.nn.Identity`. */
export class Identity extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** The input itself. */
  override forward(x: Tensor): Tensor {
    return x;
  }
}
