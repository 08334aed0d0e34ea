/**
 * Copies between layouts, dtypes and devices.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import type { Device } from "../core/device.ts";
import { type DType, dtypeBytes, isFloating } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { refuseRecording } from "../core/recording.ts";
import { mapStorage } from "../core/scalar_slab.ts";
import type { Storage } from "../core/storage.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous, copied } from "./launch.ts";

const castOp: Op<{ dtype: DType; from: DType }> = {
  name: "to",
  outputShape: ([x]) => x.shape,
  forward: ([x], { dtype }) => copied(x, "to", dtype),
  vjp: ({ attrs }, g) => [copied(g, "grad", attrs.from)],
};

/** The tensor in another dtype; itself when it has that dtype. Differentiable between floating dtypes. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  if (isFloating(dtype)) return apply(castOp, [x], { dtype, from: x.dtype });
  x.checkLive("to");
  return copied(x, "to", dtype);
}

const cloneOp: Op<null> = {
  name: "clone",
  outputShape: ([x]) => x.shape,
  forward: ([x]) => copied(x, "clone"),
  vjp: (_node, g) => [g],
};

/** A copy with memory of its own. */
export function clone(x: Tensor): Tensor {
  return apply(cloneOp, [x], null);
}

/** The tensor itself when its elements lie in row-major order, else a copy where they do. */
export function contiguousOf(x: Tensor): Tensor {
  return x.isContiguous ? x : apply(cloneOp, [x], null);
}

/**
 * Reads a part of a contiguous tensor's elements into memory of the host.
 *
 * @param x Contiguous.
 * @param target Is filled.
 * @param options `start`: where the part begins in the tensor, in bytes; `by`: who reads, for the error in a captured step.
 */
export function readPart(
  x: Tensor,
  target: Uint8Array<ArrayBuffer>,
  { start = 0, by }: { start?: number; by: string },
): void {
  x.checkLive(by);
  refuseRecording(
    by,
    "it needs a value on the host, which the GPU computes later. Return the tensor and read it after the call",
  );
  const { library } = x.storage.device;
  const begin = x.offset * dtypeBytes(x.dtype) + start;
  check(library.ax_storage_read(target, x.storage.id, begin, target.length), "ax_storage_read", library);
}

/**
 * Reads a tensor's elements into a buffer of the host, in row-major order.
 *
 * @param by Who reads, for the error in a captured step.
 */
export function readBytes(x: Tensor, by = "data()"): ArrayBuffer {
  const bytes = new Uint8Array(x.size * dtypeBytes(x.dtype));
  readPart(contiguous(x), bytes, { by });
  return bytes.buffer;
}

/** Writes a buffer of the host into a contiguous tensor. */
export function writeBytes(out: Tensor, bytes: Uint8Array<ArrayBuffer>): Tensor {
  refuseRecording(
    "a tensor made of values of the host",
    "replays would copy the same values again. Make it before the step, or pass it as an argument",
  );
  const itemBytes = dtypeBytes(out.dtype);
  if (bytes.length !== out.size * itemBytes) {
    throw new DTypeError(`Cannot write ${bytes.length} bytes into a tensor of ${out.size * itemBytes} bytes`);
  }
  const library = out.storage.device.library;
  check(
    library.ax_storage_write(out.storage.id, out.offset * itemBytes, bytes, bytes.length),
    "ax_storage_write",
    library,
  );
  return out;
}

const deviceOp: Op<{ to: Device; from: Device }> = {
  name: "to",
  outputShape: ([x]) => x.shape,
  forward: ([x], { to }) => transfer(x, to),
  vjp: ({ attrs }, g) => [transfer(g, attrs.from)],
};

/** From here on mapping the host's memory costs less than a copy of it. */
const MAPPED_BYTES = 1 << 16;
const mappings = new WeakMap<Storage, ArrayBuffer>();

/** A contiguous tensor's memory on the CPU. */
function mapped({ storage, offset, size, dtype }: Tensor): Uint8Array<ArrayBuffer> {
  let memory = mappings.get(storage);
  if (memory === undefined) mappings.set(storage, memory = mapStorage(storage));
  const itemBytes = dtypeBytes(dtype);
  return new Uint8Array(memory, offset * itemBytes, size * itemBytes);
}

function transfer(x: Tensor, to: Device): Tensor {
  const out = empty(to, x.shape, x.dtype, "to");
  const isLarge = x.size * dtypeBytes(x.dtype) >= MAPPED_BYTES;
  if (isLarge && x.storage.device.type === "cpu") return writeBytes(out, mapped(contiguous(x)));
  if (isLarge && to.type === "cpu") {
    readPart(contiguous(x), mapped(out), { by: "to()" });
    return out;
  }
  return writeBytes(out, new Uint8Array(readBytes(x, "to()")));
}

/** The tensor on another device; itself when it is there. Differentiable. */
export function toDevice(x: Tensor, to: Device): Tensor {
  return x.storage.device === to ? x : apply(deviceOp, [x], { to, from: x.storage.device });
}
