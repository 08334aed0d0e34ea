/**
 * The loop between a source of batches and the training steps.
 *
 * @module
 */
import { endScope, resumeScope, type Scope, withScope } from "../core/scope.ts";
import type { Iteration, LoaderObserver } from "./iteration.ts";
import { END, type Pending, type Source } from "./source.ts";

/** How batches are used. */
export interface UseOptions {
  /** How many are begun before they are wanted. */
  readonly ahead: number;
  /** Whether to wait for the next batch to know if the current one is the last. */
  readonly looksAhead: boolean;
  /** Moves a batch to the device of the model. */
  readonly place: (batch: unknown) => unknown;
  readonly observer: LoaderObserver | undefined;
}

/** Finalizers, signals and I/O run only between macrotasks (2 us). */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Moves a batch to the device as soon as it is made: the copy is then done by the time the batch is used. */
function placedAhead({ scope, batch }: Pending, place: (batch: unknown) => unknown): Pending {
  const move = (made: unknown): unknown => made === END || scope.ended ? made : withScope(scope, () => place(made));
  return { scope, batch: batch instanceof Promise ? batch.then(move) : move(batch) };
}

/** Begins batches until there are enough, and takes the first. */
function nextOf(
  queue: Pending[],
  source: Source,
  { ahead, place }: Pick<UseOptions, "ahead" | "place">,
): Pending | undefined {
  while (queue.length <= ahead) {
    const started = source.start();
    if (started === undefined) break;
    // What another rank hands out is placed when it has come.
    const pending = source.deliver === undefined ? placedAhead(started, place) : started;
    // An error is thrown where its batch is used, not before.
    if (pending.batch instanceof Promise) pending.batch.catch(() => {});
    queue.push(pending);
  }
  return queue.shift();
}

async function isEnd(next: Pending | undefined): Promise<boolean> {
  if (next === undefined) return true;
  try {
    return await next.batch === END;
  } catch {
    return false;
  }
}

async function made(pending: Pending, source: Source): Promise<unknown> {
  try {
    return await pending.batch;
  } catch (error) {
    await source.fail?.(error);
    throw error;
  }
}

/** Yields each batch in the scope of its step. */
export async function* useBatches(
  source: Source,
  iteration: Iteration,
  { ahead, looksAhead, place, observer }: UseOptions,
): AsyncGenerator<unknown, void, undefined> {
  const queue: Pending[] = [];
  let step: Scope | undefined;
  try {
    for (let i = 0; !iteration.isLast; i++) {
      const pending = ahead === 0 ? source.start() : nextOf(queue, source, { ahead, place });
      if (pending === undefined) return;
      step = pending.scope;
      resumeScope(step);
      let batch = pending.batch instanceof Promise ? await made(pending, source) : pending.batch;
      let isLast = source.length === undefined ? looksAhead && await isEnd(queue[0]) : i === source.length - 1;
      if (source.deliver !== undefined) ({ batch, isLast } = await source.deliver(batch, isLast, step));
      if (batch === END) return;
      if (ahead === 0 || source.deliver !== undefined) batch = place(batch);
      iteration.advance(isLast);
      observer?.onBatch(iteration);
      yield batch;
      // Samples that have just arrived must have found their batch's scope before the step's ends.
      if (ahead > 0) await macrotask();
      endScope(step);
      if (ahead === 0) await macrotask();
    }
  } finally {
    if (step !== undefined) endScope(step);
    for (const { scope } of queue) endScope(scope);
    const closed = source.close();
    // What is being fetched ahead may never come.
    if (queue.length === 0) await closed;
    else closed.catch(() => {});
  }
}
