/**
 * Clipping of gradients, as `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_`.
 *
 * @module
 */
import { check } from "../../../ffi/call.ts";
import { AX } from "../../../ffi/constants.ts";
import { BINARY, REDUCE, UNARY } from "../../../ffi/op_ids.ts";
import { cpuDevice, type Device } from "../../core/device.ts";
import { dtypeId } from "../../core/dtype.ts";
import { AutogradError } from "../../core/errors.ts";
import { empty, noGrad, viewOf } from "../../core/op.ts";
import { bump } from "../../core/version.ts";
import { binaryInto, contiguous, fillInto, unaryInto } from "../../ops/launch.ts";
import { reduceInto } from "../../ops/reduce.ts";
import { ALIGNMENT } from "../../optim/flat.ts";
import { Tensor } from "../../tensor.ts";
import { tidy } from "../../tidy.ts";

/** Options of {@link clipGradNorm}. */
export interface ClipGradNormOptions {
  /** The p of the norm; `Infinity` is the largest magnitude. Default 2. */
  normType?: number;
  /** Throw when the norm is NaN or infinite, instead of scaling by it. Default false. */
  errorIfNonfinite?: boolean;
}

/** Memory that is read and written as one: a gradient, or flat gradients one after another with the zeros between them. */
interface Range {
  readonly first: Tensor;
  readonly isFlat: boolean;
  count: number;
}

function rangesOf(parameters: Iterable<Tensor> | Tensor): Range[] {
  const list = parameters instanceof Tensor ? [parameters] : [...new Set(parameters)];
  const flat: Tensor[] = [];
  const ranges: Range[] = [];
  for (const { grad, gradSlot } of list) {
    if (grad === null || grad.size === 0) continue;
    if (grad === gradSlot) flat.push(grad);
    else ranges.push({ first: grad, isFlat: false, count: grad.size });
  }
  flat.sort((a, b) => a.storage.id - b.storage.id || a.offset - b.offset);
  let last: Range | undefined;
  for (const gradient of flat) {
    const gap = last === undefined ? -1 : gradient.offset - last.first.offset - last.count;
    if (last !== undefined && last.first.storage.id === gradient.storage.id && gap >= 0 && gap < ALIGNMENT) {
      last.count += gap + gradient.size;
    } else {
      ranges.push(last = { first: gradient, isFlat: true, count: gradient.size });
    }
  }
  return ranges;
}

/** The sum of |x|^p, or for infinity the largest |x|, of ranges on one device: a float64 scalar there. */
function powerSum(device: Device, ranges: readonly Range[], p: number): Tensor {
  const blocks = ranges.map(({ count }) => Math.ceil(count / AX.NORM_BLOCK));
  const partial = empty(device, [blocks.reduce((sum, n) => sum + n, 0)], "float64", "clipGradNorm");
  const { library } = device;
  let at = 0;
  ranges.forEach(({ first, count }, i) => {
    const source = contiguous(first);
    check(
      library.ax_norm_blocks(
        dtypeId(source.dtype),
        partial.storage.id,
        at,
        source.storage.id,
        source.offset,
        count,
        p,
      ),
      "ax_norm_blocks",
      library,
    );
    at += blocks[i];
  });
  const total = empty(device, [], "float64", "clipGradNorm");
  return reduceInto(total, Number.isFinite(p) ? REDUCE.sum : REDUCE.max, partial, [0]);
}

function normOf(ranges: readonly Range[], p: number): number {
  const byDevice = Map.groupBy(ranges, ({ first }) => first.storage.device);
  const parts = Array.from(byDevice, ([device, own]) => powerSum(device, own, p).item());
  if (!Number.isFinite(p)) return Math.max(...parts);
  const total = parts.reduce((sum, part) => sum + part, 0);
  return p === 2 ? Math.sqrt(total) : total ** (1 / p);
}

/** On a GPU norm and factor stay there: a step does not wait for them. */
function clipOnDevice(device: Device, ranges: readonly Range[], maxNorm: number, p: number): Tensor {
  const sum = powerSum(device, ranges, p);
  const norm = p === 2 ? sum.sqrt() : Number.isFinite(p) ? sum.pow(1 / p) : sum;
  const factor = norm.add(1e-6).pow(-1).mul(maxNorm).clamp({ max: 1 });
  for (const { first, count, isFlat } of ranges) {
    const memory = isFlat ? viewOf(first, [count], [1], first.offset, "clip") : first;
    binaryInto(memory, BINARY.mul, memory, factor.to({ dtype: first.dtype }));
  }
  return norm.to({ dtype: ranges[0].first.dtype });
}

function changeInPlace({ first, count, isFlat }: Range, op: number, alpha: number, beta: number): void {
  const memory = isFlat ? viewOf(first, [count], [1], first.offset, "clip") : first;
  unaryInto(memory, op, memory, alpha, beta);
}

function countChange(parameters: Iterable<Tensor> | Tensor, by: string): void {
  for (const { grad } of parameters instanceof Tensor ? [parameters] : parameters) {
    if (grad !== null) bump(grad.storage, by);
  }
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
