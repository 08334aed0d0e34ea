/**
 * Schedules along a line or a power of it: LinearLR and PolynomialLR of `torch.optim.lr_scheduler`.
 *
 * @module
 */
import { checkPositiveInteger, checkRange, LRScheduler, type Scheduled, type SchedulerOptions } from "./scheduler.ts";

/** Options of {@link LinearLR}. */
export interface LinearLROptions extends SchedulerOptions {
  /** Factor at step 0, in (0, 1]. Default 1/3. */
  startFactor?: number;
  /** Factor from step `totalIters` on, in [0, 1]. Default 1. */
  endFactor?: number;
  /** Steps between them. Default 5. */
  totalIters?: number;
}

/**
 * A factor that changes linearly: a warm-up by default.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const optimizer = new optim.SGD([zeros([2], { requiresGrad: true })], { lr: 0.4 });
 * const scheduler = new optim.lrScheduler.LinearLR(optimizer, { startFactor: 0.5, totalIters: 2 });
 * assertAlmostEquals(scheduler.getLastLr()[0], 0.2);
 * scheduler.step();
 * assertAlmostEquals(scheduler.getLastLr()[0], 0.3);
 * ```
 */
export class LinearLR extends LRScheduler<{ startFactor: number; endFactor: number; totalIters: number }> {
  constructor(
    optimizer: Scheduled,
    { startFactor = 1 / 3, endFactor = 1, totalIters = 5, lastEpoch = -1 }: LinearLROptions = {},
  ) {
    checkRange("startFactor", startFactor, 0, 1, true);
    checkRange("endFactor", endFactor, 0, 1);
    checkPositiveInteger("totalIters", totalIters);
    super(optimizer, { startFactor, endFactor, totalIters }, lastEpoch);
    this.initialStep();
  }

  protected override nextLrs(): number[] {
    const { startFactor, endFactor, totalIters } = this.settings;
    if (this.lastEpoch === 0) return this.currentLrs().map((lr) => lr * startFactor);
    if (this.isInitial || this.lastEpoch > totalIters) return this.currentLrs();
    const change = endFactor - startFactor;
    return this.currentLrs().map((lr) =>
      lr * (1 + change / (totalIters * startFactor + (this.lastEpoch - 1) * change))
    );
  }

  protected override closedLrs(): number[] {
    const { startFactor, endFactor, totalIters } = this.settings;
    const done = Math.min(totalIters, this.lastEpoch) / totalIters;
    return this.baseLrs.map((lr) => lr * (startFactor + (endFactor - startFactor) * done));
  }
}

/** Options of {@link PolynomialLR}. */
export interface PolynomialLROptions extends SchedulerOptions {
  /** Step at which 0 is reached. Default 5. */
  totalIters?: number;
  /** Exponent. Default 1. */
  power?: number;
}

/** The learning rate times (1 - step / totalIters) ** power. */
export class PolynomialLR extends LRScheduler<{ totalIters: number; power: number }> {
  constructor(optimizer: Scheduled, { totalIters = 5, power = 1, lastEpoch = -1 }: PolynomialLROptions = {}) {
    checkPositiveInteger("totalIters", totalIters);
    super(optimizer, { totalIters, power }, lastEpoch);
    this.initialStep();
  }

  override get plannedSteps(): number {
    return this.settings.totalIters;
  }

  protected override nextLrs(): number[] {
    const { totalIters, power } = this.settings;
    if (this.isInitial || this.lastEpoch > totalIters) return this.currentLrs();
    const left = (1 - this.lastEpoch / totalIters) / (1 - (this.lastEpoch - 1) / totalIters);
    return this.currentLrs().map((lr) => lr * left ** power);
  }

  protected override closedLrs(): number[] {
    const { totalIters, power } = this.settings;
    return this.baseLrs.map((lr) => lr * (1 - Math.min(totalIters, this.lastEpoch) / totalIters) ** power);
  }
}
