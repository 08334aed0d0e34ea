/**
 * What a row of the table of operations is: see tests/op_table.ts for how to write one.
 *
 * @module
 */
import type { DeviceName, DType, Tensor } from "../../../mod.ts";

/** The sizes of a tensor. */
export type Shape = readonly number[];

/** One input of a row; its values come from a fixed rule (see values.ts), or are listed. */
export interface Input {
  readonly shape: Shape;
  /** Smallest value. */
  readonly low: number;
  /** Largest value; it is not reached. */
  readonly high: number;
  /** Fixed; without it the input is floating and takes the dtype of the run. */
  readonly dtype?: DType;
  /** The values themselves, in place of the rule; only for the shape that the row lists. */
  readonly values?: readonly number[];
}

/** What a row may leave out. */
export type Check =
  | "gradient"
  | "numeric"
  | "lowPrecision"
  | "float32"
  | "empty"
  | "strided"
  | "broadcast"
  | "golden"
  | "lowPrecisionGradient"
  | "scopes";

/** Where a run takes place: for operations that make tensors. */
export interface RunContext {
  readonly device: DeviceName;
  readonly dtype: DType;
}

/** One row. */
export interface Row {
  /** The exported names it covers: `Tensor.exp`, `functional.gelu`, `einsum`; `op:sin` is an operation without an exported name. */
  readonly covers: string | readonly string[];
  /** Unique in the table. Default: the first name it covers. */
  readonly name?: string;
  readonly inputs: readonly Input[];
  /** The operation; outputs are compared in order. */
  run(inputs: Tensor[], context: RunContext): Tensor | readonly Tensor[];
  /** The same in Python over a, b, c, ... with torch, F, math and dtype in scope; a tensor or a tuple. */
  readonly torch: string;
  /** Further shapes for the inputs, each a case of its own: odd ones, large ones, ones with sizes of 1. */
  readonly shapes?: readonly (readonly Shape[])[];
  /**
   * Checks that do not apply, each with its reason. `golden` is for random numbers: then `verify` is what is tested. `scopes` is for
   * rows that take scalar views of larger tensors inside: these storages are released by the garbage collector.
   */
  readonly skip?: Readonly<Partial<Record<Check, string>>>;
  /** Multiplies the bound of float32 and the 16-bit dtypes; the reason says why PyTorch's own error is no measure. */
  readonly tolerance?: { readonly factor: number; readonly reason: string };
  /** A further check of the outputs of each run. */
  verify?(outputs: readonly Tensor[], inputs: readonly Tensor[], context: RunContext): void;
}

/** A floating input; by default in [-2, 2). */
export function floats(shape: Shape, low = -2, high = 2): Input {
  return { shape, low, high };
}

/** A floating input of listed values. */
export function listed(values: readonly number[], shape: Shape = [values.length]): Input {
  return { shape, low: 0, high: 1, values };
}

/** Integers from `low` to before `high`; int64 unless another dtype is given. */
export function integers(shape: Shape, low: number, high: number, dtype: DType = "int64"): Input {
  return { shape, low, high, dtype };
}

/** Indices into a dimension of `size`. */
export function indices(shape: Shape, size: number, dtype: DType = "int64"): Input {
  return { shape, low: 0, high: size, dtype };
}

/** Bools, about half of them true. */
export function bools(shape: Shape): Input {
  return { shape, low: 0, high: 2, dtype: "bool" };
}

/** The row's unique name. */
export function nameOf(row: Row): string {
  return row.name ?? coversOf(row)[0];
}

/** The names that a row covers. */
export function coversOf(row: Row): readonly string[] {
  return typeof row.covers === "string" ? [row.covers] : row.covers;
}
