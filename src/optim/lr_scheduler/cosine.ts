/**
 * Cosine schedules (Loshchilov and Hutter, "SGDR", ICLR 2017): CosineAnnealingLR and CosineAnnealingWarmRestarts of
 * `torch.optim.lr_scheduler`.
 *
 * @module
 */
import { checkPositiveInteger, LRScheduler, type Scheduled, type SchedulerOptions } from "./scheduler.ts";

/** From `high` at 0 to `low` at 1. */
function cosine(high: number, low: number, share: number): number {
  return low + (high - low) * (1 + Math.cos(Math.PI * share)) / 2;
}

/** Options of {@link CosineAnnealingLR}. */
export interface CosineAnnealingLROptions extends SchedulerOptions {
  /** Steps to the least learning rate. */
  tMax: number;
  /** The least learning rate. Default 0. */
  etaMin?: number;
}

/**
 * Half a wave of a cosine down to `etaMin` in `tMax` steps, then up again.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const optimizer = new optim.SGD([zeros([2], { requiresGrad: true })], { lr: 1 });
 * const scheduler = new optim.lrScheduler.CosineAnnealingLR(optimizer, { tMax: 10 });
 * for (let step = 0; step < 5; step++) scheduler.step();
 * assertAlmostEquals(scheduler.getLastLr()[0], 0.5);
 * ```
 */
export class CosineAnnealingLR extends LRScheduler<{ tMax: number; etaMin: number }> {
  constructor(optimizer: Scheduled, { tMax, etaMin = 0, lastEpoch = -1 }: CosineAnnealingLROptions) {
    checkPositiveInteger("tMax", tMax);
    super(optimizer, { tMax, etaMin }, lastEpoch);
    this.initialStep();
  }

  override get plannedSteps(): number {
    return this.settings.tMax;
  }

  protected override nextLrs(): number[] {
    const { tMax, etaMin } = this.settings;
    if (this.isInitial) return this.currentLrs();
    if (this.stepCount === 1 && this.lastEpoch > 0) return this.closedLrs();
    if ((this.lastEpoch - 1 - tMax) % (2 * tMax) === 0) {
      const rise = (1 - Math.cos(Math.PI / tMax)) / 2;
      return this.currentLrs().map((lr, i) => lr + (this.baseLrs[i] - etaMin) * rise);
    }
    const ratio = (1 + Math.cos(Math.PI * this.lastEpoch / tMax)) /
      (1 + Math.cos(Math.PI * (this.lastEpoch - 1) / tMax));
    return this.currentLrs().map((lr) => ratio * (lr - etaMin) + etaMin);
  }

  protected override closedLrs(): number[] {
    const { tMax, etaMin } = this.settings;
    return this.baseLrs.map((lr) => cosine(lr, etaMin, this.lastEpoch / tMax));
  }
}

/** Options of {@link CosineAnnealingWarmRestarts}. */
export interface CosineAnnealingWarmRestartsOptions extends SchedulerOptions {
  /** Steps of the first cycle. */
  t0: number;
  /** Each cycle is so many times as long as the one before. Default 1. */
  tMult?: number;
  /** The least learning rate. Default 0. */
  etaMin?: number;
}

/** Half a wave of a cosine, again and again from the top. */
export class CosineAnnealingWarmRestarts
  extends LRScheduler<{ t0: number; tMult: number; etaMin: number; cycle: number; position: number }> {
  constructor(
    optimizer: Scheduled,
    { t0, tMult = 1, etaMin = 0, lastEpoch = -1 }: CosineAnnealingWarmRestartsOptions,
  ) {
    checkPositiveInteger("t0", t0);
    checkPositiveInteger("tMult", tMult);
    super(optimizer, { t0, tMult, etaMin, cycle: t0, position: lastEpoch }, lastEpoch);
    this.initialStep();
  }

  /** @internal */
  override moveTo(epoch?: number): void {
    const { settings } = this;
    const goal = epoch ?? (this.lastEpoch < 0 ? 0 : undefined);
    if (goal === undefined) {
      settings.position++;
      if (settings.position >= settings.cycle) {
        settings.position %= settings.cycle;
        settings.cycle *= settings.tMult;
      }
    } else {
      settings.position = goal;
      settings.cycle = settings.t0;
      while (settings.position >= settings.cycle) {
        settings.position -= settings.cycle;
        settings.cycle *= settings.tMult;
      }
    }
    super.moveTo(goal);
  }

  protected override nextLrs(): number[] {
    const { etaMin, position, cycle } = this.settings;
    return this.baseLrs.map((lr) => cosine(lr, etaMin, position / cycle));
  }
}
