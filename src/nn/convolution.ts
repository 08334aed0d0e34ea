/**
 * Convolutions as modules.
 *
 * @module
 */
import { empty } from "../creation.ts";
import { uniformInto } from "../ops/random.ts";
import { convolution, type ConvolutionAttrs, convolutionAttrs, type ConvolutionOptions } from "../ops/convolution.ts";
import { type Directions, type Pair, sizesOf } from "../ops/planes.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

/** Options of {@link Conv1d} and {@link Conv2d}; `Size` is a number, and in two directions also a pair. */
export interface ConvModuleOptions<Size extends Pair> extends ConvolutionOptions {
  /** Size of the kernel. */
  kernelSize: Size;
  /** Step between outputs. Default 1. */
  stride?: Size;
  /** Zeros around the input, `"same"` or `"valid"`. Default 0. */
  padding?: Size | "same" | "valid";
  /** Distance between the taps of the kernel. Default 1. */
  dilation?: Size;
  /** Whether to add a trained offset to each output channel. Default true. */
  bias?: boolean;
  /** What surrounds the input. Only `"zeros"`, the default. */
  paddingMode?: "zeros";
}

/** What both have in common; weight and bias start uniform in +-1 / sqrt(in channels / groups * kernel size), as in PyTorch. */
abstract class Convolution extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly #plain: ConvolutionAttrs;
  readonly #relu: ConvolutionAttrs;

  constructor(directions: Directions, inChannels: number, outChannels: number, options: ConvModuleOptions<Pair>) {
    super();
    const { kernelSize, bias = true, paddingMode = "zeros", ...rest } = options;
    const action = "make a convolution";
    const kernel = sizesOf(kernelSize, directions, "kernelSize", 1, action);
    sizesOf(inChannels, 1, "inChannels", 1, action);
    sizesOf(outChannels, 1, "outChannels", 1, action);
    if (paddingMode !== "zeros") {
      throw new RangeError(`Cannot ${action}: paddingMode must be "zeros", got "${paddingMode}"`);
    }
    this.#plain = convolutionAttrs(directions, rest);
    this.#relu = { ...this.#plain, relu: true };
    const { groups } = this.#plain;
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new RangeError(
        `Cannot ${action}: groups must divide the channels, got ${groups} for ${inChannels} and ${outChannels}`,
      );
    }
    const fanIn = (inChannels / groups) * kernel.reduce((a, b) => a * b);
    const bound = 1 / Math.sqrt(fanIn);
    this.weight = new Parameter(uniformInto(empty([outChannels, inChannels / groups, ...kernel]), -bound, bound));
    this.bias = bias ? new Parameter(uniformInto(empty([outChannels]), -bound, bound)) : null;
  }

  override forward(x: Tensor): Tensor {
    return convolution(x, this.weight, this.bias, this.#plain);
  }

  /** @internal What a `ReLU` behind it would give, computed as one operation. */
  forwardRelu(x: Tensor): Tensor {
    return convolution(x, this.weight, this.bias, this.#relu);
  }
}

/**
 * Convolution along the last dimension of (batch, channels, length), as `torch.nn.Conv1d`. See `nn.functional.conv1d`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones } from "../../mod.ts";
 * const layer = new nn.Conv1d(4, 6, { kernelSize: 3, stride: 2 });
 * assert(layer.forward(ones([2, 4, 9])).shape.join() === "2,6,4");
 * assert(Object.keys(layer.stateDict()).join() === "weight,bias");
 * ```
 */
export class Conv1d extends Convolution {
  /** @internal */
  static override readonly isSingleOp = true;

  /**
   * Takes the numbers of channels, the size of the kernel and how it moves; `weight` and `bias` start uniform as in PyTorch.
   *
   * @throws {RangeError} When a size is not a positive integer, or the groups do not divide both numbers of channels.
   */
  constructor(inChannels: number, outChannels: number, options: ConvModuleOptions<number>) {
    super(1, inChannels, outChannels, options);
  }
}

/**
 * Convolution over height and width of (batch, channels, height, width), as `torch.nn.Conv2d`. See `nn.functional.conv2d`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones } from "../../mod.ts";
 * const layer = new nn.Conv2d(3, 8, { kernelSize: [3, 5], padding: "same" });
 * assert(layer.forward(ones([2, 3, 10, 12])).shape.join() === "2,8,10,12");
 * assert(layer.weight.shape.join() === "8,3,3,5");
 * ```
 */
export class Conv2d extends Convolution {
  /** @internal */
  static override readonly isSingleOp = true;

  /**
   * Takes the numbers of channels, the size of the kernel and how it moves; `weight` and `bias` start uniform as in PyTorch.
   *
   * @throws {RangeError} When a size is not a positive integer, or the groups do not divide both numbers of channels.
   */
  constructor(inChannels: number, outChannels: number, options: ConvModuleOptions<Pair>) {
    super(2, inChannels, outChannels, options);
  }
}
