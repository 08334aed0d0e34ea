/**
 * Micro-batches: where a program says which models it trains now.
 *
 * @module
 */
import type { AccumulationTarget, Gradients } from "./gradients.ts";

/** How gradients are accumulated. */
export interface GradientAccumulationOptions {
  /** The last batch of a loader closes the window, however short it is. Default true. */
  syncWithDataLoader?: boolean;
  /** Reduce between the ranks in every micro-batch: the gradients stay equal on all, for more communication. Default false. */
  syncEachBatch?: boolean;
}

/** Something that ends: with `using`, with a callback, or by hand. */
export class Region implements Disposable {
  readonly #end: () => void;
  #isOver = false;

  /**
   * Opens a region.
   *
   * @param end Called once.
   */
  constructor(end: () => void) {
    this.#end = end;
  }

  /** Ends it; a second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end();
  }
}

/** Runs a function in a region that ends with it, or with what it promises; without a function, returns the region. */
export function inRegion<T>(region: Region, fn: (() => T) | undefined): T | Region {
  if (fn === undefined) return region;
  let result: T;
  try {
    result = fn();
  } catch (error) {
    region[Symbol.dispose]();
    throw error;
  }
  if (result instanceof Promise) return result.finally(() => region[Symbol.dispose]()) as T;
  region[Symbol.dispose]();
  return result;
}

/** Counts micro-batches. */
export class Accumulation {
  readonly #gradients: Gradients;
  readonly #isLastBatch: () => boolean;

  /**
   * @param gradients Whose windows these are.
   * @param isLastBatch Whether the batch that is being used is the last of its loader.
   * @param options See {@link GradientAccumulationOptions}.
   */
  constructor(
    gradients: Gradients,
    isLastBatch: () => boolean,
    { syncWithDataLoader = true, syncEachBatch = false }: GradientAccumulationOptions = {},
  ) {
    this.#gradients = gradients;
    this.#isLastBatch = syncWithDataLoader ? isLastBatch : () => false;
    gradients.syncEachBatch = syncEachBatch;
  }

  /** Whether the current micro-batch, or the last one, closes its window. */
  get syncs(): boolean {
    return this.#gradients.latest.every((window) => window.closes);
  }

  /** Begins a micro-batch. */
  enter(target: AccumulationTarget): Region {
    const windows = this.#gradients.windowsOf(target);
    const { entered } = this.#gradients;
    const before = this.#gradients.latest;
    const isLast = this.#isLastBatch();
    const { globalBatch, steps } = this.#gradients;
    for (const window of windows) window.enter(globalBatch === null ? steps : Infinity, isLast);
    this.#gradients.entered = this.#gradients.latest = windows;
    return new Region(() => {
      this.#gradients.entered = entered;
      // After a micro-batch, the program still wants to know whether it took a step.
      if (entered !== null) this.#gradients.latest = before;
    });
  }

  /** Forgets which micro-batch was the last. */
  reset(): void {
    this.#gradients.latest = [];
    this.#gradients.entered = null;
  }
}
