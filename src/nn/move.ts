/**
 * Moving the parameters and buffers of a module.
 *
 * @module
 */
import { device as findDevice, type DeviceName } from "../core/device.ts";
import { type DType, isFloating } from "../core/dtype.ts";
import { AutogradError, DTypeError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { withScope } from "../core/scope.ts";
import { CATEGORY } from "../core/storage.ts";
import type { Tensor } from "../tensor.ts";
import { Parameter } from "./parameter.ts";

/** Gives each tensor, and its gradient, memory on another device or of another dtype; they stay the same objects. */
export function moveTensors(
  tensors: readonly Tensor[],
  { device, dtype }: { device?: DeviceName; dtype?: DType },
): void {
  if (dtype !== undefined && !isFloating(dtype)) {
    throw new DTypeError(`Cannot convert a module to ${dtype}: parameters must be floating`);
  }
  const place = device === undefined ? undefined : findDevice(device);
  const targetOf = (x: Tensor): DType => dtype !== undefined && isFloating(x.dtype) ? dtype : x.dtype;
  const moving = tensors.filter((x) => targetOf(x) !== x.dtype || (place !== undefined && place !== x.storage.device));
  if (moving.some(({ gradSlot }) => gradSlot !== null)) {
    throw new AutogradError(
      "Cannot move a module whose parameters an optimizer or prepare() has laid out in memory: call to() before both",
    );
  }
  const moved = (x: Tensor): Tensor =>
    withScope(
      undefined,
      () => x.detach().to({ dtype: targetOf(x), ...(place === undefined ? {} : { device: place }) }),
    );
  noGrad(() => {
    for (const x of moving) {
      x.become(moved(x));
      if (x instanceof Parameter) x.storage.categorize(CATEGORY.parameter);
      if (x.grad !== null) x.grad = moved(x.grad);
    }
  });
}
