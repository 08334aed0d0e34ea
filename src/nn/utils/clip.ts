/**
 * Clipping of gradients, as `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_`.
 *
 * @module
 */
import { BINARY, UNARY } from "../../../ffi/op_ids.ts";
import { cpuDevice, type Device } from "../../core/device.ts";
import { AutogradError } from "../../core/errors.ts";
import { empty, noGrad } from "../../core/op.ts";
import { binaryInto, fillInto } from "../../ops/launch.ts";
import { Tensor } from "../../tensor.ts";
import { tidy } from "../../tidy.ts";
import {
  changeInPlace,
  countChange,
  type GradientRange,
  memoryOf,
  normOf,
  powerSum,
  rangesOf,
} from "./gradient_ranges.ts";

/** Options of {@link clipGradNorm}. */
export interface ClipGradNormOptions {
  /** The p of the norm; `Infinity` is the largest magnitude. Default 2. */
  normType?: number;
  /** Throw when the norm is NaN or infinite, instead of scaling by it. Default false. */
  errorIfNonfinite?: boolean;
}

/** On a GPU norm and factor stay there: a step does not wait for them. */
function clipOnDevice(device: Device, ranges: readonly GradientRange[], maxNorm: number, p: number): Tensor {
  const sum = powerSum(device, ranges, p);
  const norm = p === 2 ? sum.sqrt() : Number.isFinite(p) ? sum.pow(1 / p) : sum;
  const factor = norm.add(1e-6).pow(-1).mul(maxNorm).clamp({ max: 1 });
  for (const range of ranges) {
    const memory = memoryOf(range);
    binaryInto(memory, BINARY.mul, memory, factor.to({ dtype: memory.dtype }));
  }
  return norm.to({ dtype: ranges[0].first.dtype });
}

/**
 * Scales all gradients so that their norm, taken as that of one vector, is at most `maxNorm`. Flat gradients are read in one pass.
 *
 * @param parameters A tensor or several; those without a gradient do not count.
 * @param maxNorm The bound.
 * @param options See {@link ClipGradNormOptions}.
 * @returns The norm before, a scalar of the dtype of the first gradient.
 * @throws {AutogradError} When `errorIfNonfinite` and the norm is NaN or infinite; then nothing was changed.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, tensor } from "../../../mod.ts";
 * const x = tensor([3, 4], { requiresGrad: true });
 * x.square().sum().backward();
 * assert(Math.abs(nn.utils.clipGradNorm([x], 1).item() - 10) < 1e-6);
 * assert(Math.abs(x.grad!.square().sum().item() - 1) < 1e-5);
 * ```
 */
export function clipGradNorm(
  parameters: Iterable<Tensor> | Tensor,
  maxNorm: number,
  { normType = 2, errorIfNonfinite = false }: ClipGradNormOptions = {},
): Tensor {
  if (!(maxNorm >= 0)) throw new RangeError(`Cannot clip to a norm of ${maxNorm}: it must be at least 0`);
  if (!(normType > 0)) throw new RangeError(`Cannot clip by the norm of type ${normType}: it must be above 0`);
  const list = parameters instanceof Tensor ? [parameters] : [...parameters];
  const ranges = rangesOf(list);
  if (ranges.length === 0) return fillInto(empty(cpuDevice(), [], "float32", "clipGradNorm"), 0);
  return noGrad(() =>
    tidy(() => {
      const { first } = ranges[0];
      const { device } = first.storage;
      if (
        device.type !== "cpu" && !errorIfNonfinite && ranges.every((range) => range.first.storage.device === device)
      ) {
        countChange(list, "clipGradNorm()");
        return clipOnDevice(device, ranges, maxNorm, normType);
      }
      const norm = normOf(ranges, normType);
      if (errorIfNonfinite && !Number.isFinite(norm)) {
        throw new AutogradError(
          `Cannot clip gradients whose norm of type ${normType} is ${norm}: look for infinities in the loss, or pass ` +
            `{ errorIfNonfinite: false } to scale by it anyway`,
        );
      }
      // PyTorch's 1e-6 keeps the factor finite for gradients of zero.
      const factor = Math.min(maxNorm / (norm + 1e-6), 1);
      if (factor !== 1) {
        for (const range of ranges) changeInPlace(range, UNARY.mul_scalar, factor, 0);
        countChange(list, "clipGradNorm()");
      }
      return fillInto(empty(first.storage.device, [], first.dtype, "clipGradNorm"), norm);
    })
  );
}

/**
 * Limits every element of all gradients to [-clipValue, clipValue].
 *
 * @param parameters A tensor or several; those without a gradient do not count.
 * @param clipValue The bound, at least 0.
 */
export function clipGradValue(parameters: Iterable<Tensor> | Tensor, clipValue: number): void {
  if (!(clipValue >= 0)) throw new RangeError(`Cannot clip to values up to ${clipValue}: it must be at least 0`);
  const list = parameters instanceof Tensor ? [parameters] : [...parameters];
  noGrad(() => tidy(() => rangesOf(list).forEach((range) => changeInPlace(range, UNARY.clamp, -clipValue, clipValue))));
  countChange(list, "clipGradValue()");
}
