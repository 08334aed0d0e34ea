/**
 * Several schedules one after another or at once: SequentialLR and ChainedScheduler of `torch.optim.lr_scheduler`.
 *
 * @module
 */
import { refuseRecording } from "../../core/recording.ts";
import { LRScheduler, type Scheduled, type SchedulerStateDict } from "./scheduler.ts";

function checkSchedulers(schedulers: readonly LRScheduler[], optimizer: Scheduled): void {
  if (schedulers.length === 0) throw new RangeError("Cannot combine schedules: give at least one");
  schedulers.forEach((scheduler, i) => {
    if (!(scheduler instanceof LRScheduler)) {
      throw new TypeError(`Cannot combine schedules: number ${i} is none that steps without a metric`);
    }
    if (scheduler.optimizer !== optimizer) {
      throw new RangeError(`Cannot combine schedules: number ${i} belongs to another optimizer`);
    }
  });
}

function loadSchedulers(schedulers: readonly LRScheduler[], saved: unknown): void {
  if (!Array.isArray(saved) || saved.length !== schedulers.length) {
    throw new RangeError(
      `Cannot load the state of combined schedules: it must be that of ${schedulers.length} schedules`,
    );
  }
  schedulers.forEach((scheduler, i) => scheduler.loadStateDict(saved[i]));
}

/** Options of {@link SequentialLR}. */
export interface SequentialLROptions {
  /** The schedules, all made for this optimizer. */
  schedulers: readonly LRScheduler[];
  /** Steps at which the next schedule begins: one fewer than there are schedules. */
  milestones: readonly number[];
}

/**
 * One schedule after another, each from its own step 0.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { optim, zeros } from "../../../mod.ts";
 * const { LinearLR, ExponentialLR, SequentialLR } = optim.lrScheduler;
 * const optimizer = new optim.SGD([zeros([2], { requiresGrad: true })], { lr: 0.1 });
 * const schedulers = [new LinearLR(optimizer, { totalIters: 4 }), new ExponentialLR(optimizer, { gamma: 0.5 })];
 * const scheduler = new SequentialLR(optimizer, { schedulers, milestones: [4] });
 * for (let step = 0; step < 5; step++) scheduler.step();
 * assertAlmostEquals(scheduler.getLastLr()[0], 0.05);
 * ```
 */
export class SequentialLR extends LRScheduler {
  readonly #schedulers: readonly LRScheduler[];
  #milestones: number[];
  #active: LRScheduler;

  /**
   * @param optimizer Whose groups are scheduled.
   * @param options Schedules and milestones.
   * @throws {RangeError} When the number of milestones does not fit, or a schedule belongs to another optimizer.
   */
  constructor(optimizer: Scheduled, { schedulers, milestones }: SequentialLROptions) {
    checkSchedulers(schedulers, optimizer);
    if (milestones.length !== schedulers.length - 1) {
      throw new RangeError(
        `Cannot run ${schedulers.length} schedules one after another: give ${
          schedulers.length - 1
        } milestones, got ${milestones.length}`,
      );
    }
    super(optimizer, {});
    this.#schedulers = [...schedulers];
    this.#milestones = [...milestones];
    this.lastEpoch = 0;
    for (const group of this.groups) group.lr = group.initialLr!;
    // The constructors have made their first steps; only that of the schedule of step 0 counts.
    for (const scheduler of schedulers) scheduler.undo();
    this.#active = this.#schedulers[this.#indexAt(0)];
    this.#active.initialStep();
  }

  override get plannedSteps(): number | undefined {
    const last = this.#schedulers[this.#schedulers.length - 1].plannedSteps;
    return last === undefined ? undefined : last + (this.#milestones[this.#milestones.length - 1] ?? 0);
  }

  /** How many milestones an epoch has reached. */
  #indexAt(epoch: number): number {
    return this.#milestones.filter((milestone) => milestone <= epoch).length;
  }

  override undo(): void {
    for (const scheduler of this.#schedulers) scheduler.undo();
  }

  override initialStep(): void {
    this.lastEpoch = 0;
    this.#active = this.#schedulers[this.#indexAt(0)];
    this.#active.initialStep();
  }

  override step(): void {
    this.#advance();
  }

  override moveTo(epoch?: number): void {
    if (epoch !== undefined) {
      throw new RangeError("Cannot begin a SequentialLR inside another: list all schedules and milestones in one");
    }
    this.#advance();
  }

  #advance(): void {
    this.lastEpoch++;
    const index = this.#indexAt(this.lastEpoch);
    this.#active = this.#schedulers[index];
    if (index > 0 && this.#milestones[index - 1] === this.lastEpoch) this.#active.moveTo(0);
    else this.#active.step();
  }

  protected override nextLrs(): number[] {
    return this.currentLrs();
  }

  override getLastLr(): number[] {
    return this.#active.getLastLr();
  }

  override stateDict(): SchedulerStateDict {
    return {
      lastEpoch: this.lastEpoch,
      milestones: [...this.#milestones],
      lastLr: this.getLastLr(),
      schedulers: this.#schedulers.map((scheduler) => scheduler.stateDict()),
    };
  }

  override loadStateDict(dict: SchedulerStateDict): void {
    loadSchedulers(this.#schedulers, dict.schedulers);
    this.#milestones = [...dict.milestones as number[]];
    this.lastEpoch = dict.lastEpoch as number;
    this.#active = this.#schedulers[this.#indexAt(this.lastEpoch)];
  }
}

/** Several schedules at once: each multiplies what those before it left. */
export class ChainedScheduler {
  readonly #schedulers: readonly LRScheduler[];
  readonly optimizer: Scheduled;
  #lastLrs: number[];

  /**
   * @param schedulers At least one, all of the same optimizer, each with a step from the current learning rate.
   */
  constructor(schedulers: readonly LRScheduler[]) {
    checkSchedulers(schedulers, schedulers[0]?.optimizer);
    this.#schedulers = [...schedulers];
    this.optimizer = schedulers[0].optimizer;
    this.#lastLrs = this.optimizer.paramGroups.map(({ lr }) => lr);
  }

  /** Steps every schedule. */
  step(): void {
    refuseRecording("ChainedScheduler.step()", "call it after the captured step, or step its schedules one by one");
    for (const scheduler of this.#schedulers) scheduler.step();
    this.#lastLrs = this.optimizer.paramGroups.map(({ lr }) => lr);
  }

  /** The learning rates that the last step set, one for each group. */
  getLastLr(): number[] {
    return [...this.#lastLrs];
  }

  /** The states of the schedules. */
  stateDict(): SchedulerStateDict {
    return { lastLr: this.getLastLr(), schedulers: this.#schedulers.map((scheduler) => scheduler.stateDict()) };
  }

  /** Takes over what `stateDict` returned. */
  loadStateDict(dict: SchedulerStateDict): void {
    loadSchedulers(this.#schedulers, dict.schedulers);
    this.#lastLrs = [...dict.lastLr as number[]];
  }
}
