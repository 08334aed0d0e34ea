/**
 * A profile of what ranks do: compute, communication and waiting for data, as a trace that chrome://tracing and Perfetto show.
 *
 * @module
 */
import { gatherValues } from "./agreement.ts";
import type { Ranks } from "./ranks.ts";
import type { Registry } from "./registry.ts";

/** What a span of time was used for. */
type Kind = "compute" | "communication" | "data";

const KINDS: readonly Kind[] = ["compute", "communication", "data"];

/** Name, kind, begin and duration in microseconds. */
type Span = readonly [name: string, kind: Kind, begin: number, duration: number];

// deno-lint-ignore no-explicit-any
type AnyFunction = (...inputs: any[]) => any;

/** Notes spans; its clock is the same for all processes of a machine. */
class Recorder {
  readonly spans: Span[] = [];
  readonly #restore: (() => void)[] = [];

  now(): number {
    return (performance.timeOrigin + performance.now()) * 1000;
  }

  note(name: string, kind: Kind, begin: number): void {
    this.spans.push([name, kind, begin, this.now() - begin]);
  }

  /** Runs a function and notes how long it took, until its promise settles when it returns one. */
  time<T>(name: string, kind: Kind, run: () => T): T {
    const begin = this.now();
    let result: T;
    try {
      result = run();
    } catch (error) {
      this.note(name, kind, begin);
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.note(name, kind, begin)) as T;
    this.note(name, kind, begin);
    return result;
  }

  /** Replaces a method of one object until {@link stop}. */
  override(object: object, key: PropertyKey, make: (original: AnyFunction) => AnyFunction): void {
    const own = Object.getOwnPropertyDescriptor(object, key);
    const original = Reflect.get(object, key) as AnyFunction;
    Object.defineProperty(object, key, { value: make(original.bind(object)), configurable: true, writable: true });
    this.#restore.push(() => {
      if (own === undefined) Reflect.deleteProperty(object, key);
      else Object.defineProperty(object, key, own);
    });
  }

  watch(object: object, key: string, kind: Kind, name: string = key): void {
    this.override(object, key, (original) => (...inputs) => this.time(name, kind, () => original(...inputs)));
  }

  watchLoader(loader: AsyncIterable<unknown>, name: string): void {
    const time = this.time.bind(this);
    this.override(loader, Symbol.asyncIterator, (original) => () => {
      const iterator = original() as AsyncGenerator<unknown>;
      const next = iterator.next.bind(iterator);
      iterator.next = () => time(name, "data", () => next());
      return iterator;
    });
  }

  stop(): void {
    for (const restore of this.#restore.reverse()) restore();
    this.#restore.length = 0;
  }
}

/** What is profiled. */
export interface ProfileTarget {
  readonly registry: Registry;
  readonly ranks: Ranks;
  /** Whose `backward` is timed. */
  readonly accelerator: object;
}

/**
 * Runs a function and writes a trace of it: a row for each rank, with lines for compute (forward, backward, step), communication and data.
 * Nothing is measured outside of it, and nothing costs time then.
 *
 * @param target What is profiled.
 * @param path The file; rank 0 writes it.
 * @param fn What runs.
 * @returns What the function returned.
 */
export async function profile<T>(
  { registry, ranks, accelerator }: ProfileTarget,
  path: string,
  fn: () => T | Promise<T>,
): Promise<T> {
  ranks.regions.forbid("profile");
  const group = await ranks.join();
  const recorder = new Recorder();
  const numbered = (name: string, index: number): string => index === 0 ? name : `${name} ${index}`;
  registry.models.forEach((model, i) => recorder.watch(model, "forward", "compute", numbered("forward", i)));
  registry.optimizers.forEach((optimizer, i) => recorder.watch(optimizer, "step", "compute", numbered("step", i)));
  registry.loaders.forEach((loader, i) => recorder.watchLoader(loader, numbered("next batch", i)));
  recorder.watch(accelerator, "backward", "compute");
  if (group.worldSize > 1) {
    for (const operation of ["allReduce", "broadcast", "allGather", "ready", "barrier"]) {
      recorder.watch(group, operation, "communication");
    }
  }
  let result: T;
  try {
    result = await fn();
  } finally {
    recorder.stop();
  }
  const all = await gatherValues(ranks, "profile", recorder.spans);
  if (ranks.rank === 0) {
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    if (folder !== "") await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(path, formatTrace(all));
  }
  return result;
}

/** Spans of all ranks in Chrome's trace event format. */
export function formatTrace(ranks: readonly (readonly Span[])[]): string {
  const start = Math.min(...ranks.flatMap((spans) => spans.map(([, , begin]) => begin)));
  const events = ranks.flatMap((spans, pid) => [
    { ph: "M", name: "process_name", pid, args: { name: `rank ${pid}` } },
    { ph: "M", name: "process_sort_index", pid, args: { sort_index: pid } },
    ...KINDS.map((kind, tid) => ({ ph: "M", name: "thread_name", pid, tid, args: { name: kind } })),
    ...spans.map(([name, kind, begin, duration]) => ({
      ph: "X",
      name,
      cat: kind,
      pid,
      tid: KINDS.indexOf(kind),
      ts: begin - start,
      dur: duration,
    })),
  ]);
  return `${JSON.stringify({ displayTimeUnit: "ms", traceEvents: events })}\n`;
}
