/**
 * Gradients as ranges of memory: what is done to all of them takes one call for each range.
 *
 * @module
 */
import { check } from "../../../ffi/call.ts";
import { AX } from "../../../ffi/constants.ts";
import { REDUCE } from "../../../ffi/op_ids.ts";
import type { Device } from "../../core/device.ts";
import { dtypeId } from "../../core/dtype.ts";
import { empty, viewOf } from "../../core/op.ts";
import { bump } from "../../core/version.ts";
import { contiguous, unaryInto } from "../../ops/launch.ts";
import { reduceInto } from "../../ops/reduce.ts";
import { ALIGNMENT } from "../../optim/flat.ts";
import { Tensor } from "../../tensor.ts";

/** Memory that is read and written as one: a gradient, or flat gradients one after another with the zeros between them. */
export interface GradientRange {
  readonly first: Tensor;
  readonly isFlat: boolean;
  count: number;
}

/** The gradients of parameters as few ranges: flat ones that follow each other count as one. */
export function rangesOf(parameters: Iterable<Tensor> | Tensor): GradientRange[] {
  const list = parameters instanceof Tensor ? [parameters] : [...new Set(parameters)];
  const flat: Tensor[] = [];
  const ranges: GradientRange[] = [];
  for (const { grad, gradSlot } of list) {
    if (grad === null || grad.size === 0) continue;
    if (grad === gradSlot) flat.push(grad);
    else ranges.push({ first: grad, isFlat: false, count: grad.size });
  }
  flat.sort((a, b) => a.storage.id - b.storage.id || a.offset - b.offset);
  let last: GradientRange | undefined;
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
export function powerSum(device: Device, ranges: readonly GradientRange[], p: number): Tensor {
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

/** The norm of all ranges as of one vector; for `p` infinity NaN or infinite when any value is. */
export function normOf(ranges: readonly GradientRange[], p: number): number {
  const byDevice = Map.groupBy(ranges, ({ first }) => first.storage.device);
  const parts = Array.from(byDevice, ([device, own]) => powerSum(device, own, p).item());
  if (!Number.isFinite(p)) return Math.max(...parts);
  const total = parts.reduce((sum, part) => sum + part, 0);
  return p === 2 ? Math.sqrt(total) : total ** (1 / p);
}

/** A range as one tensor. */
export function memoryOf({ first, count, isFlat }: GradientRange): Tensor {
  return isFlat ? viewOf(first, [count], [1], first.offset, "clip") : first;
}

/** An elementwise operation in the memory of a range. */
export function changeInPlace(range: GradientRange, op: number, alpha: number, beta: number): void {
  const memory = memoryOf(range);
  unaryInto(memory, op, memory, alpha, beta);
}

/** Notes for autograd that the gradients were changed. */
export function countChange(parameters: Iterable<Tensor> | Tensor, by: string): void {
  for (const { grad } of parameters instanceof Tensor ? [parameters] : parameters) {
    if (grad !== null) bump(grad.storage, by);
  }
}
