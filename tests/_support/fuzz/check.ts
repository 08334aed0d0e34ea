/**
 * What must hold for every program: the library gives the model's values, views included, the gradients are those of central
 * differences of the model, and nothing stays in memory.
 *
 * @module
 */
import { AutogradError, type DeviceName, memoryStats, type Tensor, tensor, tidy } from "../../../mod.ts";
import { stridedTensor } from "../strided.ts";
import { isFloat, type ModelDType, read, Unfit, type Window } from "./model.ts";
import { evaluate, type Layout, type Leaf, OPERATIONS, type Program } from "./program.ts";

/** How far results may differ where a program uses a dtype, relative to 1 + |value|: a few roundings, amplified by later steps. */
const TOLERANCE: Readonly<Partial<Record<ModelDType, number>>> = {
  float64: 1e-10,
  float32: 1e-4,
  float16: 5e-2,
  bfloat16: 0.2,
};

/** What a program did, for statistics. */
export interface Outcome {
  readonly tracked: boolean;
  /** Number of elements, or that backward refused because of a change in place. */
  readonly gradients: number | "refused";
  readonly changes: number;
}

function makeLeaf({ shape, dtype, tracked, values }: Leaf, layout: Layout, device: DeviceName): Tensor {
  const x = layout === "strided"
    ? stridedTensor(values, shape, dtype, device)
    : tensor([...values], { shape, dtype, device });
  return tracked ? x.detach().requiresGrad_() : x;
}

function numbersOf(x: Tensor): number[] {
  const plain = x.dtype === "bfloat16" ? x.detach().to({ dtype: "float32" }) : x;
  return Array.from(plain.data(), Number);
}

/** The same weight for element i of value k, here and in {@link modelLoss}. */
function weight(k: number, i: number): number {
  return ((i * 5 + k * 3) % 16 - 6) / 8;
}

function modelLoss(program: Program, values: readonly Window[]): number {
  let loss = 0;
  for (let k = program.leaves.length; k < values.length; k++) {
    if (values[k].memory.tracked) read(values[k]).forEach((value, i) => loss += value * weight(k, i));
  }
  return loss;
}

function compareValues(program: Program, actual: readonly Tensor[], expected: readonly Window[]): void {
  const dtypes = new Set(expected.map((window) => window.dtype).filter(isFloat));
  const tolerance = Math.max(0, ...[...dtypes].map((dtype) => TOLERANCE[dtype] ?? 0));
  expected.forEach((window, k) => {
    const x = actual[k];
    const what = `v${k} (${k < program.leaves.length ? "leaf" : program.steps[k - program.leaves.length].name})`;
    if (String(x.shape) !== String(window.shape)) {
      throw new Error(`${what} has shape [${x.shape}], not [${window.shape}]`);
    }
    if (x.dtype !== window.dtype) throw new Error(`${what} is ${x.dtype}, not ${window.dtype}`);
    if (x.requiresGrad !== window.memory.tracked) throw new Error(`${what}.requiresGrad is ${x.requiresGrad}`);
    const values = numbersOf(x);
    const wanted = read(window);
    wanted.forEach((want, i) => {
      const allowed = isFloat(window.dtype) ? tolerance * (1 + Math.abs(want)) : 0;
      if (!(Math.abs(values[i] - want) <= allowed)) throw new Error(`${what}[${i}] is ${values[i]}, not ${want}`);
    });
  });
}

const STEP = 1e-5;
const ENTRIES = 4;

/** The derivative by Richardson's extrapolation of central differences; undefined where the model is not smooth. */
function derivative(program: Program, layout: Layout, leaf: number, entry: number): number | undefined {
  const lossAt = (by: number): number => {
    const leaves = program.leaves.map((each, i) =>
      i === leaf ? { ...each, values: each.values.with(entry, each.values[entry] + by) } : each
    );
    return modelLoss(program, evaluate(program, layout, leaves));
  };
  try {
    const wide = (lossAt(2 * STEP) - lossAt(-2 * STEP)) / (4 * STEP);
    const close = (lossAt(STEP) - lossAt(-STEP)) / (2 * STEP);
    return (4 * close - wide) / 3;
  } catch (error) {
    if (error instanceof Unfit) return undefined;
    throw error;
  }
}

function compareGradients(
  program: Program,
  layout: Layout,
  inputs: readonly Tensor[],
  values: readonly Tensor[],
): number | "refused" {
  const roots = values.slice(program.leaves.length).map((x, i) => ({ x, k: program.leaves.length + i }))
    .filter(({ x }) => x.requiresGrad);
  if (roots.length === 0) return 0;
  const losses = roots.map(({ x, k }) => {
    const weights = Array.from({ length: x.size }, (_, i) => weight(k, i));
    return x.mul(tensor(weights, { shape: x.shape, dtype: x.dtype, device: x.device })).sum();
  });
  const loss = losses.reduce((a, b) => a.add(b));
  if (program.isBold) {
    try {
      loss.backward();
    } catch (error) {
      if (!(error instanceof AutogradError)) throw error;
      for (const { grad } of inputs) grad?.dispose();
      return "refused";
    }
  } else {
    loss.backward();
  }
  let compared = 0;
  program.leaves.forEach((leaf, index) => {
    if (!leaf.tracked) return;
    const { grad } = inputs[index];
    const gradient = grad === null ? leaf.values.map(() => 0) : numbersOf(grad);
    grad?.dispose();
    if (gradient.length !== leaf.values.length) throw new Error(`the gradient of v${index} has another size`);
    const scale = Math.max(1, ...gradient.map(Math.abs));
    for (let e = 0; e < Math.min(ENTRIES, gradient.length); e++) {
      const entry = Math.floor(e * gradient.length / Math.min(ENTRIES, gradient.length));
      const numeric = derivative(program, layout, index, entry);
      if (numeric === undefined) continue;
      // Rounding of the loss, divided by the step.
      if (!(Math.abs(numeric - gradient[entry]) <= 1e-6 * scale)) {
        throw new Error(`the gradient of v${index}[${entry}] is ${gradient[entry]}, by central differences ${numeric}`);
      }
      compared++;
    }
  });
  return compared;
}

/**
 * Runs a program and throws where the library differs from the model.
 *
 * @throws {Unfit} When the program is not defined with leaves of this layout.
 */
export function checkProgram(program: Program, layout: Layout, device: DeviceName): Outcome {
  const expected = evaluate(program, layout);
  const before = memoryStats(device).liveStorages;
  const compared = tidy(() => {
    const inputs = program.leaves.map((leaf) => makeLeaf(leaf, layout, device));
    const values = [...inputs];
    for (const step of program.steps) {
      values.push(OPERATIONS[step.name].run(step.inputs.map((index) => values[index]), step.args));
    }
    compareValues(program, values, expected);
    return compareGradients(program, layout, inputs, values);
  });
  const left = memoryStats(device).liveStorages - before;
  // The storage behind a scalar view is left to the garbage collector; the test looks at these at its end.
  const hasScalar = expected.some((window) => window.shape.length === 0);
  if (left > 0 && !hasScalar) throw new Error(`${left} storages are still alive`);
  return {
    tracked: expected.some((window) => window.memory.tracked),
    gradients: compared,
    changes: program.steps.filter(({ name }) => OPERATIONS[name].kind === "change").length,
  };
}
