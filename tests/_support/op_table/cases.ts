/**
 * The cases of a row, and their values: the same in the tests and, through export_op_table.ts, in PyTorch.
 *
 * @module
 */
import { type Input, nameOf, type Row, type Shape } from "./row.ts";

/** One set of inputs of a row. */
export interface Case {
  /** `base`, `shape N`, `empty` or `broadcast`. */
  readonly name: string;
  readonly shapes: readonly Shape[];
  /** Values of each input in row-major order, exact in float32. */
  readonly values: readonly (readonly number[])[];
}

/** FNV-1a of a text, 32 bits. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Values that fill [low, high) evenly: multiples of the golden ratio modulo 1, from a start that the seed gives. */
function valuesOf(input: Input, shape: Shape, seed: number): number[] {
  if (input.values !== undefined && sizeOf(input.shape) === sizeOf(shape)) {
    return input.dtype === undefined ? input.values.map(Math.fround) : [...input.values];
  }
  return Array.from({ length: sizeOf(shape) }, (_, k) => {
    const fraction = (Math.imul(seed + k, 2654435761) >>> 8) / 2 ** 24;
    const value = input.low + (input.high - input.low) * fraction;
    return input.dtype === undefined || input.dtype.includes("float") ? Math.fround(value) : Math.floor(value);
  });
}

/** The first size of the first input becomes 0, and with it that of the inputs which share it. */
function emptied(shapes: readonly Shape[]): Shape[] | null {
  const size = shapes[0]?.[0];
  if (size === undefined || size === 0) return null;
  return shapes.map((shape) => shape[0] === size && shape.length > 0 ? [0, ...shape.slice(1)] : shape);
}

/** Of inputs of equal shape, the last gets a first size of 1. */
function broadcasted(shapes: readonly Shape[]): Shape[] | null {
  const [first] = shapes;
  const equal = shapes.length > 1 && first.length > 1 && shapes.every((shape) => String(shape) === String(first));
  if (!equal) return null;
  return shapes.map((shape, i) => i === shapes.length - 1 ? [1, ...shape.slice(1)] : shape);
}

/** All cases of a row that have values of PyTorch's. */
export function casesOf(row: Row): Case[] {
  const base = row.inputs.map((input) => input.shape);
  const all: [string, readonly Shape[]][] = [["base", base]];
  row.shapes?.forEach((shapes, i) => all.push([`shape ${i}`, shapes]));
  const empty = row.skip?.empty === undefined ? emptied(base) : null;
  if (empty !== null) all.push(["empty", empty]);
  const broadcast = row.skip?.broadcast === undefined ? broadcasted(base) : null;
  if (broadcast !== null) all.push(["broadcast", broadcast]);
  return all.map(([name, shapes]) => ({
    name,
    shapes,
    values: row.inputs.map((input, i) => valuesOf(input, shapes[i], hash(`${nameOf(row)} ${i}`))),
  }));
}

/** Whether the row runs in each floating dtype, or computes only with fixed dtypes. */
export function isFloatingRow(row: Row): boolean {
  return row.inputs.length === 0 || row.inputs.some((input) => input.dtype === undefined);
}

/** Changes when PyTorch's values of a row must be computed again. */
export function fingerprintOf(row: Row): string {
  const checks = ["gradient", "lowPrecision", "golden"] as const;
  const text = JSON.stringify([
    row.torch,
    row.inputs.map((input) => input.dtype ?? "run"),
    casesOf(row).map((
      each,
    ) => [
      each.name,
      each.shapes,
      each.values.map((values) => values.map((value) => Object.is(value, -0) ? "-0" : String(value))),
    ]),
    checks.map((check) => row.skip?.[check] !== undefined),
  ]);
  return hash(text).toString(16);
}
