/**
 * From a native status to a typed error.
 *
 * @module
 */
import { AX } from "./constants.ts";
import { CaptureError, NativeError, OutOfMemoryError } from "./errors.ts";
import { type Library, readCString } from "./library.ts";

const text = new Uint8Array(1024);

/** The calling thread's last error sentence. */
export function lastError(library: Library): string {
  library.ax_last_error(text, text.length);
  return readCString(text);
}

/** The error for a status that is not 0. Kept apart from {@link check}, so that the hot path stays small. */
export function nativeError(status: number, symbol: string, library: Library): NativeError | CaptureError {
  const message = `${lastError(library) || "unknown error"} (${symbol}, status ${status})`;
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
 */
export function check(status: number, symbol: string, library: Library): void {
  if (status !== 0) throw nativeError(status, symbol, library);
}
