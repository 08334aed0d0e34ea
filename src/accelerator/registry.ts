/**
 * The objects whose state makes a checkpoint.
 *
 * @module
 */
import type { DataLoader } from "../data/data_loader.ts";
import type { Module } from "../nn/module.ts";
import type { AnyOptimizer } from "./optimizer_link.ts";
import type { Scheduler } from "./schedulers.ts";

/** An object whose state can be taken and given back. The state consists of plain values, typed arrays and tensors. */
export interface Stateful {
  stateDict(): unknown;
  loadStateDict(state: never): unknown;
}

/** Prepared objects of each kind, in the order of their preparation. */
export interface PreparedObjects {
  readonly models: Iterable<Module>;
  readonly optimizers: Iterable<AnyOptimizer>;
  readonly schedulers: Iterable<Scheduler>;
  readonly loaders: Iterable<DataLoader<unknown, unknown>>;
}

function isStateful(object: unknown): object is Stateful {
  return typeof object === "object" && object !== null &&
    "stateDict" in object && typeof object.stateDict === "function" &&
    "loadStateDict" in object && typeof object.loadStateDict === "function";
}

/** What is prepared, and objects of the user's. */
export class Registry {
  readonly #prepared: () => PreparedObjects;
  readonly #custom: Stateful[] = [];
  /** The loss scaler of mixed precision. */
  scaler: Stateful | undefined;

  /** @param prepared What is prepared now. */
  constructor(prepared: () => PreparedObjects) {
    this.#prepared = prepared;
  }

  get models(): Module[] {
    return [...this.#prepared().models];
  }

  get optimizers(): AnyOptimizer[] {
    return [...this.#prepared().optimizers];
  }

  get schedulers(): Scheduler[] {
    return [...this.#prepared().schedulers];
  }

  get loaders(): DataLoader<unknown, unknown>[] {
    return [...this.#prepared().loaders];
  }

  /** Objects of the user's. */
  get custom(): readonly Stateful[] {
    return this.#custom;
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
    for (const object of objects as Stateful[]) if (!this.#custom.includes(object)) this.#custom.push(object);
  }
}
