/**
 * What all functions that make tensors share.
 *
 * @module
 */
import { defaultDevice, device as findDevice, type DeviceName } from "./core/device.ts";
import { checkDType, type DType } from "./core/dtype.ts";
import { empty as allocate } from "./core/op.ts";
import { checkShape, type Shape } from "./core/shape.ts";
import type { Tensor } from "./tensor.ts";

/** Dtype, device, and whether gradients are wanted. */
export interface TensorOptions {
  /** Default `"float32"`. */
  dtype?: DType;
  /** Default `"cpu"`. */
  device?: DeviceName;
  /** Default false. */
  requiresGrad?: boolean;
}

/** A new tensor of checked shape and dtype. */
export function make(shape: Shape, options: TensorOptions, origin: string): Tensor {
  checkShape(shape, `make a tensor with ${origin}()`);
  const device = options.device === undefined ? defaultDevice() : findDevice(options.device);
  return allocate(device, [...shape], checkDType(options.dtype ?? "float32"), origin);
}

/** The last step of every function that makes a tensor. */
export function finished(tensor: Tensor, options: TensorOptions): Tensor {
  return options.requiresGrad === true ? tensor.requiresGrad_() : tensor;
}

/** The options, with dtype and device of a tensor as defaults. */
export function optionsLike(like: Tensor, options: TensorOptions): TensorOptions {
  return { dtype: like.dtype, device: like.device, ...options };
}
