/**
 * What an experiment tracker is, and the names under which classes of them are known.
 *
 * @module
 */
import { Tensor } from "../tensor.ts";

/** A value that trackers take: tensors were made into numbers, or nested arrays of them. */
export type TrackedValue = number | bigint | boolean | string | null | TrackedValue[] | {
  [name: string]: TrackedValue;
};

/** Values by name. */
export type TrackedValues = Record<string, TrackedValue>;

/** Where a tracker writes. */
export interface TrackerContext {
  /** Name of the project or run. */
  readonly project: string;
  /** A folder for its files; undefined when the Accelerator has no projectDir. */
  readonly loggingDir: string | undefined;
}

/** Keeps what a run logs. Its methods are called on the main process, or on all when `mainProcessOnly` is false. */
export interface Tracker {
  /** By which `getTracker` finds it. */
  readonly name: string;
  /** Whether it needs a folder. */
  readonly requiresLoggingDirectory: boolean;
  /** Whether only the main process uses it. Default true. */
  readonly mainProcessOnly?: boolean;
  /** What it wraps, for what this interface cannot do. */
  readonly tracker?: unknown;
  /** Begins; called by `initTrackers`, not by the constructor, so that a tracker may be made before it is known where it writes. */
  start(context: TrackerContext): void | Promise<void>;
  /** Keeps the configuration of the run. */
  storeInitConfiguration(config: TrackedValues): void | Promise<void>;
  /** Keeps values of a step; without one, of the next. */
  log(values: TrackedValues, step: number | undefined): void | Promise<void>;
  /** Writes what is left. */
  finish(): void | Promise<void>;
}

/** A class of trackers. */
export type TrackerClass = new () => Tracker;

const PROPERTIES: readonly (readonly [keyof Tracker, string])[] = [
  ["name", "string"],
  ["requiresLoggingDirectory", "boolean"],
  ["start", "function"],
  ["storeInitConfiguration", "function"],
  ["log", "function"],
  ["finish", "function"],
];

/**
 * Throws unless an object is a tracker.
 *
 * @throws {TypeError} It names everything that is missing.
 */
export function checkTracker(tracker: unknown): asserts tracker is Tracker {
  const object = Object(tracker) as Record<string, unknown>;
  const typeOf = (name: string): string => typeof object[name];
  const missing = PROPERTIES.filter(([name, type]) => typeOf(name) !== type).map(([name, type]) => `${name} (${type})`);
  if (missing.length === 0) return;
  throw new TypeError(`Cannot use ${object.constructor?.name ?? "it"} as a tracker: it lacks ${missing.join(", ")}`);
}

/**
 * What trackers get of a value that the user logs: tensors become numbers, or nested arrays when they have several elements. The value
 * itself is not changed.
 */
export function trackedValue(value: unknown): TrackedValue {
  if (value instanceof Tensor) return value.size === 1 ? value.item() : value.toArray() as TrackedValue;
  if (value === undefined) return null;
  if (typeof value !== "object" || value === null) return value as TrackedValue;
  if (Array.isArray(value)) return value.map(trackedValue);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number>);
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return String(value);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, trackedValue(item)]));
}

/** The same for values by name. */
export function trackedValues(values: Readonly<Record<string, unknown>>): TrackedValues {
  return trackedValue({ ...values }) as TrackedValues;
}
