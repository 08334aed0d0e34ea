/**
 * Random programs over tensors: how they are made, what they mean in the model, how they are printed.
 *
 * @module
 */
import type { Random } from "../random.ts";
import { along } from "./along.ts";
import { elementwise } from "./elementwise.ts";
import { fresh, isFloat, type ModelDType, rowMajor, sizeOf, Unfit, type Window, withWideMargin } from "./model.ts";
import type { Arguments, Operation } from "./operation.ts";
import { structural } from "./structural.ts";

/** All operations by name. */
export const OPERATIONS: Readonly<Record<string, Operation>> = { ...elementwise, ...structural, ...along };
const NAMES = Object.keys(OPERATIONS);

/** An input of a program. */
export interface Leaf {
  readonly shape: readonly number[];
  readonly dtype: ModelDType;
  readonly tracked: boolean;
  readonly values: readonly number[];
}

/** One operation of a program; its inputs are indices of values: leaves first, then the results of the steps. */
export interface Step {
  readonly name: string;
  readonly inputs: readonly number[];
  readonly args: Arguments;
}

/** Leaves and steps. */
export interface Program {
  /** Whether it may change in place what derivatives need: then backward may refuse, but must not give other gradients. */
  readonly isBold: boolean;
  /** Whether it may use 16-bit dtypes. */
  readonly isCoarse: boolean;
  readonly leaves: readonly Leaf[];
  readonly steps: readonly Step[];
}

/** How leaves lie in memory: row after row, or as a transposed window on a larger memory, or every other element of one. */
export type Layout = "contiguous" | "strided";

const MIXED: readonly ModelDType[] = ["float32", "float64", "float32", "int64", "int32", "bool"];
const COARSE: readonly ModelDType[] = ["float32", "bfloat16", "bfloat16", "float16", "float16", "int64", "bool"];
const MAX_SIZE = 96;

function makeShape(random: Random): number[] {
  const size = (): number => random.chance(0.03) ? 0 : random.pick([1, 2, 2, 3, 3, 4]);
  return Array.from({ length: random.pick([0, 1, 1, 2, 2, 2, 3, 3]) }, size);
}

function makeLeaf(random: Random, shape: readonly number[], dtype: ModelDType, tracked: boolean): Leaf {
  const values = Array.from({ length: sizeOf(shape) }, () => {
    if (dtype === "bool") return random.integer(0, 2);
    if (!isFloat(dtype)) return random.integer(-3, 5);
    return Math.round((0.2 + 1.6 * random.next()) * (random.chance(0.25) ? -1000 : 1000)) / 1000;
  });
  return { shape, dtype, tracked, values };
}

function leafWindow({ shape, dtype, tracked, values }: Leaf, layout: Layout): Window {
  const contiguous = fresh(values, shape, dtype, tracked);
  contiguous.memory.isLeaf = tracked;
  if (layout === "contiguous" || values.length === 0) return contiguous;
  if (shape.length < 2) return spaced(contiguous);
  // In memory the dimensions are reversed.
  const strides = rowMajor([...shape].reverse()).reverse();
  const data = new Float64Array(values.length);
  const from = rowMajor(shape);
  for (let k = 0; k < values.length; k++) {
    let at = 0;
    shape.forEach((size, d) => at += (Math.floor(k / from[d]) % size) * strides[d]);
    data[at] = contiguous.memory.data[k];
  }
  return { ...contiguous, memory: { ...contiguous.memory, data }, strides };
}

function spaced(x: Window): Window {
  const data = new Float64Array(2 * x.memory.data.length);
  x.memory.data.forEach((value, i) => data[2 * i] = value);
  return { ...x, memory: { ...x.memory, data }, strides: x.shape.map(() => 2) };
}

function is16Bit(dtype: ModelDType): boolean {
  return dtype.endsWith("float16");
}

/** Runs a step in the model. */
function apply(step: Step, values: Window[], { isCoarse, isBold }: Pick<Program, "isCoarse" | "isBold">): void {
  const operation = OPERATIONS[step.name];
  const inputs = step.inputs.map((index) => values[index]);
  const out = operation.model(inputs, step.args);
  if (is16Bit(out.dtype) && !isCoarse) throw new Unfit();
  if (sizeOf(out.shape) > MAX_SIZE || out.shape.length > 5) throw new Unfit();
  if (operation.kind === "new" && out.memory.tracked && operation.savesNothing !== true) {
    for (const { memory } of [...inputs, out]) memory.isSaved = true;
  }
  values.push(out);
  if (isBold) { for (const { memory } of values) memory.isSaved = false; }
}

/**
 * The values of a program after its last step.
 *
 * @param leaves Values in place of the leaves' own.
 * @throws {Unfit} When the program is not defined for them.
 */
export function evaluate(program: Program, layout: Layout, leaves: readonly Leaf[] = program.leaves): Window[] {
  return withWideMargin(program.isCoarse, () => {
    const values = leaves.map((leaf) => leafWindow(leaf, layout));
    for (const step of program.steps) apply(step, values, program);
    return values;
  });
}

/** A random program of at least one step. */
export function makeProgram(random: Random): Program {
  const isCoarse = random.chance(0.15);
  const kind = { isCoarse, isBold: !isCoarse && random.chance(0.15) };
  return withWideMargin(isCoarse, () => makeSteps(random, kind));
}

function makeSteps(random: Random, kind: Pick<Program, "isCoarse" | "isBold">): Program {
  const { isCoarse, isBold } = kind;
  const isSmooth = !isCoarse && (isBold || random.chance(0.55));
  const shape = makeShape(random);
  const leaves: Leaf[] = [];
  const count = random.integer(2, 5);
  for (let i = 0; i < count; i++) {
    const own = random.chance(0.6) ? shape : random.chance(0.5) ? shape.slice(1) : makeShape(random);
    const dtype = isSmooth ? "float64" : random.pick(isCoarse ? COARSE : MIXED);
    leaves.push(makeLeaf(random, own, dtype, isSmooth && (i === 0 || random.chance(0.5))));
  }
  const steps: Step[] = [];
  const values = leaves.map((leaf) => leafWindow(leaf, "contiguous"));
  const wanted = random.integer(3, 14);
  for (let tries = 0; steps.length < wanted && (tries < 200 || steps.length === 0); tries++) {
    const name = random.pick(NAMES);
    const operation = OPERATIONS[name];
    // Recent values are more likely, so that chains are long.
    const inputs = Array.from(
      { length: operation.inputs },
      () =>
        random.chance(0.5)
          ? random.integer(Math.max(0, values.length - 3), values.length)
          : random.integer(0, values.length),
    );
    try {
      const args = operation.make(random, inputs.map((index) => values[index]));
      const step: Step = { name, inputs, args };
      apply(step, values, kind);
      steps.push(step);
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
    }
  }
  return { ...kind, leaves, steps };
}

function nested(values: readonly number[], shape: readonly number[]): string {
  return `[${values.join(", ")}], { shape: [${shape.join(", ")}]`;
}

/** A program as TypeScript. */
export function show(program: Program): string {
  const name = (index: number): string => `v${index}`;
  const lines = program.leaves.map(({ shape, dtype, tracked, values }, i) =>
    `const ${name(i)} = tensor(${nested(values, shape)}, dtype: "${dtype}"${tracked ? ", requiresGrad: true" : ""} });`
  );
  program.steps.forEach((step, i) => {
    const text = OPERATIONS[step.name].show(step.inputs.map(name), step.args);
    lines.push(`const ${name(program.leaves.length + i)} = ${text};`);
  });
  return lines.join("\n");
}

/** A program without one step, or `undefined` when later steps use its result. */
function without(program: Program, index: number): Program | undefined {
  const removed = program.leaves.length + index;
  const steps: Step[] = [];
  for (const [i, step] of program.steps.entries()) {
    if (i === index) continue;
    if (step.inputs.includes(removed)) return undefined;
    steps.push({ ...step, inputs: step.inputs.map((input) => input > removed ? input - 1 : input) });
  }
  return { ...program, steps };
}

/** Removes steps while the program still fails. */
export function shrink(program: Program, fails: (candidate: Program) => boolean): Program {
  let current = program;
  for (let index = current.steps.length - 1; index >= 0; index--) {
    const candidate = current.steps.length > 1 ? without(current, index) : undefined;
    if (candidate === undefined || !fails(candidate)) continue;
    current = candidate;
    index = current.steps.length;
  }
  return current;
}
