/**
 * Elementwise operations, and changes in place.
 *
 * @module
 */
import { type Tensor, where } from "../../../mod.ts";
import {
  broadcast,
  common,
  isFloat,
  keepAway,
  type ModelDType,
  positions,
  read,
  rounded,
  type Window,
} from "./model.ts";
import { checkWritable, need, NONE, type Operation, pickNumber, result } from "./operation.ts";

/** The error function by a series without cancellation. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

interface Unary {
  fn(x: number): number;
  /** Throws Unfit where the function has a pole or a kink. */
  check?(x: readonly number[]): void;
  /** Integers stay integers. */
  exact?: boolean;
}

const atLeast = (low: number) => (x: readonly number[]): void => need(x.every((value) => value >= low));

const unary: Record<string, Unary> = {
  neg: { fn: (x) => -x, exact: true },
  abs: { fn: Math.abs, check: keepAway, exact: true },
  square: { fn: (x) => x * x, exact: true },
  relu: { fn: (x) => Math.max(x, 0), check: keepAway, exact: true },
  exp: { fn: Math.exp },
  log: { fn: Math.log, check: atLeast(0.1) },
  sqrt: { fn: Math.sqrt, check: atLeast(0.1) },
  rsqrt: { fn: (x) => 1 / Math.sqrt(x), check: atLeast(0.1) },
  tanh: { fn: Math.tanh },
  sigmoid: { fn: (x) => 1 / (1 + Math.exp(-x)) },
  silu: { fn: (x) => x / (1 + Math.exp(-x)) },
  gelu: { fn: (x) => x / 2 * (1 + erf(x / Math.SQRT2)) },
};

type Method = (this: Tensor, ...args: unknown[]) => Tensor;

/** Calls a method by its name, so that one table serves all. */
function call(x: Tensor, name: string, ...args: unknown[]): Tensor {
  return (Reflect.get(x, name) as Method).apply(x, args);
}

function unaryOperation(name: string, { fn, check, exact }: Unary): Operation {
  return {
    inputs: 1,
    kind: "new",
    savesNothing: name === "neg",
    make: NONE,
    model([x]) {
      need(x.dtype !== "bool" && x.dtype !== "uint8");
      const values = read(x);
      check?.(values);
      const dtype = isFloat(x.dtype) || exact ? x.dtype : "float32";
      return result([x], values.map(fn), x.shape, dtype);
    },
    run: ([x]) => call(x, name),
    show: ([x]) => `${x}.${name}()`,
  };
}

const arithmetic: Record<string, (x: number, y: number) => number> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  maximum: Math.max,
  minimum: Math.min,
};

function combine(a: Window, b: Window, dtype: ModelDType, fn: (x: number, y: number) => number): Window {
  const shape = broadcast(a.shape, b.shape);
  const [x, y] = [read(a, shape), read(b, shape)];
  return result([a, b], x.map((value, i) => fn(rounded(value, dtype), rounded(y[i], dtype))), shape, dtype);
}

function difference(a: Window, b: Window): number[] {
  const shape = broadcast(a.shape, b.shape);
  const y = read(b, shape);
  return read(a, shape).map((value, i) => value - y[i]);
}

/** Integers may be equal; floating numbers must differ clearly. */
function checkApart(a: Window, b: Window): void {
  if (isFloat(a.dtype) || isFloat(b.dtype)) keepAway(difference(a, b));
}

function arithmeticOperation(name: string): Operation {
  const isExtreme = name === "maximum" || name === "minimum";
  return {
    inputs: 2,
    kind: "new",
    savesNothing: name === "add" || name === "sub",
    make: NONE,
    model([a, b]) {
      let dtype = common(a, b);
      need(dtype !== "bool" && dtype !== "uint8");
      need(name !== "sub" || (a.dtype !== "bool" && b.dtype !== "bool"));
      if (name === "div") {
        keepAway(read(b).map((value) => value / 10));
        if (!isFloat(dtype)) dtype = "float32";
      }
      if (isExtreme) checkApart(a, b);
      return combine(a, b, dtype, arithmetic[name]);
    },
    run: ([a, b]) => call(a, name, b),
    show: ([a, b]) => `${a}.${name}(${b})`,
  };
}

function numberOperation(name: "add" | "mul" | "div" | "sub"): Operation {
  return {
    inputs: 1,
    kind: "new",
    savesNothing: true,
    make: (random, [x]) => [isFloat(x.dtype) ? pickNumber(random, 0.3, 2) : random.integer(1, 5)],
    model([x], [number]) {
      need(x.dtype !== "bool" && x.dtype !== "uint8");
      const dtype = isFloat(x.dtype) || name !== "div" ? x.dtype : "float32";
      return result([x], read(x).map((value) => arithmetic[name](value, number)), x.shape, dtype);
    },
    run: ([x], [number]) => call(x, name, number),
    show: ([x], [number]) => `${x}.${name}(${number})`,
  };
}

const comparisons: Record<string, (x: number, y: number) => boolean> = {
  eq: (x, y) => x === y,
  ne: (x, y) => x !== y,
  lt: (x, y) => x < y,
  ge: (x, y) => x >= y,
};

function comparison(name: string): Operation {
  return {
    inputs: 2,
    kind: "new",
    make: NONE,
    model([a, b]) {
      checkApart(a, b);
      const shape = broadcast(a.shape, b.shape);
      const y = read(b, shape);
      const values = read(a, shape).map((value, i) => Number(comparisons[name](value, y[i])));
      return result([a, b], values, shape, "bool");
    },
    run: ([a, b]) => call(a, name, b),
    show: ([a, b]) => `${a}.${name}(${b})`,
  };
}

/** Writes values into a window, which becomes a result of the inputs. */
function write(x: Window, inputs: readonly Window[], fn: (old: number, index: number) => number): Window {
  checkWritable(x);
  need(x.dtype !== "bool" && x.dtype !== "uint8");
  const at = positions(x);
  const next = result(inputs, at.map((place, i) => fn(x.memory.data[place], i)), x.shape, x.dtype);
  at.forEach((place, i) => x.memory.data[place] = next.memory.data[i]);
  x.memory.tracked ||= next.memory.tracked;
  return x;
}

/** Throws Unfit where a conversion jumps, so that a rounding error before it would show as a difference of 1. */
function checkConversion(values: readonly number[], from: ModelDType, to: ModelDType): void {
  if (!isFloat(from) || isFloat(to)) return;
  keepAway(to === "bool" ? values : values.map((value) => value - Math.round(value)));
}

/** Changes the first input, whose dtype stays, by the second one. */
function change(name: "add_" | "sub_" | "mul_" | "copy_", fn: (x: number, y: number) => number): Operation {
  return {
    inputs: 2,
    kind: "change",
    make: NONE,
    model([x, y]) {
      need(y.memory !== x.memory && (name === "copy_" || y.dtype === x.dtype));
      need(String(broadcast(x.shape, y.shape)) === String(x.shape));
      const source = read(y, x.shape);
      if (name === "copy_") checkConversion(source, y.dtype, x.dtype);
      write(x, [x, y], (old, i) => fn(old, source[i]));
      if (name === "mul_" && x.memory.tracked) y.memory.isSaved = true;
      return x;
    },
    run: ([x, y]) => call(x, name, y),
    show: ([x, y]) => `${x}.${name}(${y})`,
  };
}

/** Changes the first input by a number. */
function changeByNumber(name: "add_" | "mul_" | "fill_", fn: (x: number, y: number) => number): Operation {
  return {
    inputs: 1,
    kind: "change",
    make: (random, [x]) => [isFloat(x.dtype) ? pickNumber(random, -1.5, 1.5) : random.integer(-3, 4)],
    model: ([x], [number]) => write(x, [x], (old) => fn(old, number)),
    run: ([x], [number]) => call(x, name, number),
    show: ([x], [number]) => `${x}.${name}(${number})`,
  };
}

/** Changes the input by a function whose derivative needs the old values or the new ones. */
function changeByFunction(name: "square_" | "tanh_" | "exp_", fn: (x: number) => number): Operation {
  return {
    inputs: 1,
    kind: "change",
    make: NONE,
    model([x]) {
      need(isFloat(x.dtype));
      write(x, [x], fn);
      if (name !== "square_" && x.memory.tracked) x.memory.isSaved = true;
      return x;
    },
    run: ([x]) => call(x, name),
    show: ([x]) => `${x}.${name}()`,
  };
}

const DTYPES: readonly ModelDType[] = ["float64", "float32", "int64", "int32", "uint8", "bool", "bfloat16", "float16"];

const clamp: Operation = {
  inputs: 1,
  kind: "new",
  make: (random) => [pickNumber(random, -1, 0), pickNumber(random, 0.1, 1)],
  model([x], [min, max]) {
    need(isFloat(x.dtype));
    const values = read(x);
    keepAway(values.flatMap((value) => [value - min, value - max]));
    return result([x], values.map((value) => Math.min(Math.max(value, min), max)), x.shape, x.dtype);
  },
  run: ([x], [min, max]) => x.clamp({ min, max }),
  show: ([x], [min, max]) => `${x}.clamp({ min: ${min}, max: ${max} })`,
};

const pow: Operation = {
  inputs: 1,
  kind: "new",
  make: (random) => [random.pick([0.5, 1.5, 2, 3])],
  model([x], [exponent]) {
    need(isFloat(x.dtype));
    const values = read(x);
    if (!Number.isInteger(exponent)) atLeast(0.1)(values);
    return result([x], values.map((value) => value ** exponent), x.shape, x.dtype);
  },
  run: ([x], [exponent]) => x.pow(exponent),
  show: ([x], [exponent]) => `${x}.pow(${exponent})`,
};

const select: Operation = {
  inputs: 3,
  kind: "new",
  make: NONE,
  model([condition, a, b]) {
    need(condition.dtype === "bool" && a.dtype === b.dtype);
    const shape = broadcast(condition.shape, broadcast(a.shape, b.shape));
    const [x, y] = [read(a, shape), read(b, shape)];
    return result([a, b], read(condition, shape).map((value, i) => value !== 0 ? x[i] : y[i]), shape, a.dtype);
  },
  run: ([condition, a, b]) => where(condition, a, b),
  show: ([condition, a, b]) => `where(${condition}, ${a}, ${b})`,
};

const convert: Operation = {
  inputs: 1,
  kind: "new",
  make: (random) => [random.integer(0, DTYPES.length)],
  model([x], [which]) {
    const dtype = DTYPES[which];
    // Converting to the same dtype gives the tensor itself; a gradient would be rounded too.
    need(dtype !== x.dtype && !x.memory.tracked);
    const values = read(x);
    checkConversion(values, x.dtype, dtype);
    return result([x], values, x.shape, dtype);
  },
  run: ([x], [which]) => x.to({ dtype: DTYPES[which] }),
  show: ([x], [which]) => `${x}.to({ dtype: "${DTYPES[which]}" })`,
};

/** Elementwise operations by name. */
export const elementwise: Record<string, Operation> = {
  ...Object.fromEntries(Object.entries(unary).map(([name, definition]) => [name, unaryOperation(name, definition)])),
  ...Object.fromEntries(Object.keys(arithmetic).map((name) => [name, arithmeticOperation(name)])),
  ...Object.fromEntries(
    (["add", "sub", "mul", "div"] as const).map((name) => [`${name}Number`, numberOperation(name)]),
  ),
  ...Object.fromEntries(Object.keys(comparisons).map((name) => [name, comparison(name)])),
  clamp,
  pow,
  where: select,
  to: convert,
  add_: change("add_", (x, y) => x + y),
  sub_: change("sub_", (x, y) => x - y),
  mul_: change("mul_", (x, y) => x * y),
  copy_: change("copy_", (_, y) => y),
  addNumber_: changeByNumber("add_", (x, y) => x + y),
  mulNumber_: changeByNumber("mul_", (x, y) => x * y),
  fill_: changeByNumber("fill_", (_, y) => y),
  square_: changeByFunction("square_", (x) => x * x),
  tanh_: changeByFunction("tanh_", Math.tanh),
  exp_: changeByFunction("exp_", Math.exp),
};
