/**
 * Runs a row: every case, dtype and layout, against PyTorch's values, central differences and the reference run in float64.
 *
 * @module
 */
import {
  type DeviceName,
  type DType,
  DTypeError,
  memoryStats,
  noGrad,
  ShapeError,
  Tensor,
  tensor,
  tidy,
} from "../../../mod.ts";
import { Node } from "../../../src/core/node.ts";
import type { Op } from "../../../src/core/op.ts";
import { collectGarbage } from "../garbage.ts";
import { stridedTensor } from "../strided.ts";
import { type Case, casesOf, fingerprintOf, isFloatingRow } from "./cases.ts";
import { assertWithin } from "../close.ts";
import { assertGolden, assertLow } from "./compare.ts";
import { type GoldenCase, goldenDType, type GoldenRow } from "./golden.ts";
import { type Input, nameOf, type Row, type Shape } from "./row.ts";

/** Operations that some row has recorded in a graph. */
// deno-lint-ignore no-explicit-any
export const seenOps: Set<Op<any>> = new Set();

/** What one run gave, as numbers of JavaScript. */
interface Result {
  readonly shapes: Shape[];
  readonly dtypes: DType[];
  readonly values: number[][];
  readonly gradients: (number[] | null)[] | null;
}

/** How the inputs lie in memory. */
type Layout = "contiguous" | "strided";

interface Run {
  readonly row: Row;
  readonly each: Case;
  readonly device: DeviceName;
  readonly dtype: DType;
  readonly layout: Layout;
  readonly gradient: boolean;
  /** Values in place of the case's. */
  readonly values?: readonly (readonly number[])[];
}

function numbersOf(x: Tensor): number[] {
  return noGrad(() => Array.from((x.dtype === "bfloat16" ? x.to({ dtype: "float32" }) : x).data(), Number));
}

function roundedTo(dtype: DType, values: readonly number[]): number[] {
  return tidy(() => numbersOf(tensor([...values], { dtype: "float32" }).to({ dtype })));
}

function makeInput(input: Input, shape: Shape, values: readonly number[], run: Run): Tensor {
  const dtype = input.dtype ?? run.dtype;
  const x = noGrad(() =>
    run.layout === "strided"
      ? stridedTensor(values, shape, dtype, run.device)
      : tensor([...values], { shape, dtype, device: run.device })
  );
  return input.dtype === undefined && run.gradient ? x.detach().requiresGrad_() : x;
}

function note(node: Node | null): void {
  const found = new Set<Node>();
  const visit = (each: Node | Tensor | null): void => {
    if (!(each instanceof Node) || found.has(each)) return;
    found.add(each);
    seenOps.add(each.op);
    each.edges.forEach(visit);
  };
  visit(node);
}

/** The same numbers as in generate_op_table.py. */
function weightsFor(x: Tensor): Tensor {
  const values = Array.from({ length: x.size }, (_, i) => ((i * 5) % 16 - 6) / 8);
  return tensor(values, { shape: x.shape, dtype: x.dtype, device: x.device });
}

/** The loss whose gradients are compared. With strided inputs the gradient of the output is strided too. */
function lossOf(output: Tensor, layout: Layout): Tensor {
  const weights = weightsFor(output);
  if (layout === "contiguous" || output.shape.length < 2) return output.mul(weights).sum();
  const reversed = output.shape.map((_, d) => output.shape.length - 1 - d);
  return output.permute(reversed).mul(weights.permute(reversed)).sum();
}

function outputsOf(row: Row, inputs: Tensor[], run: Run): readonly Tensor[] {
  const result = row.run(inputs, { device: run.device, dtype: run.dtype });
  return result instanceof Tensor ? [result] : result;
}

function execute(run: Run): Result {
  return tidy(() => {
    const { row, each } = run;
    const values = run.values ?? each.values;
    const inputs = row.inputs.map((input, i) => makeInput(input, each.shapes[i], values[i], run));
    needsCollector ||= inputs.some((input) => input.shape.length === 0);
    const outputs = outputsOf(row, inputs, run);
    row.verify?.(outputs, inputs, { device: run.device, dtype: run.dtype });
    for (const output of outputs) {
      if (output.device !== run.device) throw new Error(`an output is on ${output.device}`);
      note(output.node);
      needsCollector ||= output.shape.length === 0;
    }
    const result = {
      shapes: outputs.map((output) => [...output.shape]),
      dtypes: outputs.map((output) => output.dtype),
      values: outputs.map(numbersOf),
    };
    const roots = outputs.filter((output) => output.requiresGrad);
    if (!run.gradient || roots.length === 0) return { ...result, gradients: null };
    roots.map((output) => lossOf(output, run.layout)).reduce((a, b) => a.add(b)).backward();
    const gradients = inputs.map((x) => {
      if (x.grad === null) return null;
      if (x.grad.dtype !== x.dtype) throw new Error(`a gradient is ${x.grad.dtype}, the input ${x.dtype}`);
      const numbers = numbersOf(x.grad);
      x.grad.dispose();
      return numbers;
    });
    return { ...result, gradients };
  });
}

function assertShapes(result: Result, golden: GoldenCase, dtype: DType): void {
  const expected = golden.out!;
  if (result.shapes.length !== expected.length) {
    throw new Error(`${result.shapes.length} outputs, not ${expected.length}`);
  }
  expected.forEach((output, i) => {
    const shape = `(${result.shapes[i].join(", ")})`;
    const want = `(${output.shape.join(", ")})`;
    if (shape !== want) throw new Error(`output ${i} has shape ${shape}, not ${want}`);
    const wanted = goldenDType(output, dtype);
    if (result.dtypes[i] !== wanted) throw new Error(`output ${i} is ${result.dtypes[i]}, not ${wanted}`);
  });
}

/** The run in float64, or in the fixed dtypes of the row, against PyTorch. */
function assertReference(result: Result, golden: GoldenCase, dtype: DType): void {
  assertShapes(result, golden, dtype);
  golden.out!.forEach((output, i) => assertGolden(`output ${i}`, result.values[i], result.dtypes[i], output));
  golden.grad?.forEach((gradient, i) => {
    const actual = result.gradients?.[i] ?? null;
    if (gradient === null) {
      if (actual?.some((value) => value !== 0)) throw new Error(`gradient ${i} is not zero, PyTorch gives none`);
    } else if (actual === null) {
      throw new Error(`gradient ${i} is missing`);
    } else {
      assertGolden(`gradient ${i}`, actual, dtype, gradient);
    }
  });
}

const STEP = 1e-6;
const ENTRIES = 12;

/** Compares gradients with central differences in float64, at up to ENTRIES elements of each input. */
function assertNumeric(run: Run, gradients: readonly (number[] | null)[]): void {
  const { row, each } = run;
  const totalAt = (input: number, entry: number, by: number): number =>
    tidy(() => {
      const values = each.values.map((list, i) => i === input ? list.with(entry, list[entry] + by) : list);
      const inputs = row.inputs.map((x, i) => makeInput(x, each.shapes[i], values[i], { ...run, gradient: false }));
      let loss = 0;
      for (const output of outputsOf(row, inputs, run)) {
        if (!output.dtype.startsWith("float")) continue;
        numbersOf(output).forEach((value, i) => loss += value * (((i * 5) % 16 - 6) / 8));
      }
      return loss;
    });
  gradients.forEach((gradient, i) => {
    if (gradient === null || row.inputs[i].dtype !== undefined) return;
    const scale = Math.max(1, ...gradient.map(Math.abs));
    const count = Math.min(ENTRIES, gradient.length);
    for (let k = 0; k < count; k++) {
      const entry = Math.floor(k * gradient.length / count);
      const numeric = (totalAt(i, entry, STEP) - totalAt(i, entry, -STEP)) / (2 * STEP);
      assertWithin(`gradient ${i} against central differences, element ${entry}`, [gradient[entry]], [numeric], () =>
        // Rounding of the loss divided by the step, and the third derivative.
        2e-6 * scale);
    }
  });
}

function lowDTypes(row: Row): DType[] {
  const dtypes: DType[] = row.skip?.float32 === undefined ? ["float32"] : [];
  return row.skip?.lowPrecision === undefined ? [...dtypes, "bfloat16", "float16"] : dtypes;
}

function assertLowRun(run: Run, golden: GoldenCase): void {
  const { row, each, dtype } = run;
  const fixed = row.inputs.map((input) => input.dtype !== undefined);
  const values = each.values.map((list, i) => fixed[i] || dtype === "float32" ? list : roundedTo(dtype, list));
  const gradient = run.gradient && (dtype === "float32" || row.skip?.lowPrecisionGradient === undefined);
  const reference = execute({ ...run, dtype: "float64", layout: "contiguous", values, gradient });
  const result = execute({ ...run, values, gradient });
  assertShapes(result, golden, dtype);
  const factor = row.tolerance?.factor ?? 1;
  golden.out!.forEach((output, i) => {
    const torchError = output.error[dtype] ?? null;
    assertLow(`output ${i}`, result.values[i], result.dtypes[i], reference.values[i], torchError, factor);
  });
  golden.grad?.forEach((expected, i) => {
    const actual = result.gradients?.[i] ?? null;
    const wanted = reference.gradients?.[i] ?? null;
    if (expected === null || wanted === null) return;
    if (actual === null) throw new Error(`gradient ${i} is missing`);
    assertLow(`gradient ${i}`, actual, dtype, wanted, expected.error[dtype] ?? null, factor);
  });
}

function assertRefused(run: Run, theirs: string): void {
  try {
    execute(run);
  } catch (error) {
    if (error instanceof ShapeError || error instanceof DTypeError || error instanceof RangeError) return;
    throw error;
  }
  throw new Error(`it must throw a ShapeError, DTypeError or RangeError: PyTorch refuses it (${theirs})`);
}

function inContext(context: string, fn: () => void): void {
  try {
    fn();
  } catch (error) {
    throw new Error(`${context}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

function checkCase(row: Row, each: Case, golden: GoldenCase, device: DeviceName): void {
  const gradient = row.skip?.gradient === undefined;
  const run: Run = { row, each, device, dtype: "float64", layout: "contiguous", gradient };
  if (golden.error !== undefined) {
    inContext(each.name, () => assertRefused(run, golden.error!));
    return;
  }
  inContext(`${each.name}, float64`, () => {
    const result = execute(run);
    assertReference(result, golden, "float64");
    const numeric = each.name === "base" && row.skip?.numeric === undefined;
    if (numeric && golden.grad !== undefined && result.gradients !== null) assertNumeric(run, result.gradients);
  });
  const layouts: Layout[] = row.skip?.strided === undefined && each.name === "base" && row.inputs.length > 0
    ? ["contiguous", "strided"]
    : ["contiguous"];
  for (const layout of layouts) {
    const where = `${each.name}${layout === "strided" ? " of strided views" : ""}`;
    if (layout === "strided") {
      inContext(`${where}, float64`, () => assertReference(execute({ ...run, layout }), golden, "float64"));
    }
    if (!isFloatingRow(row)) continue;
    for (const dtype of lowDTypes(row)) {
      inContext(`${where}, ${dtype}`, () => assertLowRun({ ...run, dtype, layout }, golden));
    }
  }
}

/** Whether a run of this row had a scalar: its views of a larger storage belong to the garbage collector. */
let needsCollector = false;

/** Fails when storages are alive that were not before. */
async function assertReleased(row: Row, before: number, device: DeviceName): Promise<void> {
  const count = memoryStats(device).liveStorages - before;
  if (count <= 0) return;
  if (!needsCollector && row.skip?.scopes === undefined) {
    throw new Error(`${count} storages are still alive after all runs, though their scopes have ended`);
  }
  await collectGarbage();
  const left = memoryStats(device).liveStorages - before;
  if (left > 0) throw new Error(`${left} storages are still alive after all runs and garbage collection`);
}

/** Runs all checks of a row on a device. */
export async function checkRow(
  family: string,
  row: Row,
  golden: GoldenRow | undefined,
  device: DeviceName,
): Promise<void> {
  needsCollector = false;
  // The slab of scalars is made with the first one.
  tensor(0, { device });
  const before = memoryStats(device).liveStorages;
  if (row.skip?.golden !== undefined) {
    if (row.verify === undefined) throw new Error("a row without PyTorch's values needs verify()");
    for (const each of casesOf(row)) {
      for (const dtype of ["float64", ...lowDTypes(row)] as const) {
        const gradient = row.skip.gradient === undefined;
        inContext(`${each.name}, ${dtype}`, () => {
          execute({ row, each, device, dtype, layout: "contiguous", gradient });
        });
      }
    }
  } else {
    if (golden?.fingerprint !== fingerprintOf(row)) {
      const state = golden === undefined
        ? "has no values of PyTorch's"
        : "has changed since PyTorch's values were made";
      throw new Error(
        `row "${nameOf(row)}" ${state}: run python3 tests/golden/generate_op_table.py ${family} (PyTorch 2.13)`,
      );
    }
    for (const each of casesOf(row)) checkCase(row, each, golden.cases[each.name], device);
  }
  await assertReleased(row, before, device);
}
