/**
 * Operations on the tensors of all ranks, in nested values.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { empty } from "../core/op.ts";
import { copied, copyInto, fillInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { describeTensors, mapTensors, tensorsOf } from "./nested.ts";
import type { Ranks, Turn } from "./ranks.ts";

/** How `reduce` combines the values of the ranks. */
export type Reduction = "sum" | "mean" | "max" | "min" | "none";

/** Options of `padAcrossProcesses`. */
export interface PadOptions {
  /** Which dimension; a negative one counts from the end. Default 0. */
  dim?: number;
  /** What fills. Default 0. */
  padIndex?: number;
  /** Fill in front. Default false. */
  padFirst?: boolean;
}

/** Runs an operation where the ranks compute; the result comes to where the tensor was. */
export function onDevice(tensor: Tensor, device: Device, operation: (near: Tensor) => Tensor): Tensor {
  const own = tensor.detach();
  if (own.storage.device === device) return operation(own);
  return operation(own.to({ device: device.toString() })).to({ device: own.device });
}

/** Replaces every tensor of a value by what an operation makes of it; all ranks must have tensors of the same shapes. */
async function collect<T>(
  ranks: Ranks,
  op: string,
  value: T,
  operation: (tensor: Tensor, turn: Turn) => Tensor,
): Promise<T> {
  // Before anything is sent: what is no tensor must not leave the other ranks waiting.
  const detail = describeTensors(tensorsOf(value));
  return await ranks.run(op, (turn) => {
    if (ranks.worldSize === 1) return value;
    turn.agree(op, detail);
    return mapTensors(value, (tensor) => onDevice(tensor, ranks.device, (near) => operation(near, turn)));
  });
}

/** See `Accelerator.gather`. */
export function gather<T>(ranks: Ranks, value: T): Promise<T> {
  return collect(ranks, "gather", value, (tensor, { group }) => {
    const all = group.allGather(tensor);
    return tensor.shape.length === 0 ? all : all.reshape([-1, ...tensor.shape.slice(1)]);
  });
}

/** See `Accelerator.reduce`. */
export function reduce<T>(ranks: Ranks, value: T, reduction: Reduction): Promise<T> {
  if (!["sum", "mean", "max", "min", "none"].includes(reduction)) {
    throw new RangeError(`Cannot reduce by "${reduction}": choose "sum", "mean", "max", "min" or "none"`);
  }
  if (reduction === "none") {
    ranks.regions.forbid("reduce");
    return Promise.resolve(value);
  }
  return collect(ranks, "reduce", value, (tensor, { group }) => {
    const out = copied(tensor, "reduce");
    const op = reduction === "mean" ? "sum" : reduction;
    group.allReduce(out, op, reduction === "mean" ? 1 / group.worldSize : 1);
    return out;
  });
}

/** See `Accelerator.broadcast`. */
export function broadcast<T>(ranks: Ranks, value: T, root: number): Promise<T> {
  checkRank(ranks, root);
  return collect(ranks, "broadcast", value, (tensor, { group }) => {
    const out = copied(tensor, "broadcast");
    group.broadcast(out, root);
    return out;
  });
}

/** Throws unless a rank is one. */
export function checkRank(ranks: Ranks, rank: number): void {
  if (Number.isInteger(rank) && rank >= 0 && rank < ranks.worldSize) return;
  throw new RangeError(
    `Cannot speak of process ${rank}: there are ${ranks.worldSize}, numbered from 0`,
  );
}

/** See `Accelerator.padAcrossProcesses`. */
export async function padAcross<T>(
  ranks: Ranks,
  value: T,
  { dim = 0, padIndex = 0, padFirst = false }: PadOptions,
): Promise<T> {
  const isInside = ({ shape }: Tensor): boolean => dim < shape.length && dim >= -shape.length;
  const axisOf = ({ shape }: Tensor): number => dim < 0 ? dim + shape.length : dim;
  // Sizes may differ along the padded dimension, and nowhere else.
  const detail = tensorsOf(value).map((tensor) =>
    isInside(tensor)
      ? `[${tensor.shape.map((size, i) => i === axisOf(tensor) ? "*" : size).join(", ")}] ${tensor.dtype}`
      : describeTensors([tensor])
  ).join("; ");
  return await ranks.run("padAcrossProcesses", (turn) => {
    if (ranks.worldSize === 1) return value;
    turn.agree("padAcrossProcesses", detail);
    return mapTensors(value, (tensor) => {
      if (!isInside(tensor)) return tensor;
      const axis = axisOf(tensor);
      const size = tensor.shape[axis];
      const longest = Math.max(...turn.agree("padAcrossProcesses", `dimension ${axis}`, size));
      if (longest === size) return tensor;
      const shape = tensor.shape.with(axis, longest);
      const out = fillInto(empty(tensor.storage.device, shape, tensor.dtype, "pad"), padIndex);
      copyInto(out.narrow(axis, padFirst ? longest - size : 0, size), tensor.detach());
      return out;
    });
  });
}
