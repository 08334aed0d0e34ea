/**
 * Runs: neighbouring parameters that one native call changes.
 *
 * @module
 */
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { contiguous } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { nextOffset } from "./flat.ts";

/** The numbers that an optimizer keeps for a parameter beside its tensors, in PyTorch's spelling. */
export interface StateNumbers {
  /** Steps so far. */
  step: number;
  [name: string]: number;
}

/** Neighbouring parameters with a gradient and the same numbers: what one native call changes. */
export interface Run {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  /** The state buffers, and where the run begins in them. */
  readonly buffers: Readonly<Record<string, Tensor>>;
  readonly stateOffset: number;
  /** The numbers, this step included. */
  readonly numbers: StateNumbers;
  /** Whether the state buffers are used for the first time. */
  readonly isFirst: boolean;
  count: number;
}

/** Where the state of a parameter lies. */
export interface Slot {
  /** Shared by the parameters whose state lies in them. */
  readonly buffers: Record<string, Tensor>;
  readonly offset: number;
  readonly numbers: StateNumbers;
  isFirst: boolean;
}

/** The gradient as the native functions read it. */
export function usable(gradient: Tensor, parameter: Tensor): Tensor {
  if (gradient === parameter.gradSlot) return gradient;
  if (gradient.dtype !== parameter.dtype) {
    throw new DTypeError(
      `Cannot step: a ${parameter.dtype} parameter has a ${gradient.dtype} gradient. Convert it with .to({ dtype })`,
    );
  }
  if (gradient.size !== parameter.size) {
    throw new ShapeError(
      `Cannot step: a parameter of ${formatShape(parameter.shape)} has a gradient of ${
        formatShape(gradient.shape)
      }: their shapes must be equal`,
    );
  }
  return contiguous(gradient);
}

/** Whether a parameter follows a run, in memory and in its numbers. */
export function continues(run: Run, parameter: Tensor, gradient: Tensor, slot: Slot): boolean {
  const distance = slot.offset - run.stateOffset;
  if (slot.buffers !== run.buffers || slot.isFirst !== run.isFirst) return false;
  for (const name in run.numbers) if (slot.numbers[name] !== run.numbers[name]) return false;
  return distance === nextOffset(0, run.count) &&
    parameter.storage.id === run.parameter.storage.id && parameter.offset === run.parameter.offset + distance &&
    gradient.storage.id === run.gradient.storage.id && gradient.offset === run.gradient.offset + distance;
}
