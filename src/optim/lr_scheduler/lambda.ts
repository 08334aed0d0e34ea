/**
 * Schedules by a function of the step.
 *
 * @module
 */
import {
  checkPositiveInteger,
  checkRange,
  LRScheduler,
  perGroup,
  type Scheduled,
  type SchedulerOptions,
} from "./scheduler.ts";

/** From the step, counted from 0, to a factor. */
export type LrLambda = (step: number) => number;

function checkedLambdas(optimizer: Scheduled, lambda: LrLambda | readonly LrLambda[]): LrLambda[] {
  const lambdas = perGroup("lrLambda", optimizer, lambda);
  for (const fn of lambdas) {
    if (typeof fn !== "function") throw new TypeError(`Cannot schedule by ${typeof fn}: give functions of the step`);
  }
  return lambdas;
}

/** Options of {@link LambdaLR}. */
export interface LambdaLROptions extends SchedulerOptions {
  /** For how many steps the function is made; the Accelerator warns when training takes more. Default: it has no end. */
  plannedSteps?: number;
}

/**
 * The first learning rate times a function of the step, as `torch.optim.lr_scheduler.LambdaLR`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const optimizer = new optim.SGD([zeros([2], { requiresGrad: true })], { lr: 0.5 });
 * const scheduler = new optim.lrScheduler.LambdaLR(optimizer, (step) => 1 / (step + 1));
 * assertEquals(scheduler.getLastLr(), [0.5]);
 * optimizer.step();
 * scheduler.step();
 * assertEquals(optimizer.paramGroups[0].lr, 0.25);
 * ```
 */
export class LambdaLR extends LRScheduler {
  readonly #lambdas: LrLambda[];
  readonly #plannedSteps: number | undefined;

  /**
   * @param optimizer Whose groups are scheduled.
   * @param lrLambda A function of the step, or one for each group.
   * @param options See {@link LambdaLROptions}.
   */
  constructor(
    optimizer: Scheduled,
    lrLambda: LrLambda | readonly LrLambda[],
    { lastEpoch = -1, plannedSteps }: LambdaLROptions = {},
  ) {
    super(optimizer, {}, lastEpoch);
    this.#lambdas = checkedLambdas(optimizer, lrLambda);
    this.#plannedSteps = plannedSteps;
    this.initialStep();
  }

  override get plannedSteps(): number | undefined {
    return this.#plannedSteps;
  }

  protected override nextLrs(): number[] {
    return this.baseLrs.map((lr, i) => lr * this.#lambdas[i](this.lastEpoch));
  }
}

/** The current learning rate times a function of the step, as `torch.optim.lr_scheduler.MultiplicativeLR`. */
export class MultiplicativeLR extends LRScheduler {
  readonly #lambdas: LrLambda[];

  /**
   * @param optimizer Whose groups are scheduled.
   * @param lrLambda A function of the step (from 1), or one for each group.
   * @param options `lastEpoch`.
   */
  constructor(
    optimizer: Scheduled,
    lrLambda: LrLambda | readonly LrLambda[],
    { lastEpoch = -1 }: SchedulerOptions = {},
  ) {
    super(optimizer, {}, lastEpoch);
    this.#lambdas = checkedLambdas(optimizer, lrLambda);
    this.initialStep();
  }

  protected override nextLrs(): number[] {
    if (this.isInitial) return this.currentLrs();
    return this.currentLrs().map((lr, i) => lr * this.#lambdas[i](this.lastEpoch));
  }
}

/** Options of {@link cosineWithWarmup}. */
export interface CosineWithWarmupOptions extends SchedulerOptions {
  /** Steps in which the learning rate rises from 0. */
  warmupSteps: number;
  /** Steps of the whole training. */
  totalSteps: number;
  /** Factor at the end. Default 0. */
  minRatio?: number;
  /** Waves of the cosine after the warm-up. Default 0.5: down once. */
  numCycles?: number;
}

/**
 * A linear rise to the optimizer's learning rate, then a cosine down to `minRatio` of it, as transformers'
 * `get_cosine_schedule_with_warmup` (and `get_cosine_with_min_lr_schedule_with_warmup`).
 *
 * @example
 * ```ts
 * import { assertAlmostEquals, assertEquals } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const optimizer = new optim.AdamW([zeros([2], { requiresGrad: true })], { lr: 1 });
 * const scheduler = optim.cosineWithWarmup(optimizer, { warmupSteps: 2, totalSteps: 6, minRatio: 0.1 });
 * const lrs = [0, 1, 2, 3, 4, 5, 6].map(() => {
 *   const [lr] = scheduler.getLastLr();
 *   scheduler.step();
 *   return lr;
 * });
 * assertEquals(lrs.slice(0, 3), [0, 0.5, 1]);
 * assertAlmostEquals(lrs[6], 0.1);
 * ```
 */
export function cosineWithWarmup(
  optimizer: Scheduled,
  { warmupSteps, totalSteps, minRatio = 0, numCycles = 0.5, lastEpoch = -1 }: CosineWithWarmupOptions,
): LambdaLR {
  checkRange("warmupSteps", warmupSteps, 0, Infinity);
  checkPositiveInteger("totalSteps", totalSteps);
  checkRange("minRatio", minRatio, 0, 1);
  const factor = (step: number): number => {
    if (step < warmupSteps) return step / Math.max(1, warmupSteps);
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    const wave = 0.5 * (1 + Math.cos(Math.PI * numCycles * 2 * progress));
    return Math.max(0, wave * (1 - minRatio) + minRatio);
  };
  return new LambdaLR(optimizer, factor, { lastEpoch, plannedSteps: totalSteps });
}
