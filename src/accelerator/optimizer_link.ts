/**
 * What binds an optimizer to its window of accumulation.
 *
 * @module
 */
import type { Optimizer, OptimizerGuard } from "../optim/optimizer.ts";
import type { Window } from "./window.ts";

/** An optimizer with settings of any kind. */
// deno-lint-ignore no-explicit-any
export type AnyOptimizer = Optimizer<any>;

/** What an optimizer tells the gradients of its Accelerator. */
export interface GradientKeeper {
  /** Before a step: completes the gradients. */
  complete(window: Window): void;
  /** Gradients were set to zero. */
  forgotten(window: Window): void;
}

/** An optimizer's side of its window. */
export class OptimizerLink implements OptimizerGuard {
  readonly optimizer: AnyOptimizer;
  window: Window;
  /** Whether the last `step()` changed the parameters, or was left out while gradients were accumulated. */
  tookStep = true;
  /** Whether there were backward passes since the last step: gradients that a checkpoint must hold. */
  isPending = false;
  readonly #gradients: GradientKeeper;

  constructor(optimizer: AnyOptimizer, window: Window, gradients: GradientKeeper) {
    this.optimizer = optimizer;
    this.window = window;
    this.#gradients = gradients;
  }

  allowsStep(): boolean {
    this.tookStep = this.window.closes;
    if (this.tookStep) {
      this.#gradients.complete(this.window);
      this.isPending = false;
    }
    return this.tookStep;
  }

  allowsZeroGrad(): boolean {
    return !this.window.isPartial;
  }

  forgotten(): void {
    this.#gradients.forgotten(this.window);
  }
}
