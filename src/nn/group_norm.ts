/**
 * Group normalisation, as function and as module.
 *
 * @module
 */
import { isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { ones, zeros } from "../creation.ts";
import * as norms from "../ops/norm.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

/** Options of {@link groupNorm}. */
export interface GroupNormOptions {
  /** (channels): factor of each channel behind the normalisation, of the input's dtype. Default: 1. */
  weight?: Tensor | null;
  /** (channels): what is added then, likewise. Default: 0. */
  bias?: Tensor | null;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
}

function checkInputs(x: Tensor, numGroups: number, weight: Tensor | null, bias: Tensor | null): void {
  const action = `Cannot compute groupNorm of ${formatShape(x.shape)}`;
  if (x.shape.length < 2) throw new ShapeError(`${action}: it takes (batch, channels, ...)`);
  const channels = x.shape[1];
  if (!Number.isInteger(numGroups) || numGroups < 1 || channels % numGroups !== 0) {
    throw new RangeError(`${action}: numGroups must divide the ${channels} channels, got ${numGroups}`);
  }
  if (!isFloating(x.dtype)) {
    throw new DTypeError(`${action}: ${x.dtype} is not floating. Convert it with .to({ dtype })`);
  }
  for (const [name, parameter] of [["weight", weight], ["bias", bias]] as const) {
    if (parameter === null) continue;
    if (parameter.dtype !== x.dtype) {
      throw new DTypeError(`${action}: all must have one dtype, got ${x.dtype} and a ${name} of ${parameter.dtype}`);
    }
    if (parameter.shape.length !== 1 || parameter.shape[0] !== channels) {
      throw new ShapeError(`${action}: the ${name} must be (${channels}), got ${formatShape(parameter.shape)}`);
    }
  }
}

/**
 * Normalises each group of neighbouring channels of a sample, then scales and shifts the channels: `torch.nn.functional.group_norm` (Wu and
 * He, ECCV 2018). The variance divides by the number of elements. 16-bit dtypes are computed in float32 and rounded once. Gradients flow
 * to the input, the weight and the bias.
 *
 * @param x (batch, channels, ...), floating.
 * @param numGroups How many groups the channels are divided into.
 * @throws {ShapeError} When the input has no channels, or a parameter is not (channels).
 * @throws {DTypeError} When dtypes differ, or are not floating.
 * @throws {RangeError} When the groups do not divide the channels.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const y = nn.functional.groupNorm(tensor([[[1, 3], [10, 30]]]), 2);
 * assert(y.allClose(tensor([[[-1, 1], [-1, 1]]]), { atol: 1e-4 }));
 * ```
 */
export function groupNorm(
  x: Tensor,
  numGroups: number,
  { weight = null, bias = null, eps = 1e-5 }: GroupNormOptions = {},
): Tensor {
  checkInputs(x, numGroups, weight, bias);
  const { shape, dtype } = x;
  const isWide = dtype === "float32" || dtype === "float64";
  const wide = (t: Tensor): Tensor => isWide ? t : t.to({ dtype: "float32" });
  const perChannel = (t: Tensor): Tensor => wide(t).reshape([shape[1], ...shape.slice(2).map(() => 1)]);
  const perGroup = [shape[0], numGroups, shape[1] / numGroups, ...shape.slice(2)];
  let out = norms.layerNorm(wide(x).reshape(perGroup), perGroup.slice(2), null, null, eps).reshape([...shape]);
  if (weight !== null) out = out.mul(perChannel(weight));
  if (bias !== null) out = out.add(perChannel(bias));
  return isWide ? out : out.to({ dtype });
}

/** Options of {@link GroupNorm}. */
export interface GroupNormModuleOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Whether there is a weight, and a bias. Default true. */
  affine?: boolean;
}

/**
 * Normalises groups of channels of each sample, `torch.nn.GroupNorm`. `weight` starts as 1, `bias` as 0; without `affine` both are null.
 * Shapes: (batch, channels, ...) to the same. See `nn.functional.groupNorm`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, randn } from "../../mod.ts";
 * const norm = new nn.GroupNorm(3, 6);
 * assert(norm.forward(randn([2, 6, 4, 4])).shape.join() === "2,6,4,4");
 * assert(Object.keys(norm.stateDict()).join() === "weight,bias");
 * ```
 */
export class GroupNorm extends Module {
  /** How many groups the channels are divided into. */
  readonly numGroups: number;
  /** How many channels an input has. */
  readonly numChannels: number;
  /** Added to the variance. */
  readonly eps: number;
  /** (numChannels), or null. */
  readonly weight: Parameter | null;
  /** (numChannels), or null. */
  readonly bias: Parameter | null;

  /**
   * Takes the number of groups, then that of the channels, as PyTorch.
   *
   * @throws {RangeError} When a number is not a positive integer, or the groups do not divide the channels.
   */
  constructor(numGroups: number, numChannels: number, { eps = 1e-5, affine = true }: GroupNormModuleOptions = {}) {
    super();
    const isCount = (n: number): boolean => Number.isInteger(n) && n > 0;
    if (!isCount(numGroups) || !isCount(numChannels) || numChannels % numGroups !== 0) {
      throw new RangeError(
        `Cannot make a GroupNorm: numGroups must divide numChannels, got ${numGroups} and ${numChannels}`,
      );
    }
    this.numGroups = numGroups;
    this.numChannels = numChannels;
    this.eps = eps;
    this.weight = affine ? new Parameter(ones([numChannels])) : null;
    this.bias = affine ? new Parameter(zeros([numChannels])) : null;
  }

  /**
   * (batch, numChannels, ...) to the same, in the dtype of the weight.
   *
   * @throws {ShapeError} When the input has another number of channels.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape[1] !== this.numChannels) {
      throw new ShapeError(
        `Cannot normalise ${formatShape(x.shape)}: this GroupNorm takes (batch, ${this.numChannels}, ...)`,
      );
    }
    return groupNorm(x, this.numGroups, { weight: this.weight, bias: this.bias, eps: this.eps });
  }
}
