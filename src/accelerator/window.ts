/**
 * Windows of accumulation: the micro-batches whose gradients make one step. Each optimizer has its own, so models that are trained in
 * turns, loops inside of loops and a `break` do not disturb each other. Optimizers whose parameters share memory share one.
 *
 * Gradients are summed, and divided when the window closes: by its real size, or by the sum of the normalizers.
 *
 * @module
 */
import { UNARY } from "../../ffi/op_ids.ts";
import { AutogradError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { unaryInto } from "../ops/launch.ts";
import type { FlatBuffer } from "../optim/flat.ts";

/** Where a window is, as a checkpoint holds it; the partial gradients are those of the parameters. */
export interface WindowState {
  /** Micro-batches that were begun. */
  readonly count: number;
  /** Backward passes since it was opened. */
  readonly passes: number;
  /** Sum of this rank's normalizers; null where none was given. */
  readonly weight: number | null;
  /** Whether the current micro-batch closes it. */
  readonly closes: boolean;
  /** Whether its gradients are complete. */
  readonly isDone: boolean;
}

/** The accumulation of one optimizer. */
export class Window {
  /** The gradients that belong to it. */
  readonly buffers: Set<FlatBuffer> = new Set();
  /** Micro-batches that were begun, the current one included. */
  count = 0;
  /** Backward passes since the window was opened. */
  passes = 0;
  /** Sum of this rank's normalizers, or null. */
  weight: number | null = null;
  /** Whether the current micro-batch closes the window; true outside of accumulation. */
  closes = true;
  /** Whether the gradients are complete: divided, and reduced between the ranks. */
  isDone = false;
  /** What this rank's gradients were divided by since the window closed. */
  divisor = 1;

  /**
   * Begins the next micro-batch.
   *
   * @param steps Micro-batches in a full window.
   * @param isLast Whether no other will follow in this epoch.
   */
  enter(steps: number, isLast: boolean): void {
    // A window that closed without a backward pass still holds gradients: it goes on.
    if (this.closes && (this.isDone || this.passes === 0)) {
      this.count = 0;
      this.passes = 0;
      this.weight = null;
      this.isDone = false;
    }
    this.divisor = 1;
    this.count++;
    this.closes = this.count >= steps || isLast;
  }

  /** Notes a backward pass. */
  add(normalizer: number | undefined): void {
    if (this.passes > 0 && (normalizer === undefined) !== (this.weight === null)) {
      throw new AutogradError(
        "Cannot accumulate losses with a normalizer and losses without in one window: give one to every backward() or to none",
      );
    }
    this.passes++;
    if (normalizer !== undefined) this.weight = (this.weight ?? 0) + normalizer;
  }

  /** Whether gradients wait that must be kept. */
  get isPartial(): boolean {
    return this.passes > 0 && !this.isDone;
  }

  /** Where the window is. */
  stateDict(): WindowState {
    const { count, passes, weight, closes, isDone } = this;
    return { count, passes, weight, closes, isDone };
  }

  /** Goes on where `stateDict` was taken. */
  loadStateDict(state: WindowState): void {
    Object.assign(this, { ...state, divisor: 1 });
  }
}

/** Multiplies the gradients of a buffer. */
export function scaleGradients(buffer: FlatBuffer, factor: number): void {
  if (factor === 1) return;
  noGrad(() => unaryInto(buffer.gradients, UNARY.mul_scalar, buffer.gradients, factor, 0));
}

/** One part of a sum as a factor; a sum of nothing is nothing. */
export function reciprocal(total: number): number {
  return total === 0 ? 0 : 1 / total;
}
