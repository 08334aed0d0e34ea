/**
 * The methods of the Accelerator that observe: loggers, trackers, profiles.
 *
 * @module
 */
import type { Tracker, TrackerClass } from "../tracking/tracker.ts";
import type { Trackers } from "../tracking/trackers.ts";
import { Logger, type LoggerOptions } from "./logger.ts";
import { profile } from "./profile.ts";
import { StateMethods, type StateParts } from "./state_methods.ts";

/** What these methods need. */
export interface ObservingParts extends StateParts {
  readonly trackers: Trackers;
}

/** Observing: what is said about a run while it goes on. */
export abstract class ObservingMethods extends StateMethods {
  /** @internal */
  abstract override readonly parts: ObservingParts;
  /** Where checkpoints and logs of this run go. */
  abstract readonly projectDir: string | undefined;

  /** Ends the job. */
  abstract end(): Promise<void>;

  /**
   * A logger that prints on the main process only, unless a message asks for more.
   *
   * @param name Stands in each message, for example that of the module.
   * @param options `level`; `write` for messages that go elsewhere.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { Accelerator } from "../../mod.ts";
   * const messages: string[] = [];
   * const logger = new Accelerator().getLogger("train", { write: ({ message }) => void messages.push(message) });
   * logger.info("epoch 1");
   * logger.debug("not shown");
   * await logger.info("every rank, one after the other", { inOrder: true });
   * assertEquals(messages, ["[RANK 0] epoch 1", "[RANK 0] every rank, one after the other"]);
   * ```
   */
  getLogger(name: string, options: LoggerOptions = {}): Logger {
    const barrier = () => this.waitForEveryone();
    return new Logger(name, { rank: this.processIndex, worldSize: this.numProcesses, barrier }, options);
  }

  /**
   * Starts the trackers that the option `logWith` names.
   *
   * @param project Name of the project; files lie in a folder of this name.
   * @param config Settings of the run.
   * @throws {RangeError} When a tracker is unknown, or needs a projectDir.
   * @throws {TypeError} When a tracker lacks something, or its package is not installed.
   */
  initTrackers(project: string, config: Readonly<Record<string, unknown>> = {}): Promise<void> {
    return this.parts.trackers.init(project, config);
  }

  /** Makes a class of trackers known by a name that the option `logWith` may have. */
  registerTrackerClass(name: string, trackerClass: TrackerClass): void {
    this.parts.trackers.register(name, trackerClass);
  }

  /** The trackers that run in this process. */
  get trackers(): readonly Tracker[] {
    return this.parts.trackers.running;
  }

  /**
   * A tracker by its name; on other ranks one that does nothing.
   *
   * @throws {RangeError} When none of this name was started.
   */
  getTracker(name: string): Tracker {
    return this.parts.trackers.get(name);
  }

  /**
   * Logs values with all trackers, from the main process. Tensors become numbers.
   *
   * @param values By name.
   * @param options `step`; without it trackers count.
   */
  log(values: Readonly<Record<string, unknown>>, { step }: { step?: number } = {}): Promise<void> {
    return this.parts.trackers.log(values, step);
  }

  /** Ends the trackers and the job, as {@link end} does. */
  endTraining(): Promise<void> {
    return this.end();
  }

  /**
   * Runs a function and writes a trace of what every rank does meanwhile, for chrome://tracing or ui.perfetto.dev. Every rank must call it.
   *
   * @param fn What runs.
   * @param options `path` of the file; default `<projectDir>/profile.json`.
   * @returns What the function returned.
   */
  async profile<T>(fn: () => T | Promise<T>, { path }: { path?: string } = {}): Promise<T> {
    const { ranks, registry } = this.parts;
    return await profile({ ranks, registry, accelerator: this }, path ?? `${this.projectDir ?? "."}/profile.json`, fn);
  }
}
