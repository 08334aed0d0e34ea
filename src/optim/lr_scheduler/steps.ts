/**
 * Schedules that multiply the learning rate at certain steps: StepLR, MultiStepLR, ExponentialLR and ConstantLR of
 * `torch.optim.lr_scheduler`.
 *
 * @module
 */
import { checkPositiveInteger, checkRange, LRScheduler, type Scheduled, type SchedulerOptions } from "./scheduler.ts";

/** Options of {@link StepLR}. */
export interface StepLROptions extends SchedulerOptions {
  /** Steps between two changes. */
  stepSize: number;
  /** Factor of a change. Default 0.1. */
  gamma?: number;
}

/**
 * Multiplies by `gamma` every `stepSize` steps.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const optimizer = new optim.SGD([zeros([2], { requiresGrad: true })], { lr: 0.1 });
 * const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 2 });
 * for (let epoch = 0; epoch < 4; epoch++) scheduler.step();
 * assertAlmostEquals(scheduler.getLastLr()[0], 0.001);
 * ```
 */
export class StepLR extends LRScheduler<{ stepSize: number; gamma: number }> {
  constructor(optimizer: Scheduled, { stepSize, gamma = 0.1, lastEpoch = -1 }: StepLROptions) {
    checkPositiveInteger("stepSize", stepSize);
    super(optimizer, { stepSize, gamma }, lastEpoch);
    this.initialStep();
  }

  protected override nextLrs(): number[] {
    const { stepSize, gamma } = this.settings;
    const isDue = this.lastEpoch !== 0 && this.lastEpoch % stepSize === 0;
    return isDue ? this.currentLrs().map((lr) => lr * gamma) : this.currentLrs();
  }

  protected override closedLrs(): number[] {
    const { stepSize, gamma } = this.settings;
    return this.baseLrs.map((lr) => lr * gamma ** Math.floor(this.lastEpoch / stepSize));
  }
}

/** Options of {@link MultiStepLR}. */
export interface MultiStepLROptions extends SchedulerOptions {
  /** Steps of the changes; one that is listed twice changes twice. */
  milestones: readonly number[];
  /** Factor of a change. Default 0.1. */
  gamma?: number;
}

/** Multiplies by `gamma` at each milestone. */
export class MultiStepLR extends LRScheduler<{ milestones: readonly number[]; gamma: number }> {
  constructor(optimizer: Scheduled, { milestones, gamma = 0.1, lastEpoch = -1 }: MultiStepLROptions) {
    super(optimizer, { milestones: [...milestones], gamma }, lastEpoch);
    this.initialStep();
  }

  protected override nextLrs(): number[] {
    const { milestones, gamma } = this.settings;
    const due = milestones.filter((milestone) => milestone === this.lastEpoch).length;
    return due > 0 ? this.currentLrs().map((lr) => lr * gamma ** due) : this.currentLrs();
  }

  protected override closedLrs(): number[] {
    const { milestones, gamma } = this.settings;
    const passed = milestones.filter((milestone) => milestone <= this.lastEpoch).length;
    return this.baseLrs.map((lr) => lr * gamma ** passed);
  }
}

/** Options of {@link ExponentialLR}. */
export interface ExponentialLROptions extends SchedulerOptions {
  /** Factor of each step. */
  gamma: number;
}

/** Multiplies by `gamma` every step. */
export class ExponentialLR extends LRScheduler<{ gamma: number }> {
  constructor(optimizer: Scheduled, { gamma, lastEpoch = -1 }: ExponentialLROptions) {
    super(optimizer, { gamma }, lastEpoch);
    this.initialStep();
  }

  protected override nextLrs(): number[] {
    return this.isInitial ? this.currentLrs() : this.currentLrs().map((lr) => lr * this.settings.gamma);
  }

  protected override closedLrs(): number[] {
    return this.baseLrs.map((lr) => lr * this.settings.gamma ** this.lastEpoch);
  }
}

/** Options of {@link ConstantLR}. */
export interface ConstantLROptions extends SchedulerOptions {
  /** Factor until `totalIters`, in [0, 1]. Default 1/3. */
  factor?: number;
  /** Step at which the factor ends. Default 5. */
  totalIters?: number;
}

/** Multiplies by `factor` until step `totalIters`, then goes back. */
export class ConstantLR extends LRScheduler<{ factor: number; totalIters: number }> {
  constructor(optimizer: Scheduled, { factor = 1 / 3, totalIters = 5, lastEpoch = -1 }: ConstantLROptions = {}) {
    checkRange("factor", factor, 0, 1);
    super(optimizer, { factor, totalIters }, lastEpoch);
    this.initialStep();
  }

  protected override nextLrs(): number[] {
    const { factor, totalIters } = this.settings;
    if (this.lastEpoch === 0) return this.currentLrs().map((lr) => lr * factor);
    if (this.lastEpoch !== totalIters) return this.currentLrs();
    return this.currentLrs().map((lr) => lr * (1 / factor));
  }

  protected override closedLrs(): number[] {
    const { factor, totalIters } = this.settings;
    return this.baseLrs.map((lr) => lr * (factor + (this.lastEpoch >= totalIters ? 1 - factor : 0)));
  }
}
