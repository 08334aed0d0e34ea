/**
 * Pooling as modules.
 *
 * @module
 */
import { adaptiveAvgPool2d, avgPool1d, avgPool2d, maxPool1d, maxPool2d } from "./functional_planes.ts";
import type { AvgPoolOptions, MaxPoolOptions, Pair } from "./functional_planes.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

/** Options of {@link MaxPool1d} and {@link MaxPool2d}. */
export interface MaxPoolModuleOptions extends MaxPoolOptions {
  /** Whether `forward` also returns the positions of the maxima. Default false. */
  returnIndices?: boolean;
}

/** Maximum of windows along the last dimension, as `torch.nn.MaxPool1d`. See `nn.functional.maxPool1d`. */
export class MaxPool1d extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  readonly #kernelSize: number;
  readonly #options: MaxPoolModuleOptions;

  /** Windows of `kernelSize`; the step between them is the same unless `stride` says otherwise. */
  constructor(kernelSize: number, options: MaxPoolModuleOptions = {}) {
    super();
    this.#kernelSize = kernelSize;
    this.#options = options;
  }

  /**
   * (batch, channels, length) to the same with one element for each window; without a batch, too. With `returnIndices` the positions of the
   * maxima come second.
   *
   * @throws {ShapeError} When a window is larger than the padded input.
   */
  override forward(x: Tensor): Tensor;
  override forward(x: Tensor): Tensor | [Tensor, Tensor] {
    return maxPool1d(x, this.#kernelSize, this.#options as MaxPoolOptions);
  }
}

/** Maximum of windows over height and width, as `torch.nn.MaxPool2d`. See `nn.functional.maxPool2d`. */
export class MaxPool2d extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  readonly #kernelSize: Pair;
  readonly #options: MaxPoolModuleOptions;

  /** Windows of `kernelSize`; the step between them is the same unless `stride` says otherwise. */
  constructor(kernelSize: Pair, options: MaxPoolModuleOptions = {}) {
    super();
    this.#kernelSize = kernelSize;
    this.#options = options;
  }

  /**
   * (batch, channels, height, width) to the same with one element for each window; without a batch, too. With `returnIndices` the positions
   * of the maxima come second.
   *
   * @throws {ShapeError} When a window is larger than the padded input.
   */
  override forward(x: Tensor): Tensor;
  override forward(x: Tensor): Tensor | [Tensor, Tensor] {
    return maxPool2d(x, this.#kernelSize, this.#options as MaxPoolOptions);
  }
}

/** Average of windows along the last dimension, as `torch.nn.AvgPool1d`. See `nn.functional.avgPool1d`. */
export class AvgPool1d extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  readonly #kernelSize: number;
  readonly #options: Omit<AvgPoolOptions, "divisorOverride">;

  /** Windows of `kernelSize`; the step between them is the same unless `stride` says otherwise. */
  constructor(kernelSize: number, options: Omit<AvgPoolOptions, "divisorOverride"> = {}) {
    super();
    this.#kernelSize = kernelSize;
    this.#options = options;
  }

  /**
   * (batch, channels, length) to the same with one element for each window; without a batch, too.
   *
   * @throws {ShapeError} When a window is larger than the padded input.
   */
  override forward(x: Tensor): Tensor {
    return avgPool1d(x, this.#kernelSize, this.#options);
  }
}

/** Average of windows over height and width, as `torch.nn.AvgPool2d`. See `nn.functional.avgPool2d`. */
export class AvgPool2d extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  readonly #kernelSize: Pair;
  readonly #options: AvgPoolOptions;

  /** Windows of `kernelSize`; the step between them is the same unless `stride` says otherwise. */
  constructor(kernelSize: Pair, options: AvgPoolOptions = {}) {
    super();
    this.#kernelSize = kernelSize;
    this.#options = options;
  }

  /**
   * (batch, channels, height, width) to the same with one element for each window; without a batch, too.
   *
   * @throws {ShapeError} When a window is larger than the padded input.
   */
  override forward(x: Tensor): Tensor {
    return avgPool2d(x, this.#kernelSize, this.#options);
  }
}

/** Average over equal shares of height and width, as `torch.nn.AdaptiveAvgPool2d`. See `nn.functional.adaptiveAvgPool2d`. */
export class AdaptiveAvgPool2d extends Module {
  /** @internal */
  static override readonly isSingleOp = true;
  readonly #outputSize: number | null | readonly [number | null, number | null];

  /** The height and width of the result, or one number for both; null keeps that of the input. */
  constructor(outputSize: number | null | readonly [number | null, number | null]) {
    super();
    this.#outputSize = outputSize;
  }

  /** (batch, channels, height, width) to (batch, channels, outputSize); without a batch, too. */
  override forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.#outputSize);
  }
}
