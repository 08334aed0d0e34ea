/**
 * From a native status to a typed error.
 *
 * @module
 */
import { AX } from "./constants.ts";
import { CaptureError, CollectiveError, NativeError, OutOfMemoryError } from "./errors.ts";
import { type Library, readCString } from "./library.ts";

const text = new Uint8Array(1024);
const failedRank = new Int32Array(1);

/** The calling thread's last error sentence. */
export function lastError(library: Library): string {
  library.ax_last_error(text, text.length);
  return readCString(text);
}

/** Whether a status says that a rank is dead, late, or calls something else. */
export function isCollectiveFailure(status: number): boolean {
  return status === AX.ERROR_TIMEOUT || status === AX.ERROR_PEER || status === AX.ERROR_MISMATCH;
}

/** The error for a status that is not 0. Kept apart from {@link check}, so that the hot path stays small. */
export function nativeError(status: number, symbol: string, library: Library): Error {
  const sentence = lastError(library) || "unknown error";
  // What waits for the device learns that a collective before it failed.
  if (isCollectiveFailure(status)) {
    const isKnown = library.ax_comm_failed_rank(failedRank, 0) === AX.OK;
    return new CollectiveError(`A collective before ${symbol} failed: ${sentence}`, {
      rank: isKnown ? failedRank[0] : -1,
      op: symbol,
    });
  }
  const message = `${sentence} (${symbol}, status ${status})`;
  if (status === AX.ERROR_CAPTURE) return new CaptureError(`Cannot capture the step: ${message}`);
  const options = { symbol, code: status };
  return status === AX.ERROR_OUT_OF_MEMORY ? new OutOfMemoryError(message, options) : new NativeError(message, options);
}

/**
 * Throws when a call failed.
 *
 * @param status What the native function returned.
 * @param symbol Its name in accelerate.h.
 * @param library The library that was called.
 * @throws {NativeError} With the native sentence, the symbol and the code.
 * @throws {CaptureError} When the call cannot be part of a recorded step.
 * @throws {OutOfMemoryError} When the device has no memory left.
 * @throws {CollectiveError} When a collective failed whose results the call would have used.
 */
export function check(status: number, symbol: string, library: Library): void {
  if (status !== 0) throw nativeError(status, symbol, library);
}
