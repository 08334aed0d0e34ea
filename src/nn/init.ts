/**
 * Initialisation of parameters, as `torch.nn.init`: the same formulas, on this library's random numbers.
 *
 * Every function changes its tensor in place, without recording, and returns it.
 *
 * Sources: Glorot and Bengio (AISTATS 2010) for Xavier, He, Zhang, Ren and Sun (ICCV 2015) for Kaiming, Saxe, McClelland and
 * Ganguli (ICLR 2014) for orthogonal.
 *
 * @module
 */
import { isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { empty, noGrad } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import { tensor } from "../creation.ts";
import { normalInto, uniformInto } from "../ops/random.ts";
import { applyUnary } from "../ops/unary.ts";
import type { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";
import { inverseErf, orthonormalRows } from "./init_math.ts";

/** Names of functions that {@link calculateGain} knows. */
export type Nonlinearity =
  | "linear"
  | "conv1d"
  | "conv2d"
  | "conv3d"
  | "sigmoid"
  | "tanh"
  | "relu"
  | "leakyRelu"
  | "selu";

/** Which side of a weight keeps its variance: the inputs of the forward pass, or those of the backward pass. */
export type FanMode = "fanIn" | "fanOut";

function checkFloating(x: Tensor, action: string): void {
  x.checkLive(action);
  if (!isFloating(x.dtype)) {
    throw new DTypeError(`Cannot initialise ${x.dtype} with ${action}: the tensor must be floating`);
  }
}

/** Fills the tensor with what `make` writes into a contiguous one of its shape. */
function fill(x: Tensor, name: string, make: (out: Tensor) => void): Tensor {
  checkFloating(x, name);
  noGrad(() =>
    tidy(() => {
      const out = empty(x.storage.device, x.shape, x.dtype, name);
      make(out);
      x.copy_(out);
    })
  );
  return x;
}

/** Uniform numbers in [a, b). */
export function uniform_(x: Tensor, { a = 0, b = 1 }: { a?: number; b?: number } = {}): Tensor {
  if (!(a <= b)) throw new RangeError(`Cannot draw uniform numbers from ${a} to ${b}: a must not be above b`);
  return fill(x, "uniform_", (out) => uniformInto(out, a, b));
}

/** Normal numbers. */
export function normal_(x: Tensor, { mean = 0, std = 1 }: { mean?: number; std?: number } = {}): Tensor {
  if (!(std >= 0)) throw new RangeError(`Cannot draw normal numbers with std ${std}: it must be at least 0`);
  return fill(x, "normal_", (out) => normalInto(out, mean, std));
}

/** One value. */
export function constant_(x: Tensor, value: number): Tensor {
  noGrad(() => x.fill_(value));
  return x;
}

/** Ones. */
export function ones_(x: Tensor): Tensor {
  return constant_(x, 1);
}

/** Zeros. */
export function zeros_(x: Tensor): Tensor {
  return constant_(x, 0);
}

/** The identity matrix, also for matrices that are not square. */
export function eye_(x: Tensor): Tensor {
  if (x.shape.length !== 2) {
    throw new ShapeError(`Cannot make ${formatShape(x.shape)} an identity: it must have 2 dimensions`);
  }
  noGrad(() => tidy(() => x.zero_().detach().diagonal().fill_(1)));
  return x;
}

/** Inputs and outputs of one unit of a weight (out, in, ...): further dimensions are the receptive field. */
function fans(x: Tensor, action: string): { fanIn: number; fanOut: number } {
  if (x.shape.length < 2) {
    throw new ShapeError(
      `Cannot use ${action} on ${formatShape(x.shape)}: fan in and fan out need at least 2 dimensions`,
    );
  }
  const field = x.shape.slice(2).reduce((product, size) => product * size, 1);
  return { fanIn: x.shape[1] * field, fanOut: x.shape[0] * field };
}

/**
 * The gain that keeps the variance through a function.
 *
 * @param param The negative slope of `leakyRelu`; default 0.01.
 */
export function calculateGain(nonlinearity: Nonlinearity, param = 0.01): number {
  switch (nonlinearity) {
    case "linear":
    case "conv1d":
    case "conv2d":
    case "conv3d":
    case "sigmoid":
      return 1;
    case "tanh":
      return 5 / 3;
    case "relu":
      return Math.SQRT2;
    case "leakyRelu":
      if (!Number.isFinite(param)) throw new RangeError(`Cannot use the negative slope ${param}: it must be finite`);
      return Math.sqrt(2 / (1 + param ** 2));
    case "selu":
      return 3 / 4;
    default:
      throw new RangeError(`Cannot calculate the gain of "${nonlinearity}": it is not one of the functions known here`);
  }
}

/** Xavier's uniform numbers: bound gain sqrt(6 / (fan in + fan out)). */
export function xavierUniform_(x: Tensor, { gain = 1 }: { gain?: number } = {}): Tensor {
  const { fanIn, fanOut } = fans(x, "xavierUniform_");
  const bound = Math.sqrt(3) * gain * Math.sqrt(2 / (fanIn + fanOut));
  return uniform_(x, { a: -bound, b: bound });
}

/** Xavier's normal numbers: deviation gain sqrt(2 / (fan in + fan out)). */
export function xavierNormal_(x: Tensor, { gain = 1 }: { gain?: number } = {}): Tensor {
  const { fanIn, fanOut } = fans(x, "xavierNormal_");
  return normal_(x, { std: gain * Math.sqrt(2 / (fanIn + fanOut)) });
}

/** Options of the Kaiming functions. */
export interface KaimingOptions {
  /** Negative slope of the function behind the layer, for `leakyRelu`. Default 0. */
  a?: number;
  /** Default `"fanIn"`: the forward pass keeps its variance. */
  mode?: FanMode;
  /** The function behind the layer. Default `"leakyRelu"`. */
  nonlinearity?: Nonlinearity;
}

function kaimingStd(x: Tensor, name: string, options: KaimingOptions): number {
  const { a = 0, mode = "fanIn", nonlinearity = "leakyRelu" } = options;
  if (mode !== "fanIn" && mode !== "fanOut") {
    throw new RangeError(`Cannot use mode "${mode}": it must be "fanIn" or "fanOut"`);
  }
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(x, name)[mode]);
}

/**
 * Kaiming's uniform numbers: bound gain sqrt(3 / fan).
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, zeros } from "../../mod.ts";
 * const weight = nn.init.kaimingUniform_(zeros([64, 50]), { nonlinearity: "relu" });
 * assert(weight.abs().max().item() <= Math.sqrt(6 / 50));
 * ```
 */
export function kaimingUniform_(x: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd(x, "kaimingUniform_", options);
  return x.size === 0 ? x : uniform_(x, { a: -bound, b: bound });
}

/** Kaiming's normal numbers: deviation gain / sqrt(fan). */
export function kaimingNormal_(x: Tensor, options: KaimingOptions = {}): Tensor {
  const std = kaimingStd(x, "kaimingNormal_", options);
  return x.size === 0 ? x : normal_(x, { std });
}

/** Options of {@link truncNormal_}. */
export interface TruncNormalOptions {
  /** Default 0. */
  mean?: number;
  /** Default 1. */
  std?: number;
  /** Lower bound. Default -2. */
  a?: number;
  /** Upper bound. Default 2. */
  b?: number;
}

/** Normal numbers inside [a, b]: uniform ones through the inverse of the distribution function. */
export function truncNormal_(x: Tensor, { mean = 0, std = 1, a = -2, b = 2 }: TruncNormalOptions = {}): Tensor {
  if (!(std > 0) || !(a <= b)) {
    throw new RangeError(`Cannot draw truncated normal numbers with std ${std} in [${a}, ${b}]`);
  }
  // The values of the distribution function at the bounds, scaled to the range of the error function.
  const bound = (z: number): number =>
    applyUnary("erf", tensor((z - mean) / (std * Math.SQRT2), { dtype: "float64" })).item();
  return fill(x, "truncNormal_", (out) => {
    const drawn = uniformInto(empty(out.storage.device, out.shape, "float64", "truncNormal_"), bound(a), bound(b));
    out.copy_(inverseErf(drawn).mul(std * Math.SQRT2).add(mean).clamp({ min: a, max: b }));
  });
}

/**
 * A matrix with orthonormal rows or columns, whichever are fewer, times a gain: the Q of normal numbers. Dimensions after the first
 * count as one.
 */
export function orthogonal_(x: Tensor, { gain = 1 }: { gain?: number } = {}): Tensor {
  if (x.shape.length < 2) {
    throw new ShapeError(`Cannot make ${formatShape(x.shape)} orthogonal: it must have at least 2 dimensions`);
  }
  if (x.size === 0) return x;
  return fill(x, "orthogonal_", (out) => {
    const rows = x.shape[0];
    const columns = x.size / rows;
    const shape = rows < columns ? [rows, columns] : [columns, rows];
    const basis = orthonormalRows(normalInto(empty(out.storage.device, shape, "float64", "orthogonal_"), 0, 1));
    out.copy_((rows < columns ? basis : basis.t()).mul(gain).reshape(x.shape));
  });
}
