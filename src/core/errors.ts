/**
 * The typed errors of the library. A message says the action, the rule, the state, and what to do.
 *
 * @module
 */
export { CaptureError, CollectiveError, LibraryError, NativeError, OutOfMemoryError } from "../../ffi/errors.ts";

/** A tensor's shape does not fit the operation. */
export class ShapeError extends TypeError {
  /** Always `"ShapeError"`. */
  override readonly name = "ShapeError";
}

/** A tensor's dtype does not fit the operation. */
export class DTypeError extends TypeError {
  /** Always `"DTypeError"`. */
  override readonly name = "DTypeError";
}

/** Tensors are on different devices, or the device does not exist on this machine. */
export class DeviceError extends TypeError {
  /** Always `"DeviceError"`. */
  override readonly name = "DeviceError";
}

/** A tensor was used after its memory was released, or its graph after it was freed. */
export class ReleasedError extends Error {
  /** Always `"ReleasedError"`. */
  override readonly name = "ReleasedError";
}

/**
 * Autograd cannot do what was asked: a saved tensor was changed in place, a leaf would lose its history, a hook returned the wrong
 * thing, or nothing requires a gradient.
 */
export class AutogradError extends Error {
  /** Always `"AutogradError"`. */
  override readonly name = "AutogradError";
}

/** A checkpoint or a weights file is missing, truncated or does not match. */
export class CheckpointError extends Error {
  /** Always `"CheckpointError"`. */
  override readonly name = "CheckpointError";
  /** The file or directory. */
  readonly path: string;

  /** Takes the sentence to show and the file or directory it is about; `cause` is the error that led to it. */
  constructor(message: string, options: { path: string; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.path = options.path;
  }
}

/** Processes could not be started, or the environment that starts them is inconsistent. */
export class LaunchError extends Error {
  /** Always `"LaunchError"`. */
  override readonly name = "LaunchError";
}
