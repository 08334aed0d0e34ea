/**
 * Layer normalisation and root-mean-square normalisation as modules.
 *
 * @module
 */
import { ones, zeros } from "../creation.ts";
import { checkShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { layerNorm, rmsNorm } from "./functional.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

function shapeOf(normalizedShape: number | readonly number[], name: string): readonly number[] {
  const shape = typeof normalizedShape === "number" ? [normalizedShape] : [...normalizedShape];
  checkShape(shape, `make a ${name}`);
  return shape;
}

/** Options of {@link LayerNorm}. */
export interface LayerNormModuleOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Whether there is a weight, and a bias. Default true. */
  elementwiseAffine?: boolean;
  /** Whether there is a bias beside the weight. Default true. */
  bias?: boolean;
}

/**
 * Normalises over the last dimensions and scales, `torch.nn.LayerNorm` (Ba, Kiros and Hinton, 2016). `weight` starts as 1, `bias` as
 * 0; without `elementwiseAffine` both are null. Shapes: (..., normalizedShape) to the same.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, randn } from "../../mod.ts";
 * const norm = new nn.LayerNorm(8);
 * assert(Math.abs(norm.forward(randn([4, 8])).mean().item()) < 1e-6);
 * assert(Object.keys(norm.stateDict()).join() === "weight,bias");
 * ```
 */
export class LayerNorm extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** The sizes of the last dimensions, over which it normalises. */
  readonly normalizedShape: readonly number[];
  /** Added to the variance. */
  readonly eps: number;
  /** (normalizedShape), or null. */
  readonly weight: Parameter | null;
  /** (normalizedShape), or null. */
  readonly bias: Parameter | null;

  /**
   * Takes the last sizes of an input; a number stands for one.
   *
   * @throws {ShapeError} When `normalizedShape` is not a shape.
   */
  constructor(
    normalizedShape: number | readonly number[],
    { eps = 1e-5, elementwiseAffine = true, bias = true }: LayerNormModuleOptions = {},
  ) {
    super();
    this.normalizedShape = shapeOf(normalizedShape, "LayerNorm");
    this.eps = eps;
    this.weight = elementwiseAffine ? new Parameter(ones(this.normalizedShape)) : null;
    this.bias = elementwiseAffine && bias ? new Parameter(zeros(this.normalizedShape)) : null;
  }

  /** (..., normalizedShape) to the same, in the dtype of the weight; statistics are float32 or wider. */
  override forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, { weight: this.weight, bias: this.bias, eps: this.eps });
  }
}

/** Options of {@link RMSNorm}. */
export interface RMSNormModuleOptions {
  /** Added to the mean of the squares. Default: see `functional.rmsNorm`. */
  eps?: number | null;
  /** Whether there is a weight. Default true. */
  elementwiseAffine?: boolean;
}

/**
 * Divides by the root mean square over the last dimensions and scales, `torch.nn.RMSNorm` (Zhang and Sennrich, 2019). `weight` starts
 * as 1; without `elementwiseAffine` it is null. Shapes: (..., normalizedShape) to the same.
 */
export class RMSNorm extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  /** The sizes of the last dimensions, over which it normalises. */
  readonly normalizedShape: readonly number[];
  /** Added to the mean of the squares; null is the resolution of the dtype that it computes in. */
  readonly eps: number | null;
  /** (normalizedShape), or null. */
  readonly weight: Parameter | null;

  /**
   * Takes the last sizes of an input; a number stands for one.
   *
   * @throws {ShapeError} When `normalizedShape` is not a shape.
   */
  constructor(
    normalizedShape: number | readonly number[],
    { eps = null, elementwiseAffine = true }: RMSNormModuleOptions = {},
  ) {
    super();
    this.normalizedShape = shapeOf(normalizedShape, "RMSNorm");
    this.eps = eps;
    this.weight = elementwiseAffine ? new Parameter(ones(this.normalizedShape)) : null;
  }

  /** (..., normalizedShape) to the same, in the dtype of the weight; statistics are float32 or wider. */
  override forward(x: Tensor): Tensor {
    return rmsNorm(x, this.normalizedShape, { weight: this.weight, eps: this.eps });
  }
}
