/**
 * Batch normalisation as modules.
 *
 * @module
 */
import { UNARY } from "../../ffi/op_ids.ts";
import { ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { ones, zeros } from "../creation.ts";
import { batchNorm } from "../ops/batch_norm.ts";
import { unaryInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

/** Options of {@link BatchNorm1d} and {@link BatchNorm2d}. */
export interface BatchNormModuleOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** How far the running statistics move towards those of a batch; null: they are the average over all batches. Default 0.1. */
  momentum?: number | null;
  /** Whether there are trained factors and offsets. Default true. */
  affine?: boolean;
  /** Whether running statistics are kept; without them, evaluation uses those of the batch too. Default true. */
  trackRunningStats?: boolean;
}

/** What both have in common. The names of the buffers are PyTorch's keys. */
abstract class BatchNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  declare readonly running_mean: Tensor | null;
  declare readonly running_var: Tensor | null;
  declare readonly num_batches_tracked: Tensor | null;
  readonly #eps: number;
  readonly #momentum: number | null;

  constructor(
    numFeatures: number,
    { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true }: BatchNormModuleOptions,
  ) {
    super();
    if (!Number.isInteger(numFeatures) || numFeatures < 1) {
      throw new RangeError(`Cannot normalise ${numFeatures} features: their number must be a positive integer`);
    }
    this.weight = affine ? new Parameter(ones([numFeatures])) : null;
    this.bias = affine ? new Parameter(zeros([numFeatures])) : null;
    this.#eps = eps;
    this.#momentum = momentum;
    if (trackRunningStats) {
      this.registerBuffer("running_mean", zeros([numFeatures]));
      this.registerBuffer("running_var", ones([numFeatures]));
      this.registerBuffer("num_batches_tracked", zeros([], { dtype: "int64" }));
    } else {
      Object.assign(this, { running_mean: null, running_var: null, num_batches_tracked: null });
    }
  }

  /** Throws unless the input has one of the shapes that the class is for. */
  protected abstract checkInput(x: Tensor): void;

  #run(x: Tensor, relu: boolean): Tensor {
    this.checkInput(x);
    const { weight, bias, running_mean, running_var, num_batches_tracked } = this;
    const training = this.training || running_mean === null;
    const options = { runningMean: running_mean, runningVar: running_var, weight, bias, training, eps: this.#eps };
    if (!training || num_batches_tracked === null) return batchNorm(x, options, relu);
    unaryInto(num_batches_tracked, UNARY.add_scalar, num_batches_tracked, 1);
    return batchNorm(x, { ...options, momentum: this.#momentum ?? 1 / num_batches_tracked.item() }, relu);
  }

  override forward(x: Tensor): Tensor {
    return this.#run(x, false);
  }

  /** @internal What a `ReLU` behind it would give, computed as one operation. */
  forwardRelu(x: Tensor): Tensor {
    return this.#run(x, true);
  }
}

/**
 * Normalises the features of (batch, features) or (batch, features, length) over all else, as `torch.nn.BatchNorm1d`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../mod.ts";
 * const layer = new nn.BatchNorm1d(2);
 * layer.forward(tensor([[1, 10], [3, 30]]));
 * assert(Math.abs(layer.running_mean!.data()[0] as number - 0.2) < 1e-6);
 * assert(Object.keys(layer.stateDict()).join() === "weight,bias,running_mean,running_var,num_batches_tracked");
 * ```
 */
export class BatchNorm1d extends BatchNorm {
  /** @internal */
  static override readonly isSingleOp = true;

  /**
   * Takes the number of features, which are dimension 1 of an input.
   *
   * @throws {RangeError} When `numFeatures` is not a positive integer.
   */
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(numFeatures, options);
  }

  /**
   * Refuses images.
   *
   * @throws {ShapeError} When the input has neither two nor three dimensions.
   */
  protected override checkInput(x: Tensor): void {
    if (x.shape.length === 2 || x.shape.length === 3) return;
    throw new ShapeError(
      `Cannot normalise ${
        formatShape(x.shape)
      }: BatchNorm1d takes (batch, features) or (batch, features, length); for images use BatchNorm2d`,
    );
  }
}

/**
 * Normalises the channels of (batch, channels, height, width) over all else, as `torch.nn.BatchNorm2d`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, ones } from "../../mod.ts";
 * const layer = new nn.BatchNorm2d(3).eval();
 * assert(layer.forward(ones([2, 3, 4, 4])).shape.join() === "2,3,4,4");
 * ```
 */
export class BatchNorm2d extends BatchNorm {
  /** @internal */
  static override readonly isSingleOp = true;

  /**
   * Takes the number of features, which are dimension 1 of an input.
   *
   * @throws {RangeError} When `numFeatures` is not a positive integer.
   */
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(numFeatures, options);
  }

  /**
   * Refuses what is no batch of images.
   *
   * @throws {ShapeError} When the input does not have four dimensions.
   */
  protected override checkInput(x: Tensor): void {
    if (x.shape.length === 4) return;
    throw new ShapeError(
      `Cannot normalise ${formatShape(x.shape)}: BatchNorm2d takes (batch, channels, height, width)`,
    );
  }
}
