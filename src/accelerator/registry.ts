/**
 * What an Accelerator has prepared: the objects whose state makes a checkpoint.
 *
 * @module
 */
import { DataLoader } from "../data/data_loader.ts";
import { Module } from "../nn/module.ts";
import { ChainedScheduler, LRScheduler, ReduceLROnPlateau } from "../optim/lr_scheduler/mod.ts";
import { Optimizer } from "../optim/optimizer.ts";

/** An object whose state can be taken and given back. The state consists of plain values, typed arrays and tensors. */
export interface Stateful {
  stateDict(): unknown;
  loadStateDict(state: never): unknown;
}

/** A schedule of learning rates. */
export type Scheduler = LRScheduler | ReduceLROnPlateau | ChainedScheduler;

// deno-lint-ignore no-explicit-any
type AnyOptimizer = Optimizer<any>;
// deno-lint-ignore no-explicit-any
type AnyLoader = DataLoader<any, any>;

/** Whether an object has `stateDict` and `loadStateDict`. */
export function isStateful(object: unknown): object is Stateful {
  return typeof object === "object" && object !== null &&
    "stateDict" in object && typeof object.stateDict === "function" &&
    "loadStateDict" in object && typeof object.loadStateDict === "function";
}

/** Objects in the order in which they were prepared, each once. */
export class Registry {
  readonly models: Module[] = [];
  readonly optimizers: AnyOptimizer[] = [];
  readonly schedulers: Scheduler[] = [];
  readonly loaders: AnyLoader[] = [];
  /** Objects of the user's. */
  readonly custom: Stateful[] = [];
  /** The loss scaler of mixed precision. */
  scaler: Stateful | undefined;

  /** Adds what a checkpoint holds; other values are nothing to it. */
  add(object: unknown): void {
    if (object instanceof Module) addOnce(this.models, object);
    else if (object instanceof Optimizer) addOnce(this.optimizers, object);
    else if (object instanceof DataLoader) addOnce(this.loaders, object);
    else if (
      object instanceof LRScheduler || object instanceof ReduceLROnPlateau || object instanceof ChainedScheduler
    ) addOnce(this.schedulers, object);
  }

  /**
   * Adds objects of the user's.
   *
   * @throws {TypeError} When some have no stateDict and loadStateDict; it names the place of each, and adds none.
   */
  register(...objects: unknown[]): void {
    const wrong = objects.flatMap((object, i) => isStateful(object) ? [] : [i]);
    if (wrong.length > 0) {
      const names = wrong.map((i) => `${i} (${(objects[i] as object)?.constructor?.name ?? typeof objects[i]})`);
      throw new TypeError(
        `Cannot register for checkpointing: every object must have stateDict() and loadStateDict(), but these do not: ${
          names.join(", ")
        }`,
      );
    }
    for (const object of objects as Stateful[]) addOnce(this.custom, object);
  }
}

function addOnce<T>(list: T[], object: T): void {
  if (!list.includes(object)) list.push(object);
}
