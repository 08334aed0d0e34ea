/**
 * A tensor that an optimizer trains.
 *
 * @module
 */
import { CATEGORY } from "../core/storage.ts";
import { contiguous } from "../ops/launch.ts";
import { Tensor } from "../tensor.ts";

/**
 * A leaf that belongs to no scope and that a module finds among its own properties.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones, type Tensor } from "../../mod.ts";
 * class Scale extends nn.Module {
 *   readonly factor = new nn.Parameter(ones([3]));
 *   override forward(x: Tensor): Tensor {
 *     return x.mul(this.factor);
 *   }
 * }
 * assert(new Scale().parameters().length === 1);
 * ```
 */
export class Parameter extends Tensor {
  /**
   * @param value Its memory is shared when it is contiguous, else copied.
   * @param options `requiresGrad`, default true.
   */
  constructor(value: Tensor, { requiresGrad = true }: { requiresGrad?: boolean } = {}) {
    value.checkLive("Parameter");
    const source = contiguous(value);
    source.storage.retain();
    super(source.storage, source.shape, source.strides, source.offset, source.dtype, "Parameter");
    this.storage.categorize(CATEGORY.parameter);
    this.storage.manage();
    this.requiresGrad_(requiresGrad);
  }
}
