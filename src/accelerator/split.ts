/**
 * One list for all ranks, a part of it for each.
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { cat } from "../ops/cat.ts";
import { Tensor } from "../tensor.ts";
import { isRecord } from "./nested.ts";

/** Options of `splitBetweenProcesses`. */
export interface SplitOptions {
  /** Repeat the last element of shorter parts, so that all are equally long. Default false. */
  applyPadding?: boolean;
}

/** The items from `start` to `end`, and the last one again until there are `length`. */
function part<T>(inputs: T, start: number, end: number, length: number): T {
  if (inputs instanceof Tensor) {
    // An empty part is padded with the last element of all.
    const own = inputs.narrow(0, start, end - start);
    const missing = length - (end - start);
    if (missing <= 0) return own as T;
    const last = inputs.narrow(0, (end > start ? end : inputs.shape[0]) - 1, 1);
    return cat([own, ...new Array<Tensor>(missing).fill(last)]) as T;
  }
  const list = inputs as readonly unknown[];
  const own = list.slice(start, end);
  while (own.length < length) own.push(own.length > 0 ? own[own.length - 1] : list[list.length - 1]);
  return own as T;
}

/**
 * The part of a rank: the first ranks get one element more where the division leaves a rest.
 *
 * @param inputs An array, a tensor, or an object of arrays and tensors of one length.
 * @throws {ShapeError} When the lengths differ, or a value has none.
 */
export function splitBetween<T>(inputs: T, rank: number, worldSize: number, { applyPadding = false }: SplitOptions): T {
  const all = isRecord(inputs) ? Object.entries(inputs) : [["inputs", inputs] as const];
  const lengths = all.map(([name, value]) => {
    if (Array.isArray(value) || (value instanceof Tensor && value.shape.length > 0)) return value.length;
    throw new ShapeError(`Cannot split ${name} between processes: give arrays, or tensors with a first dimension`);
  });
  const length = lengths[0] ?? 0;
  if (lengths.some((other) => other !== length)) {
    throw new ShapeError(
      `Cannot split ${
        all.map(([name], i) => `${name} of length ${lengths[i]}`).join(" and ")
      } between processes: all ` +
        "must have the same length",
    );
  }
  if (worldSize === 1) return inputs;
  const share = Math.floor(length / worldSize);
  const extras = length % worldSize;
  const start = rank * share + Math.min(rank, extras);
  const end = start + share + (rank < extras ? 1 : 0);
  const padded = applyPadding && length > 0 ? Math.ceil(length / worldSize) : 0;
  if (!isRecord(inputs)) return part(inputs, start, end, padded);
  return Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, part(value, start, end, padded)])) as T;
}
