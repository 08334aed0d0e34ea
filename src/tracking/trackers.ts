/**
 * The trackers of a run.
 *
 * @module
 */
import { JsonlTracker } from "./jsonl_tracker.ts";
import { TensorBoardTracker } from "./tensorboard_tracker.ts";
import { checkTracker, trackedValues, type Tracker, type TrackerClass } from "./tracker.ts";
import { WandbTracker } from "./wandb_tracker.ts";

/** A tracker by its name, or one of your own. */
export type TrackerChoice = "jsonl" | "tensorboard" | "wandb" | "all" | (string & Record<never, never>) | Tracker;

const BUILT_IN: Readonly<Record<string, TrackerClass>> = {
  jsonl: JsonlTracker,
  tensorboard: TensorBoardTracker,
  wandb: WandbTracker,
};

/** What `getTracker` gives on processes that do not log: everything is allowed, nothing happens. */
class BlankTracker implements Tracker {
  readonly name: string;
  readonly requiresLoggingDirectory = false;

  constructor(name: string) {
    this.name = name;
  }

  start(): void {}
  storeInitConfiguration(): void {}
  log(): void {}
  finish(): void {}
}

/** How trackers are chosen. */
export interface TrackersOptions {
  /** Which; default JSONL. */
  readonly logWith: TrackerChoice | readonly TrackerChoice[];
  readonly loggingDir: string | undefined;
  readonly isMainProcess: boolean;
}

/** The trackers of one Accelerator. */
export class Trackers {
  readonly #options: TrackersOptions;
  readonly #classes = new Map<string, TrackerClass>(Object.entries(BUILT_IN));
  #running: Tracker[] = [];
  /** Names of trackers that run on the main process only, and this is another. */
  #elsewhere = new Set<string>();

  /** @param options Which trackers, and where they write. */
  constructor(options: TrackersOptions) {
    this.#options = options;
  }

  /** The trackers that run here. */
  get running(): readonly Tracker[] {
    return this.#running;
  }

  /**
   * Makes a class of trackers known by a name. The name of a known one is taken over, with a warning.
   *
   * @throws {TypeError} When it is no class.
   */
  register(name: string, trackerClass: TrackerClass): void {
    if (typeof trackerClass !== "function") {
      throw new TypeError(`Cannot register the tracker "${name}": give a class, got ${typeof trackerClass}`);
    }
    if (this.#classes.has(name)) console.warn(`The tracker "${name}" is replaced by ${trackerClass.name}`);
    this.#classes.set(name, trackerClass);
  }

  #create(choice: TrackerChoice): Tracker[] {
    if (typeof choice !== "string") return [choice];
    if (choice === "all") return [...this.#classes.values()].map((each) => new each());
    const trackerClass = this.#classes.get(choice);
    if (trackerClass === undefined) {
      const known = [...this.#classes.keys(), "all"].join(", ");
      throw new RangeError(
        `Cannot log with "${choice}": the trackers are ${known}. Register yours with registerTrackerClass`,
      );
    }
    return [new trackerClass()];
  }

  /**
   * Starts the trackers and gives them the configuration. Of "all", those that cannot start are left out.
   *
   * @throws {TypeError} When an object is no tracker, or one cannot start.
   * @throws {RangeError} When a name is unknown, or a tracker needs a folder and there is none.
   */
  async init(project: string, config: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.finish();
    const { logWith, loggingDir, isMainProcess } = this.#options;
    const choices = Array.isArray(logWith) ? logWith as readonly TrackerChoice[] : [logWith as TrackerChoice];
    for (const choice of choices) {
      for (const tracker of this.#create(choice)) {
        checkTracker(tracker);
        if (!isMainProcess && tracker.mainProcessOnly !== false) {
          this.#elsewhere.add(tracker.name);
          continue;
        }
        try {
          if (tracker.requiresLoggingDirectory && loggingDir === undefined) {
            throw new RangeError(
              `Cannot log with "${tracker.name}" without a folder: give the Accelerator a projectDir`,
            );
          }
          await tracker.start({ project, loggingDir });
        } catch (error) {
          if (choice === "all") continue;
          throw error;
        }
        this.#running.push(tracker);
        await tracker.storeInitConfiguration(trackedValues(config));
      }
    }
    if (isMainProcess && this.#running.length === 0) {
      console.warn("No tracker could start: what is logged is lost");
    }
  }

  /**
   * A tracker by its name; one that does nothing on processes that do not log.
   *
   * @throws {RangeError} When there is none of this name.
   */
  get(name: string): Tracker {
    const found = this.#running.find((tracker) => tracker.name === name);
    if (found !== undefined) return found;
    if (this.#elsewhere.has(name)) return new BlankTracker(name);
    const known = [...this.#running.map((tracker) => tracker.name), ...this.#elsewhere].join(", ") || "none yet";
    throw new RangeError(`Cannot get the tracker "${name}": initTrackers has started ${known}`);
  }

  /**
   * Gives values to all trackers; those that write files have written when it returns.
   *
   * @throws {RangeError} When the step is no integer of at least 0.
   */
  async log(values: Readonly<Record<string, unknown>>, step: number | undefined): Promise<void> {
    if (step !== undefined && !(Number.isSafeInteger(step) && step >= 0)) {
      throw new RangeError(`Cannot log at step ${step}: it must be a non-negative integer`);
    }
    if (this.#running.length === 0) return;
    const tracked = trackedValues(values);
    await Promise.all(this.#running.map((tracker) => tracker.log(tracked, step)));
  }

  /** Ends all trackers. */
  async finish(): Promise<void> {
    const running = this.#running;
    this.#running = [];
    this.#elsewhere.clear();
    for (const tracker of running) await tracker.finish();
  }
}
