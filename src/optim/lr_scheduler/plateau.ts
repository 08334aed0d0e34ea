/**
 * A schedule by a metric: ReduceLROnPlateau of `torch.optim.lr_scheduler`.
 *
 * @module
 */
import { refuseRecording } from "../../core/recording.ts";
import { checkRange, perGroup, type Scheduled, type SchedulerStateDict } from "./scheduler.ts";

/** Options of {@link ReduceLROnPlateau}. */
export interface ReduceLROnPlateauOptions {
  /** Whether the metric should fall or rise. Default "min". */
  mode?: "min" | "max";
  /** What the learning rate is multiplied by, below 1. Default 0.1. */
  factor?: number;
  /** Steps without improvement that are tolerated. Default 10. */
  patience?: number;
  /** Least change that is an improvement. Default 1e-4. */
  threshold?: number;
  /** Whether the threshold is a share of the best value or a difference. Default "rel". */
  thresholdMode?: "rel" | "abs";
  /** Steps after a change in which nothing is counted. Default 0. */
  cooldown?: number;
  /** The least learning rate, for all groups or each. Default 0. */
  minLr?: number | readonly number[];
  /** Smaller changes are not made. Default 1e-8. */
  eps?: number;
}

interface PlateauState {
  best: number | null;
  cooldownCounter: number;
  numBadEpochs: number;
  lastEpoch: number;
  lastLr: number[];
}

/**
 * Lowers the learning rate when a metric has stopped improving.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const optimizer = new optim.SGD([zeros([2], { requiresGrad: true })], { lr: 0.1 });
 * const scheduler = new optim.lrScheduler.ReduceLROnPlateau(optimizer, { patience: 1 });
 * for (const loss of [1, 0.5, 0.5, 0.5]) scheduler.step(loss);
 * assertAlmostEquals(scheduler.getLastLr()[0], 0.01);
 * ```
 */
export class ReduceLROnPlateau {
  readonly optimizer: Scheduled;
  readonly #minLr: number | readonly number[];
  #settings: Required<Omit<ReduceLROnPlateauOptions, "minLr">>;
  #state: PlateauState;

  /**
   * @param optimizer Whose groups are scheduled.
   * @param options See {@link ReduceLROnPlateauOptions}.
   * @throws {RangeError} When an option is outside its range.
   */
  constructor(optimizer: Scheduled, options: ReduceLROnPlateauOptions = {}) {
    const { minLr = 0, ...given } = options;
    const settings = {
      mode: "min" as const,
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: "rel" as const,
      cooldown: 0,
      eps: 1e-8,
      ...given,
    };
    if (!(settings.factor < 1)) throw new RangeError(`Cannot reduce by factor ${settings.factor}: it must be below 1`);
    if (settings.mode !== "min" && settings.mode !== "max") {
      throw new RangeError(`Cannot follow a metric in mode "${settings.mode}": choose "min" or "max"`);
    }
    if (settings.thresholdMode !== "rel" && settings.thresholdMode !== "abs") {
      throw new RangeError(`Cannot compare in thresholdMode "${settings.thresholdMode}": choose "rel" or "abs"`);
    }
    checkRange("patience", settings.patience, 0, Infinity);
    perGroup("minLr", optimizer, minLr);
    this.optimizer = optimizer;
    this.#minLr = minLr;
    this.#settings = settings;
    this.#state = { best: null, cooldownCounter: 0, numBadEpochs: 0, lastEpoch: 0, lastLr: this.#currentLrs() };
  }

  #currentLrs(): number[] {
    return this.optimizer.paramGroups.map(({ lr }) => lr);
  }

  #isBetter(value: number, best: number | null): boolean {
    const { mode, threshold, thresholdMode } = this.#settings;
    if (best === null) return mode === "min" ? value < Infinity : value > -Infinity;
    if (mode === "min") return value < (thresholdMode === "rel" ? best * (1 - threshold) : best - threshold);
    return value > (thresholdMode === "rel" ? best * (1 + threshold) : best + threshold);
  }

  /**
   * Counts a value of the metric, and lowers the learning rates when it is time.
   *
   * @param metric The value, or a tensor that holds it.
   */
  step(metric: number | { item(): number }): void {
    refuseRecording("ReduceLROnPlateau.step()", "it depends on a value on the host. Call it after the captured step");
    const value = typeof metric === "number" ? metric : metric.item();
    const state = this.#state;
    state.lastEpoch++;
    if (this.#isBetter(value, state.best)) {
      state.best = value;
      state.numBadEpochs = 0;
    } else {
      state.numBadEpochs++;
    }
    if (state.cooldownCounter > 0) {
      state.cooldownCounter--;
      state.numBadEpochs = 0;
    }
    if (state.numBadEpochs > this.#settings.patience) {
      this.#reduce();
      state.cooldownCounter = this.#settings.cooldown;
      state.numBadEpochs = 0;
    }
    state.lastLr = this.#currentLrs();
  }

  #reduce(): void {
    const { factor, eps } = this.#settings;
    const least = perGroup("minLr", this.optimizer, this.#minLr);
    this.optimizer.paramGroups.forEach((group, i) => {
      const lr = Math.max(group.lr * factor, least[i]);
      if (group.lr - lr > eps) group.lr = lr;
    });
  }

  /** The learning rates after the last step, one for each group. */
  getLastLr(): number[] {
    return [...this.#state.lastLr];
  }

  /** Position and settings. */
  stateDict(): SchedulerStateDict {
    return structuredClone({ ...this.#settings, ...this.#state });
  }

  /** Takes over what `stateDict` returned. */
  loadStateDict(dict: SchedulerStateDict): void {
    const { best, cooldownCounter, numBadEpochs, lastEpoch, lastLr, ...settings } = structuredClone(dict);
    if (typeof lastEpoch !== "number" || !Array.isArray(lastLr)) {
      throw new RangeError("Cannot load the state of a schedule: lastEpoch or lastLr is missing");
    }
    this.#state = { best, cooldownCounter, numBadEpochs, lastEpoch, lastLr } as PlateauState;
    this.#settings = { ...this.#settings, ...settings };
  }
}
