/**
 * What an optimizer tells the recording of a captured step: see core/recording.ts.
 *
 * @module
 */
import { CaptureError } from "../core/errors.ts";
import type { Recording } from "../core/recording.ts";

/**
 * Makes the replays of a captured step count the steps of a parameter.
 *
 * @param name The optimizer's, for errors.
 * @param slot The parameter's state, if it has one.
 * @param next What a step does on the host: it brings the numbers to the next step, and counts the change.
 * @throws {CaptureError} When the step would make the state, which every replay would make anew.
 */
export function recordStep(
  recording: Recording,
  name: string,
  slot: { readonly numbers: Record<string, number>; readonly isFirst: boolean } | undefined,
  next: () => void,
): void {
  if (slot === undefined || slot.isFirst) {
    throw new CaptureError(
      `Cannot record ${name}.step() in a captured step: it makes the state of a parameter, which every replay would make ` +
        `anew. Every parameter that the step trains must get a gradient in its first call`,
    );
  }
  const before = { ...slot.numbers };
  recording.onReplay(next, () => Object.assign(slot.numbers, before));
}
