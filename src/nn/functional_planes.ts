/**
 * Functions over planes: convolution, pooling and batch normalisation, with PyTorch's names and defaults.
 *
 * @module
 */
import { batchNorm as batchNormOp, type BatchNormOptions } from "../ops/batch_norm.ts";
import { convolution, convolutionAttrs, type ConvolutionOptions } from "../ops/convolution.ts";
import {
  adaptiveAvgPool,
  avgPool,
  type AvgPoolOptions,
  maxPool,
  type MaxPoolOptions,
  maxPoolWithIndices,
} from "../ops/pooling.ts";
import type { Pair } from "../ops/planes.ts";
import type { Tensor } from "../tensor.ts";

export type { AvgPoolOptions, BatchNormOptions, ConvolutionOptions, MaxPoolOptions, Pair };

/** Options of {@link conv1d} and {@link conv2d}. */
export interface ConvOptions extends ConvolutionOptions {
  /** Offsets (out channels). Default: none. */
  bias?: Tensor | null;
}

/**
 * Convolution (cross-correlation) in one direction, as `torch.nn.functional.conv1d`.
 *
 * @param x (batch, in channels, length) or (in channels, length); floating. bfloat16 and float16 are computed in float32.
 * @param weight (out channels, in channels / groups, kernel), of x's dtype.
 * @returns (batch, out channels, floor((length + padding - dilation (kernel - 1) - 1) / stride) + 1), with both sides' padding.
 * Gradients flow to x, weight and bias.
 * @throws {ShapeError} When channels do not fit, or the kernel is larger than the padded input.
 * @throws {DTypeError} When dtypes differ or are not floating.
 * @throws {RangeError} When an option is not a size.
 */
export function conv1d(x: Tensor, weight: Tensor, { bias = null, ...options }: ConvOptions = {}): Tensor {
  return convolution(x, weight, bias, convolutionAttrs(1, options));
}

/**
 * Convolution (cross-correlation) in two directions, as `torch.nn.functional.conv2d`.
 *
 * @param x (batch, in channels, height, width) or (in channels, height, width); floating. bfloat16 and float16 are computed in float32.
 * @param weight (out channels, in channels / groups, kernel height, kernel width), of x's dtype.
 * @returns (batch, out channels, out height, out width) with floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1 in each
 * direction, with both sides' padding. Gradients flow to x, weight and bias.
 * @throws {ShapeError} When channels do not fit, or the kernel is larger than the padded input.
 * @throws {DTypeError} When dtypes differ or are not floating.
 * @throws {RangeError} When an option is not a size.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones } from "../../mod.ts";
 * const y = nn.functional.conv2d(ones([1, 1, 4, 4]), ones([2, 1, 3, 3]), { padding: 1 });
 * assert(y.shape.join() === "1,2,4,4");
 * assert(y.select(0, 0).select(0, 0).select(0, 1).toArray()!.toString() === "6,9,9,6");
 * ```
 */
export function conv2d(x: Tensor, weight: Tensor, { bias = null, ...options }: ConvOptions = {}): Tensor {
  return convolution(x, weight, bias, convolutionAttrs(2, options));
}

/** Asks for the positions of the maxima as well. */
export interface WithIndices {
  /** Whether to return the positions of the maxima. */
  returnIndices: true;
}

/**
 * Maximum of windows along the last dimension, as `torch.nn.functional.max_pool1d`.
 *
 * @param x (batch, channels, length) or (channels, length); floating.
 * @param kernelSize Size of a window, and by default the step between windows.
 * @returns The maxima, and with `returnIndices` their positions (int64). NaN wins; the border does not. The gradient goes to the maximum.
 * @throws {ShapeError} When the window is larger than the padded input.
 * @throws {RangeError} When an option is not a size, or padding is more than half a window.
 */
export function maxPool1d(x: Tensor, kernelSize: number, options: MaxPoolOptions & WithIndices): [Tensor, Tensor];
/** Maximum of windows over (batch, channels, length), without their positions. */
export function maxPool1d(x: Tensor, kernelSize: number, options?: MaxPoolOptions & { returnIndices?: false }): Tensor;
export function maxPool1d(
  x: Tensor,
  kernelSize: number,
  { returnIndices = false, ...options }: MaxPoolOptions & { returnIndices?: boolean } = {},
): Tensor | [Tensor, Tensor] {
  return returnIndices ? maxPoolWithIndices(x, 1, kernelSize, options) : maxPool(x, 1, kernelSize, options);
}

/**
 * Maximum of windows over height and width, as `torch.nn.functional.max_pool2d`.
 *
 * @param x (batch, channels, height, width) or (channels, height, width); floating.
 * @param kernelSize Size of a window, and by default the step between windows.
 * @returns The maxima, and with `returnIndices` their positions in the plane (int64). NaN wins; the border does not. The gradient goes to
 * the maximum.
 * @throws {ShapeError} When the window is larger than the padded input.
 * @throws {RangeError} When an option is not a size, or padding is more than half a window.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const x = tensor([[[1, 2, 0, 1], [4, 3, 5, 0]]]);
 * assert(nn.functional.maxPool2d(x, 2).toArray()!.toString() === "4,5");
 * const [, indices] = nn.functional.maxPool2d(x, 2, { returnIndices: true });
 * assert(indices.toArray()!.toString() === "4,6");
 * ```
 */
export function maxPool2d(x: Tensor, kernelSize: Pair, options: MaxPoolOptions & WithIndices): [Tensor, Tensor];
/** Maximum of windows over (batch, channels, height, width), without their positions. */
export function maxPool2d(x: Tensor, kernelSize: Pair, options?: MaxPoolOptions & { returnIndices?: false }): Tensor;
export function maxPool2d(
  x: Tensor,
  kernelSize: Pair,
  { returnIndices = false, ...options }: MaxPoolOptions & { returnIndices?: boolean } = {},
): Tensor | [Tensor, Tensor] {
  return returnIndices ? maxPoolWithIndices(x, 2, kernelSize, options) : maxPool(x, 2, kernelSize, options);
}

/**
 * Average of windows along the last dimension, as `torch.nn.functional.avg_pool1d`.
 *
 * @param x (batch, channels, length) or (channels, length); floating.
 * @param kernelSize Size of a window, and by default the step between windows.
 * @throws {ShapeError} When the window is larger than the padded input.
 * @throws {RangeError} When an option is not a size, or padding is more than half a window.
 */
export function avgPool1d(
  x: Tensor,
  kernelSize: number,
  options: Omit<AvgPoolOptions, "divisorOverride"> = {},
): Tensor {
  return avgPool(x, 1, kernelSize, options);
}

/**
 * Average of windows over height and width, as `torch.nn.functional.avg_pool2d`.
 *
 * @param x (batch, channels, height, width) or (channels, height, width); floating.
 * @param kernelSize Size of a window, and by default the step between windows.
 * @throws {ShapeError} When the window is larger than the padded input.
 * @throws {RangeError} When an option is not a size, or padding is more than half a window.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const x = tensor([[[1, 2, 0, 1], [4, 3, 5, 0]]]);
 * assert(nn.functional.avgPool2d(x, 2).toArray()!.toString() === "2.5,1.5");
 * ```
 */
export function avgPool2d(x: Tensor, kernelSize: Pair, options: AvgPoolOptions = {}): Tensor {
  return avgPool(x, 2, kernelSize, options);
}

/**
 * Average over equal shares of the height and the width, as `torch.nn.functional.adaptive_avg_pool2d`.
 *
 * @param x (batch, channels, height, width) or (channels, height, width); floating.
 * @param outputSize Sizes of the output; null keeps that of the input.
 * @returns (batch, channels, out height, out width); share i of n covers floor(i size / n) to ceil((i + 1) size / n).
 * @throws {RangeError} When a size is not a positive integer.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const x = tensor([[[1, 2, 0, 1], [4, 3, 5, 0]]]);
 * assert(nn.functional.adaptiveAvgPool2d(x, 1).item() === 2);
 * ```
 */
export function adaptiveAvgPool2d(
  x: Tensor,
  outputSize: number | null | readonly [number | null, number | null],
): Tensor {
  const isOne = outputSize === null || typeof outputSize === "number";
  return adaptiveAvgPool(x, 2, isOne ? [outputSize, outputSize] : outputSize);
}

/**
 * Normalises each channel, as `torch.nn.functional.batch_norm`: (x - mean) / sqrt(variance + eps) * weight + bias.
 *
 * @param x (batch, channels, ...); floating. bfloat16 and float16 are computed in float32.
 * @param options In training, mean and biased variance are those of the batch, and the running statistics move towards them (towards the
 * unbiased variance) by `momentum`; otherwise the running ones are used. All have x's dtype.
 * @returns A tensor like x. Gradients flow to x, weight and bias.
 * @throws {ShapeError} When a vector does not have one value per channel, or training has only one value per channel.
 * @throws {DTypeError} When dtypes differ or are not floating.
 * @throws {RangeError} When evaluation has no running statistics.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const y = nn.functional.batchNorm(tensor([[1, 10], [3, 30]]), { training: true, eps: 0 });
 * assert(y.toArray()!.toString() === "-1,-1,1,1");
 * ```
 */
export function batchNorm(x: Tensor, options: BatchNormOptions): Tensor {
  return batchNormOp(x, options);
}
