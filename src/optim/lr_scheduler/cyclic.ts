/**
 * Schedules that raise and lower the learning rate and, against it, the momentum: OneCycleLR (Smith and Topin, arXiv:1708.07120) and
 * CyclicLR (Smith, arXiv:1506.01186) of `torch.optim.lr_scheduler`.
 *
 * @module
 */
import {
  checkPositiveInteger,
  checkRange,
  LRScheduler,
  perGroup,
  type Scheduled,
  type ScheduledGroup,
  type SchedulerOptions,
} from "./scheduler.ts";

/** Options of the momentum that a schedule cycles. */
interface MomentumOptions {
  /** Cycle `momentum`, or the first of `betas`, against the learning rate. Default true. */
  cycleMomentum?: boolean;
  /** The least momentum, for all groups or each. */
  baseMomentum?: number | readonly number[];
  /** The largest momentum, for all groups or each. */
  maxMomentum?: number | readonly number[];
}

function setMomentum(group: ScheduledGroup, momentum: number): void {
  if (group.betas !== undefined) group.betas = [momentum, group.betas[1]];
  else group.momentum = momentum;
}

/** Notes the bounds in the groups and sets the largest momentum. */
function beginMomentum(
  optimizer: Scheduled,
  { baseMomentum, maxMomentum }: Required<MomentumOptions>,
  begins: boolean,
): void {
  if (!("momentum" in optimizer.defaults) && !("betas" in optimizer.defaults)) {
    throw new RangeError(
      "Cannot cycle the momentum: the optimizer has neither momentum nor betas. Set cycleMomentum: false",
    );
  }
  const [base, max] = [
    perGroup("baseMomentum", optimizer, baseMomentum),
    perGroup("maxMomentum", optimizer, maxMomentum),
  ];
  if (!begins) return;
  optimizer.paramGroups.forEach((group: ScheduledGroup, i) => {
    setMomentum(group, max[i]);
    group.maxMomentum = max[i];
    group.baseMomentum = base[i];
  });
}

/** Options of {@link OneCycleLR}. */
export interface OneCycleLROptions extends SchedulerOptions, MomentumOptions {
  /** The largest learning rate, for all groups or each. */
  maxLr: number | readonly number[];
  /** Steps of the cycle; or give `epochs` and `stepsPerEpoch`. */
  totalSteps?: number;
  epochs?: number;
  stepsPerEpoch?: number;
  /** Share of the cycle in which the learning rate rises. Default 0.3. */
  pctStart?: number;
  /** Default "cos". */
  annealStrategy?: "cos" | "linear";
  /** Default 0.85. */
  baseMomentum?: number | readonly number[];
  /** Default 0.95. */
  maxMomentum?: number | readonly number[];
  /** The first learning rate is maxLr / divFactor. Default 25. */
  divFactor?: number;
  /** The last one is the first / finalDivFactor. Default 1e4. */
  finalDivFactor?: number;
  /** Fall to the first learning rate as fast as it rose, then to the last. Default false. */
  threePhase?: boolean;
}

type LrPoint = "initialLr" | "maxLr" | "minLr";
type MomentumPoint = "maxMomentum" | "baseMomentum";

interface Phase {
  end: number;
  lr: [LrPoint, LrPoint];
  momentum: [MomentumPoint, MomentumPoint];
}

/**
 * One rise to `maxLr` and one fall far below the first learning rate, in `totalSteps` steps.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const optimizer = new optim.AdamW([zeros([2], { requiresGrad: true })]);
 * const scheduler = new optim.lrScheduler.OneCycleLR(optimizer, { maxLr: 0.1, totalSteps: 100 });
 * const lrs = Array.from({ length: 99 }, () => {
 *   scheduler.step();
 *   return scheduler.getLastLr()[0];
 * });
 * assert(Math.max(...lrs) === 0.1 && lrs[98] < 1e-6);
 * ```
 */
export class OneCycleLR
  extends LRScheduler<{ totalSteps: number; annealStrategy: string; cycleMomentum: boolean; phases: Phase[] }> {
  /**
   * @param optimizer Whose groups are scheduled.
   * @param options See {@link OneCycleLROptions}.
   * @throws {RangeError} When the number of steps is not given, or an option is outside its range.
   */
  constructor(optimizer: Scheduled, options: OneCycleLROptions) {
    const { epochs, stepsPerEpoch, pctStart = 0.3, annealStrategy = "cos", threePhase = false } = options;
    const { cycleMomentum = true, baseMomentum = 0.85, maxMomentum = 0.95, lastEpoch = -1 } = options;
    const totalSteps = options.totalSteps ??
      (epochs === undefined || stepsPerEpoch === undefined ? undefined : epochs * stepsPerEpoch);
    if (totalSteps === undefined) {
      throw new RangeError("Cannot schedule one cycle: give totalSteps, or epochs and stepsPerEpoch");
    }
    checkPositiveInteger("totalSteps", totalSteps);
    checkRange("pctStart", pctStart, 0, 1);
    if (annealStrategy !== "cos" && annealStrategy !== "linear") {
      throw new RangeError(`Cannot schedule with annealStrategy "${annealStrategy}": choose "cos" or "linear"`);
    }
    const maxLrs = perGroup("maxLr", optimizer, options.maxLr);
    if (lastEpoch === -1) {
      optimizer.paramGroups.forEach((group: ScheduledGroup, i) => {
        group.initialLr = maxLrs[i] / (options.divFactor ?? 25);
        group.maxLr = maxLrs[i];
        group.minLr = group.initialLr / (options.finalDivFactor ?? 1e4);
      });
    }
    if (cycleMomentum) beginMomentum(optimizer, { cycleMomentum, baseMomentum, maxMomentum }, lastEpoch === -1);
    const rise: Phase = {
      end: pctStart * totalSteps - 1,
      lr: ["initialLr", "maxLr"],
      momentum: ["maxMomentum", "baseMomentum"],
    };
    const momentum: [MomentumPoint, MomentumPoint] = ["baseMomentum", "maxMomentum"];
    const phases: Phase[] = threePhase
      ? [
        rise,
        { end: 2 * pctStart * totalSteps - 2, lr: ["maxLr", "initialLr"], momentum },
        { end: totalSteps - 1, lr: ["initialLr", "minLr"], momentum: ["maxMomentum", "maxMomentum"] },
      ]
      : [rise, { end: totalSteps - 1, lr: ["maxLr", "minLr"], momentum }];
    super(optimizer, { totalSteps, annealStrategy, cycleMomentum, phases }, lastEpoch);
    this.initialStep();
  }

  override get plannedSteps(): number {
    return this.settings.totalSteps;
  }

  #between(start: number, end: number, share: number): number {
    if (this.settings.annealStrategy === "linear") return (end - start) * share + start;
    return end + (start - end) / 2 * (Math.cos(Math.PI * share) + 1);
  }

  protected override nextLrs(): number[] {
    const { totalSteps, phases, cycleMomentum } = this.settings;
    if (this.lastEpoch > totalSteps) {
      throw new RangeError(`Cannot take step ${this.lastEpoch}: the cycle has ${totalSteps}. Make totalSteps larger`);
    }
    const found = phases.findIndex(({ end }) => this.lastEpoch <= end);
    const index = found === -1 ? phases.length - 1 : found;
    const { end, lr, momentum } = phases[index];
    const start = index === 0 ? 0 : phases[index - 1].end;
    const share = (this.lastEpoch - start) / (end - start);
    return this.groups.map((group) => {
      if (cycleMomentum) setMomentum(group, this.#between(group[momentum[0]]!, group[momentum[1]]!, share));
      return this.#between(group[lr[0]]!, group[lr[1]]!, share);
    });
  }
}

/** Options of {@link CyclicLR}. */
export interface CyclicLROptions extends SchedulerOptions, MomentumOptions {
  /** The least learning rate, for all groups or each. */
  baseLr: number | readonly number[];
  /** The largest learning rate before scaling, for all groups or each. */
  maxLr: number | readonly number[];
  /** Steps of a rise. Default 2000. */
  stepSizeUp?: number;
  /** Steps of a fall. Default: as many as of a rise. */
  stepSizeDown?: number;
  /** Amplitudes: equal, halved each cycle, or times gamma ** step. Default "triangular". */
  mode?: "triangular" | "triangular2" | "exp_range";
  /** For `exp_range`. Default 1. */
  gamma?: number;
  /** Amplitude of a cycle (from 1) or a step, instead of `mode`. */
  scaleFn?: (x: number) => number;
  /** What `scaleFn` gets. Default "cycle". */
  scaleMode?: "cycle" | "iterations";
  /** Default 0.8. */
  baseMomentum?: number | readonly number[];
  /** Default 0.9. */
  maxMomentum?: number | readonly number[];
}

interface CyclicSettings {
  totalSize: number;
  stepRatio: number;
  maxLrs: number[];
  mode: string;
  gamma: number;
  scaleMode: string;
  cycleMomentum: boolean;
}

/** Up and down between two learning rates. */
export class CyclicLR extends LRScheduler<CyclicSettings> {
  readonly #scaleFn: ((x: number) => number) | undefined;

  /**
   * @param optimizer Whose groups are scheduled.
   * @param options See {@link CyclicLROptions}.
   */
  constructor(optimizer: Scheduled, options: CyclicLROptions) {
    const { stepSizeUp = 2000, stepSizeDown = stepSizeUp, mode = "triangular", gamma = 1, scaleFn } = options;
    const { cycleMomentum = true, baseMomentum = 0.8, maxMomentum = 0.9, lastEpoch = -1 } = options;
    checkRange("stepSizeUp", stepSizeUp, 0, Infinity, true);
    checkRange("stepSizeDown", stepSizeDown, 0, Infinity, true);
    if (scaleFn === undefined && !["triangular", "triangular2", "exp_range"].includes(mode)) {
      throw new RangeError(`Cannot schedule with mode "${mode}": choose "triangular", "triangular2" or "exp_range"`);
    }
    const baseLrs = perGroup("baseLr", optimizer, options.baseLr);
    const maxLrs = perGroup("maxLr", optimizer, options.maxLr);
    if (lastEpoch === -1) optimizer.paramGroups.forEach((group, i) => group.lr = baseLrs[i]);
    if (cycleMomentum) beginMomentum(optimizer, { cycleMomentum, baseMomentum, maxMomentum }, lastEpoch === -1);
    const totalSize = stepSizeUp + stepSizeDown;
    const scaleMode = scaleFn === undefined
      ? (mode === "exp_range" ? "iterations" : "cycle")
      : options.scaleMode ?? "cycle";
    super(
      optimizer,
      { totalSize, stepRatio: stepSizeUp / totalSize, maxLrs, mode, gamma, scaleMode, cycleMomentum },
      lastEpoch,
    );
    this.#scaleFn = scaleFn;
    // The first step goes from the groups' initialLr, those after it from baseLr, as in PyTorch.
    this.initialStep();
    this.baseLrs = baseLrs;
  }

  #scale(x: number): number {
    if (this.#scaleFn !== undefined) return this.#scaleFn(x);
    if (this.settings.mode === "triangular2") return 1 / 2 ** (x - 1);
    return this.settings.mode === "exp_range" ? this.settings.gamma ** x : 1;
  }

  protected override nextLrs(): number[] {
    const { totalSize, stepRatio, maxLrs, scaleMode, cycleMomentum } = this.settings;
    const cycle = Math.floor(1 + this.lastEpoch / totalSize);
    const x = 1 + this.lastEpoch / totalSize - cycle;
    const height = x <= stepRatio ? x / stepRatio : (x - 1) / (stepRatio - 1);
    const scale = this.#scale(scaleMode === "cycle" ? cycle : this.lastEpoch);
    if (cycleMomentum) {
      for (const group of this.groups) {
        setMomentum(group, group.maxMomentum! - (group.maxMomentum! - group.baseMomentum!) * height * scale);
      }
    }
    return this.baseLrs.map((lr, i) => lr + (maxLrs[i] - lr) * height * scale);
  }
}
