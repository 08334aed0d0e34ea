/**
 * Activation checkpointing (Chen, Xu, Zhang and Guestrin, 2016), as `torch.utils.checkpoint` without reentrance.
 *
 * @module
 */
import { isGradEnabled } from "../../core/op.ts";
import { Recomputation } from "../../core/recompute.ts";
import { Tensor } from "../../tensor.ts";
import { tidy } from "../../tidy.ts";

/** The same structure of arrays and plain objects with every tensor replaced; other values stay. */
function replaceTensors(value: unknown, replace: (tensor: Tensor) => Tensor): unknown {
  if (value instanceof Tensor) return replace(value);
  if (Array.isArray(value)) return value.map((item) => replaceTensors(item, replace));
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replaceTensors(item, replace)]));
  }
  return value;
}

/**
 * Runs a part of the forward pass without keeping what its derivatives need; backward runs it again, with the same random numbers.
 * Memory for time: values and gradients are those of the plain run, bit for bit. Checkpoints may be nested.
 *
 * @param fn A function of its inputs, parameters and random numbers only. Pass the tensors that it needs as inputs: what it
 *   captures otherwise must live until backward.
 * @param inputs Tensors, also in arrays and plain objects, and anything else.
 * @returns What `fn` returns.
 * @throws {AutogradError} In backward, when an input was changed in place since, or `fn` computes something else the second time.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones } from "../../../mod.ts";
 * const block = new nn.Sequential(new nn.Linear(4, 64), new nn.GELU(), new nn.Dropout(0.1), new nn.Linear(64, 4));
 * const x = ones([8, 4], { requiresGrad: true });
 * nn.utils.checkpoint((h) => block.forward(h), x).sum().backward();
 * assert(x.grad !== null);
 * ```
 */
export function checkpoint<I extends unknown[], T>(fn: (...inputs: I) => T, ...inputs: I): T {
  const run = (): T => tidy(() => fn(...inputs), "the end of checkpoint()");
  if (!isGradEnabled()) return run();
  const tensors: Tensor[] = [];
  replaceTensors(inputs, (tensor) => {
    tensor.checkLive("checkpoint");
    tensors.push(tensor);
    return tensor;
  });
  const again = (recomputed: readonly Tensor[]): T => {
    let next = 0;
    return fn(...replaceTensors(inputs, () => recomputed[next++]) as I);
  };
  return new Recomputation(again, tensors).record(run);
}
