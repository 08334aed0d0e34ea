/**
 * Errors of the native boundary. They live below `src/` because `ffi/` throws them; `src/core/errors.ts` exports them again.
 *
 * @module
 */

/** The native library is missing, damaged, or was built from another accelerate.h. */
export class LibraryError extends Error {
  /** Always `"LibraryError"`. */
  override readonly name = "LibraryError";
}

/** A function of the native library returned a status other than 0. */
export class NativeError extends Error {
  /** Always `"NativeError"`, unless a subclass has its own. */
  override readonly name: string = "NativeError";
  /** The function of accelerate.h that failed, for example `ax_matmul`. */
  readonly symbol: string;
  /** Its status, one of the AX_ERROR codes of accelerate.h. */
  readonly code: number;

  /** Takes the sentence that the library left, and what failed: the function and its status. */
  constructor(message: string, options: { symbol: string; code: number }) {
    super(message);
    this.symbol = options.symbol;
    this.code = options.code;
  }
}

/** A training step cannot be recorded, or a recorded one cannot run as it is: it reads a value on the host, or copies from it. */
export class CaptureError extends Error {
  /** Always `"CaptureError"`. */
  override readonly name = "CaptureError";
}

/** The device has no memory left; the message lists what is live by category. */
export class OutOfMemoryError extends NativeError {
  /** Always `"OutOfMemoryError"`. */
  override readonly name = "OutOfMemoryError";
}

/** A collective operation failed: a rank died, timed out, or called something else. */
export class CollectiveError extends Error {
  /** Always `"CollectiveError"`. */
  override readonly name = "CollectiveError";
  /** The rank that the failure is about, or -1 when it is not known. */
  readonly rank: number;
  /** The operation, for example `all_reduce`. */
  readonly op: string;
  /** The user's source line that made the call, or an empty string. */
  readonly callSite: string;

  /** Takes the sentence to show, and what is known about the failure; `cause` is the error that led to it. */
  constructor(message: string, options: { rank: number; op: string; callSite?: string; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.rank = options.rank;
    this.op = options.op;
    this.callSite = options.callSite ?? "";
  }
}
