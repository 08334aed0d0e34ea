/**
 * Code that only some ranks run. A collective in there would wait for the others for ever, so it throws at once.
 *
 * @module
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { CollectiveError } from "../core/errors.ts";
import { nodeAsyncHooks } from "../core/node_modules.ts";

/** Where code runs, and which operations are possible there all the same. */
interface Place {
  readonly name: string;
  readonly allowed: readonly string[];
}

/** Knows whether the code that runs now belongs to a region of some ranks, through every await inside of it. */
export class Regions {
  #inside: AsyncLocalStorage<Place> | undefined;
  readonly #rank: number;
  /** Regions that are open; most of the time none, and then nothing is asked. */
  #open = 0;

  /** @param rank This process, for error messages. */
  constructor(rank: number) {
    this.#rank = rank;
  }

  /**
   * Runs a function, or waits for what it promises, as a region.
   *
   * @param name For messages.
   * @param fn What only some ranks run.
   * @param allowed Operations that work there.
   */
  run<T>(name: string, fn: () => T, allowed: readonly string[] = []): T {
    this.#open++;
    let result: T;
    try {
      this.#inside ??= new (nodeAsyncHooks().AsyncLocalStorage)<Place>();
      result = this.#inside.run({ name, allowed }, fn);
    } catch (error) {
      this.#open--;
      throw error;
    }
    if (!(result instanceof Promise)) {
      this.#open--;
      return result;
    }
    return result.finally(() => this.#open--) as T;
  }

  /**
   * Throws inside of a region.
   *
   * @param op What was to be called.
   * @throws {CollectiveError} When some ranks do not come here.
   */
  forbid(op: string): void {
    if (this.#open === 0) return;
    const place = this.#inside?.getStore();
    if (place === undefined || place.allowed.includes(op)) return;
    throw new CollectiveError(
      `Cannot call ${op} inside ${place.name}: every rank must take part, and only some run this code. Call it before or after, or ` +
        `let all ranks call it`,
      { rank: this.#rank, op },
    );
  }
}
