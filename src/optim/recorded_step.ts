/**
 * What an optimizer tells the recording of a captured step: see core/recording.ts.
 *
 * @module
 */
import { CaptureError } from "../core/errors.ts";
import type { Recording } from "../core/recording.ts";
import { bump } from "../core/version.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Makes the replays of a captured step count the steps of a parameter.
 *
 * @param name The optimizer's, for errors.
 * @param slot The parameter's state, if it has one.
 * @param advance Brings its numbers to the next step.
 * @throws {CaptureError} When the step would make the state, which every replay would make anew.
 */
export function recordStep(
  recording: Recording,
  name: string,
  parameter: Tensor,
  slot: { readonly numbers: Record<string, number>; readonly isFirst: boolean } | undefined,
  advance: () => void,
): void {
  if (slot === undefined || slot.isFirst) {
    throw new CaptureError(
      `Cannot record ${name}.step() in a captured step: it makes the state of a parameter, which every replay would make ` +
        `anew. Every parameter that the step trains must get a gradient in its first call`,
    );
  }
  const before = { ...slot.numbers };
  const next = (): void => {
    bump(parameter.storage, "an optimizer's step()");
    advance();
  };
  recording.onReplay(next, () => Object.assign(slot.numbers, before));
}
