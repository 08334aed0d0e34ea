/**
 * What an operation is to the fuzz test: how to invent its arguments, what it means in the model, and how the library is called.
 *
 * @module
 */
import type { Tensor } from "../../../mod.ts";
import type { Random } from "../random.ts";
import { fresh, isFloat, isRowMajor, type ModelDType, Unfit, type Window } from "./model.ts";

/** Arguments besides tensors: numbers, so that a program can be printed and shortened. */
export type Arguments = readonly number[];

/** One operation. */
export interface Operation {
  readonly inputs: number;
  /** Views share memory, `change` writes into the first input, all others make new memory. */
  readonly kind: "new" | "view" | "change";
  /** Whether its derivative needs no values: then its inputs and its output may be changed in place later. */
  readonly savesNothing?: boolean;
  /** Invents arguments that fit the inputs, or throws Unfit. */
  make(random: Random, inputs: readonly Window[]): Arguments;
  model(inputs: readonly Window[], args: Arguments): Window;
  run(inputs: readonly Tensor[], args: Arguments): Tensor;
  /** The call as a line of TypeScript. */
  show(names: readonly string[], args: Arguments): string;
}

/** No arguments. */
export const NONE = (): Arguments => [];

/** Throws unless a condition holds. */
export function need(condition: boolean): void {
  if (!condition) throw new Unfit();
}

/** Whether a gradient flows from the inputs into a result of this dtype. */
export function isTracked(inputs: readonly Window[], dtype: ModelDType): boolean {
  return isFloat(dtype) && inputs.some((input) => input.memory.tracked);
}

/** A new tensor that depends on the inputs. */
export function result(
  inputs: readonly Window[],
  values: Iterable<number>,
  shape: readonly number[],
  dtype: ModelDType,
): Window {
  const tracked = isTracked(inputs, dtype);
  // Rounding to a narrower dtype would spoil central differences.
  need(!tracked || dtype === "float64");
  return fresh(values, shape, dtype, tracked);
}

/** Another window on the memory of an input. */
export function windowOn(
  x: Window,
  shape: readonly number[],
  strides: readonly number[],
  offset: number = x.offset,
): Window {
  return { memory: x.memory, shape, strides, offset, dtype: x.dtype };
}

/** A dimension of a window with at least one. */
export function pickDim(random: Random, x: Window): number {
  need(x.shape.length > 0);
  return random.integer(0, x.shape.length);
}

/** A number of two decimals. */
export function pickNumber(random: Random, low: number, high: number): number {
  return Math.round((low + (high - low) * random.next()) * 100) / 100;
}

/** Whether writing into a window is defined: no derivative needs the old values, no element lies twice, no copy may be meant. */
export function checkWritable(x: Window): void {
  need(!x.memory.isLeaf && !x.memory.isSaved && !x.memory.isUnclear);
  need(!x.shape.some((size, d) => size > 1 && x.strides[d] === 0));
}

/** Notes that what is a view here may be a copy there. */
export function markUnclear(x: Window): void {
  if (!isRowMajor(x)) x.memory.isUnclear = true;
}
