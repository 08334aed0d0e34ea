/**
 * Learning-rate schedules: they count the steps of their optimizer.
 *
 * @module
 */
import { OneCycleLR } from "../optim/lr_scheduler/cyclic.ts";
import type { AnyOptimizer, OptimizerLink } from "./optimizer_link.ts";

/** What a prepared schedule must have. */
export interface Scheduler {
  // deno-lint-ignore no-explicit-any
  step(...args: any[]): void;
  getLastLr(): number[];
  readonly optimizer?: unknown;
  readonly lastEpoch?: number;
  readonly plannedSteps?: number | undefined;
  stateDict(): Record<string, unknown>;
  loadStateDict(state: Record<string, unknown>): void;
}

/**
 * What a call of `step()` of a prepared schedule does.
 * - `true`: one step, when the optimizer has taken one; nothing while gradients are accumulated.
 * - `false`: one step, always.
 * - `"numProcesses"`: as Accelerate: as `true`, but as many steps as there are processes (one with `splitBatches`).
 */
export type SchedulerStepping = boolean | "numProcesses";

/** Whether a value is a schedule. */
export function isScheduler(value: unknown): value is Scheduler {
  if (typeof value !== "object" || value === null) return false;
  const { step, getLastLr, stateDict, loadStateDict } = value as Partial<Scheduler>;
  return [step, getLastLr, stateDict, loadStateDict].every((method) => typeof method === "function");
}

/** How schedules are prepared. */
export interface SchedulerPreparation {
  readonly links: ReadonlyMap<AnyOptimizer, OptimizerLink>;
  readonly stepping: SchedulerStepping;
  /** Steps at a time. */
  readonly times: number;
  readonly warn: (message: string) => void;
}

/** The schedules of an Accelerator: `step` of each is its own property, as hooks of modules are. */
export class Schedulers {
  readonly #preparation: SchedulerPreparation;
  readonly #prepared = new Set<Scheduler>();

  /** @param preparation See {@link SchedulerPreparation}. */
  constructor(preparation: SchedulerPreparation) {
    this.#preparation = preparation;
  }

  /** The schedules, in the order of their preparation. */
  get prepared(): ReadonlySet<Scheduler> {
    return this.#prepared;
  }

  prepare(scheduler: Scheduler): void {
    if (this.#prepared.has(scheduler)) return;
    this.#prepared.add(scheduler);
    const { links, stepping, times, warn } = this.#preparation;
    const step = scheduler.step;
    let hasWarned = false;
    /** Whether the plan has a step left; one that is over is said once. */
    const isPlanned = (): boolean => {
      const { plannedSteps, lastEpoch } = scheduler;
      if (plannedSteps === undefined || lastEpoch === undefined || lastEpoch < plannedSteps) return true;
      if (!hasWarned) {
        warn(
          `The learning-rate schedule was planned for ${plannedSteps} steps, and training takes more. A step is one of the ` +
            `optimizer: plan epochs * ceil(batches of a rank / gradientAccumulationSteps) of them`,
        );
      }
      hasWarned = true;
      return false;
    };
    const prepared = (...args: unknown[]): void => {
      if (stepping !== false && !this.#hasStepped(scheduler, links)) return;
      for (let i = 0; i < (stepping === "numProcesses" ? times : 1); i++) {
        // One cycle has no learning rate after its end, and throws.
        if (!isPlanned() && scheduler instanceof OneCycleLR) return;
        step.apply(scheduler, args);
      }
    };
    Object.defineProperty(scheduler, "step", {
      value: prepared,
      configurable: true,
      writable: true,
      enumerable: false,
    });
  }

  /** Whether the optimizer of a schedule, or every optimizer where it names none, took the step that it was asked for. */
  #hasStepped(scheduler: Scheduler, links: ReadonlyMap<AnyOptimizer, OptimizerLink>): boolean {
    const own = links.get(scheduler.optimizer as AnyOptimizer);
    return own === undefined ? [...links.values()].every(({ tookStep }) => tookStep) : own.tookStep;
  }

  /** Gives schedules back, all or those named. */
  release(schedulers: Iterable<Scheduler> = [...this.#prepared]): void {
    for (const scheduler of schedulers) if (this.#prepared.delete(scheduler)) Reflect.deleteProperty(scheduler, "step");
  }
}
