/**
 * What the learning-rate schedules share. As in PyTorch a schedule changes the `lr` of the optimizer's groups from its current value
 * where it can, so that schedules and changes by hand combine.
 *
 * @module
 */
import { recording } from "../../core/recording.ts";

/** What a schedule needs of an optimizer. */
export interface Scheduled {
  readonly paramGroups: readonly { lr: number }[];
  readonly defaults: object;
}

/** A group with what schedules note in it; as the other settings these are part of the optimizer's state dict. */
export interface ScheduledGroup {
  lr: number;
  /** The learning rate at the beginning of the first schedule. */
  initialLr?: number;
  maxLr?: number;
  minLr?: number;
  momentum?: number;
  betas?: readonly [number, number];
  maxMomentum?: number;
  baseMomentum?: number;
}

/** Plain values: numbers, strings, booleans, null, and arrays and records of them. */
export type SchedulerStateDict = Record<string, unknown>;

/** One value for each group, from one for all or a list. */
export function perGroup<T>(name: string, optimizer: Scheduled, value: T | readonly T[]): T[] {
  const count = optimizer.paramGroups.length;
  if (!Array.isArray(value)) return new Array<T>(count).fill(value as T);
  if (value.length !== count) {
    throw new RangeError(`Cannot schedule: ${name} has ${value.length} values for ${count} parameter groups`);
  }
  return [...value];
}

/** Throws unless a setting is a positive integer. */
export function checkPositiveInteger(name: string, value: number): void {
  if (Number.isInteger(value) && value > 0) return;
  throw new RangeError(`Cannot schedule with ${name} ${value}: it must be a positive integer`);
}

/** Throws unless a setting is in [low, high], or above low where that is open. */
export function checkRange(name: string, value: number, low: number, high: number, lowIsOpen = false): void {
  if ((lowIsOpen ? value > low : value >= low) && value <= high) return;
  throw new RangeError(`Cannot schedule with ${name} ${value}: it must be in ${lowIsOpen ? "(" : "["}${low}, ${high}]`);
}

/** An option that all schedules have. */
export interface SchedulerOptions {
  /** Epoch before the next step: -1 begins, another one goes on with groups that have `initialLr`. Default -1. */
  lastEpoch?: number;
}

/**
 * Base of the schedules that depend only on how often `step()` was called. Call it after the optimizer's `step()`; whether an epoch
 * or a batch is one step is up to you.
 */
export abstract class LRScheduler<Settings extends object = object> {
  readonly optimizer: Scheduled;
  /** Steps so far; 0 after construction. */
  lastEpoch: number;
  /** Learning rates that the schedule began with, one for each group. */
  baseLrs: number[];
  /** @internal What describes the schedule; part of the state dict. */
  protected settings: Settings;
  /** @internal */
  protected stepCount = 0;
  /** @internal Whether the constructor's step runs. */
  protected isInitial = false;
  #lastLrs: number[] = [];

  /**
   * A subclass calls {@link initialStep} at the end of its constructor.
   *
   * @throws {RangeError} When it goes on (lastEpoch >= 0) and a group has no `initialLr`.
   */
  constructor(optimizer: Scheduled, settings: Settings, lastEpoch: number = -1) {
    this.optimizer = optimizer;
    this.settings = settings;
    this.groups.forEach((group, i) => {
      if (lastEpoch === -1) group.initialLr ??= group.lr;
      if (group.initialLr !== undefined) return;
      throw new RangeError(
        `Cannot go on at lastEpoch ${lastEpoch}: parameter group ${i} has no initialLr. Load the optimizer's state dict first`,
      );
    });
    this.baseLrs = this.groups.map(({ initialLr }) => initialLr!);
    this.lastEpoch = lastEpoch;
  }

  /** @internal */
  protected get groups(): readonly ScheduledGroup[] {
    return this.optimizer.paramGroups;
  }

  /** @internal The learning rates of the groups as they are. */
  protected currentLrs(): number[] {
    return this.groups.map(({ lr }) => lr);
  }

  /** For how many steps the schedule is made; `undefined` where it has no end. */
  get plannedSteps(): number | undefined {
    return undefined;
  }

  /** The learning rates at `lastEpoch`, one for each group. */
  protected abstract nextLrs(): number[];

  /** The same without regard to the current ones, where a formula exists. */
  protected closedLrs?(): number[];

  /** @internal The constructor's step, to epoch 0. */
  initialStep(): void {
    this.stepCount = 0;
    this.isInitial = true;
    try {
      this.step();
    } finally {
      this.isInitial = false;
    }
  }

  /** Sets the learning rates of the next epoch. */
  step(): void {
    if (recording !== null) {
      const before = this.stateDict();
      const lrs = this.currentLrs();
      recording.onReplay(() => this.step(), () => {
        this.loadStateDict(before);
        this.groups.forEach((group, i) => group.lr = lrs[i]);
      });
    }
    this.stepCount++;
    this.moveTo();
  }

  /** @internal Goes to an epoch, by default the next one. */
  moveTo(epoch?: number): void {
    this.lastEpoch = epoch ?? this.lastEpoch + 1;
    const lrs = epoch !== undefined && this.closedLrs !== undefined ? this.closedLrs() : this.nextLrs();
    if (lrs.length !== this.groups.length) {
      throw new RangeError(
        `Cannot step: the schedule has ${lrs.length} learning rates for ${this.groups.length} parameter groups. ` +
          "Make a new schedule after addParamGroup()",
      );
    }
    this.groups.forEach((group, i) => group.lr = lrs[i]);
    this.#lastLrs = lrs;
  }

  /** @internal Takes back one step of the count, for a schedule that begins later. */
  undo(): void {
    this.lastEpoch--;
  }

  /** The learning rates that the last step set, one for each group. */
  getLastLr(): number[] {
    return [...this.#lastLrs];
  }

  /** Position and settings. Functions are not part of it: give them to the constructor again. */
  stateDict(): SchedulerStateDict {
    return {
      ...structuredClone(this.settings),
      lastEpoch: this.lastEpoch,
      baseLrs: [...this.baseLrs],
      stepCount: this.stepCount,
      lastLr: this.getLastLr(),
    };
  }

  /** Takes over what `stateDict` returned. The learning rates themselves are in the state dict of the optimizer. */
  loadStateDict(dict: SchedulerStateDict): void {
    const { lastEpoch, baseLrs, stepCount, lastLr, ...settings } = structuredClone(dict);
    if (typeof lastEpoch !== "number" || !Array.isArray(baseLrs) || !Array.isArray(lastLr)) {
      throw new RangeError("Cannot load the state of a schedule: lastEpoch, baseLrs or lastLr is missing");
    }
    this.lastEpoch = lastEpoch;
    this.baseLrs = baseLrs;
    this.stepCount = Number(stepCount);
    this.#lastLrs = lastLr;
    this.settings = { ...this.settings, ...settings };
  }
}
