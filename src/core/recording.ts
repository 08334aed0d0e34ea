/**
 * The training step that is being recorded as a graph of the GPU, if there is one: what runs inside it must know that it runs again later,
 * without JavaScript. Recording itself is in accelerator/capture.ts.
 *
 * @module
 */
import { CaptureError } from "./errors.ts";

/** What a replay does on the host before the graph is launched, in the order in which the step did it. */
export class Recording {
  readonly #actions: (() => void)[] = [];
  readonly #undo: (() => void)[] = [];
  readonly #windows: Float64Array<ArrayBuffer>[] = [];

  /** Does something before each replay, for example counts an optimizer's steps. `undo` takes back what the step itself did, when it fails. */
  onReplay(action: () => void, undo: () => void): void {
    this.#actions.push(action);
    this.#undo.push(undo);
  }

  /** The numbers of a native call that differ between replays; in the order of the calls. */
  liveNumbers(count: number, write: (target: Float64Array<ArrayBuffer>) => void): void {
    const first = new Float64Array(count);
    write(first);
    const index = this.#windows.push(first) - 1;
    this.#actions.push(() => write(this.#windows[index]));
  }

  /** All numbers, one call's after the other: those of the step itself, until {@link prepareReplay} writes others. */
  finish(): Float64Array<ArrayBuffer> {
    const windows = this.#windows;
    const numbers = new Float64Array(windows.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    windows.forEach((first, i) => {
      numbers.set(first, at);
      windows[i] = numbers.subarray(at, at += first.length);
    });
    return numbers;
  }

  /** Does what a replay does on the host. */
  prepareReplay(): void {
    for (let i = 0; i < this.#actions.length; i++) this.#actions[i]();
  }

  /** Takes back what the step has changed on the host. */
  undo(): void {
    for (const undo of this.#undo.reverse()) undo();
  }
}

/** The recording that is in progress. */
export let recording: Recording | null = null;

/** Runs a step; what it enqueues is being recorded. */
export function withRecording<T>(next: Recording, step: () => T): T {
  recording = next;
  try {
    return step();
  } finally {
    recording = null;
  }
}

/**
 * Says that something cannot be part of a recorded step. Does nothing outside of one.
 *
 * @param action For example `item()`.
 * @param reason Why not, and what to do instead.
 * @throws {CaptureError} While a step is recorded.
 */
export function refuseRecording(action: string, reason: string): void {
  if (recording !== null) throw new CaptureError(`Cannot record ${action} in a captured step: ${reason}`);
}
