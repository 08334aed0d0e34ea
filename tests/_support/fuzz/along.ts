/**
 * Operations along one dimension, and on the last two.
 *
 * @module
 */
import { tensor } from "../../../mod.ts";
import { isFloat, keepAway, read, sizeOf, type Window } from "./model.ts";
import { need, NONE, type Operation, pickDim, result, windowOn } from "./operation.ts";

type Rule = (values: readonly number[]) => number[];

/** Applies a rule to every line of a dimension; the lines keep their length. */
function mapLines(x: Window, dim: number, rule: Rule): number[] {
  const count = x.shape[dim];
  const order = [...x.shape.keys()].filter((d) => d !== dim).concat(dim);
  const lines = read(windowOn(x, order.map((d) => x.shape[d]), order.map((d) => x.strides[d])));
  const inner = sizeOf(x.shape.slice(dim + 1));
  const values = new Array<number>(lines.length);
  for (let line = 0; line * count < lines.length; line++) {
    const start = Math.floor(line / inner) * inner * count + line % inner;
    rule(lines.slice(line * count, (line + 1) * count)).forEach((value, i) => values[start + i * inner] = value);
  }
  return values;
}

const logsumexp = (values: readonly number[]): number => {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
};

function apart(values: readonly number[]): void {
  const sorted = values.toSorted((a, b) => a - b);
  keepAway(sorted.slice(1).map((value, i) => value - sorted[i]));
}

const rules: Record<string, Rule> = {
  softmax: (values) => values.map((value) => Math.exp(value - logsumexp(values))),
  logSoftmax: (values) => values.map((value) => value - logsumexp(values)),
  cumsum(values) {
    let sum = 0;
    return values.map((value) => sum += value);
  },
  flip: (values) => values.toReversed(),
  sort(values) {
    apart(values);
    return values.toSorted((a, b) => a - b);
  },
};

function lineOperation(name: string): Operation {
  const isExact = name === "flip";
  return {
    inputs: 1,
    kind: "new",
    savesNothing: name === "flip" || name === "cumsum",
    make: (random, [x]) => [pickDim(random, x)],
    model([x], [dim]) {
      need(isExact || isFloat(x.dtype));
      return result([x], mapLines(x, dim, rules[name]), x.shape, x.dtype);
    },
    run([x], [dim]) {
      if (name === "softmax" || name === "logSoftmax") return x[name]({ dim });
      return name === "sort" ? x.sort({ dim }).values : name === "flip" ? x.flip(dim) : x.cumsum(dim);
    },
    show: ([x], [dim]) =>
      name === "flip" || name === "cumsum"
        ? `${x}.${name}(${dim})`
        : `${x}.${name}({ dim: ${dim} })${name === "sort" ? ".values" : ""}`,
  };
}

const logSumExp: Operation = {
  inputs: 1,
  kind: "new",
  make: (random, [x]) => [pickDim(random, x)],
  model([x], [dim]) {
    need(isFloat(x.dtype) && x.shape[dim] > 0);
    const reduced = mapLines(x, dim, (values) => values.map(() => logsumexp(values)));
    const whole = result([x], reduced, x.shape, x.dtype);
    const first = windowOn(whole, x.shape.toSpliced(dim, 1), whole.strides.toSpliced(dim, 1));
    return result([x], read(first), first.shape, x.dtype);
  },
  run: ([x], [dim]) => x.logsumexp({ dim }),
  show: ([x], [dim]) => `${x}.logsumexp({ dim: ${dim} })`,
};

const gather: Operation = {
  inputs: 1,
  kind: "new",
  make(random, [x]) {
    const dim = pickDim(random, x);
    need(x.shape[dim] > 0 && sizeOf(x.shape) > 0);
    return [dim, ...Array.from({ length: sizeOf(x.shape) }, () => random.integer(0, x.shape[dim]))];
  },
  model([x], [dim, ...index]) {
    const strides = [1];
    for (let d = x.shape.length - 1; d > 0; d--) strides.unshift(strides[0] * x.shape[d]);
    const values = read(x);
    const picked = values.map((_, k) => {
      const own = Math.floor(k / strides[dim]) % x.shape[dim];
      return values[k + (index[k] - own) * strides[dim]];
    });
    return result([x], picked, x.shape, x.dtype);
  },
  run: ([x], [dim, ...index]) => x.gather(dim, tensor(index, { shape: x.shape, dtype: "int64", device: x.device })),
  show: ([x], [dim, ...index]) => `${x}.gather(${dim}, tensor([${index}], { shape: ${x}.shape, dtype: "int64" }))`,
};

function triangle(name: "tril" | "triu"): Operation {
  return {
    inputs: 1,
    kind: "new",
    savesNothing: true,
    make: (random) => [random.integer(-2, 3)],
    model([x], [diagonal]) {
      need(x.shape.length >= 2);
      const [rows, columns] = x.shape.slice(-2);
      const values = read(x).map((value, k) => {
        const above = k % columns - Math.floor(k / columns) % rows;
        return (name === "tril" ? above <= diagonal : above >= diagonal) ? value : 0;
      });
      return result([x], values, x.shape, x.dtype);
    },
    run: ([x], [diagonal]) => x[name]({ diagonal }),
    show: ([x], [diagonal]) => `${x}.${name}({ diagonal: ${diagonal} })`,
  };
}

const diagonal: Operation = {
  inputs: 1,
  kind: "view",
  make: NONE,
  model([x]) {
    need(x.shape.length >= 2);
    const shape = [...x.shape.slice(2), Math.min(x.shape[0], x.shape[1])];
    return windowOn(x, shape, [...x.strides.slice(2), x.strides[0] + x.strides[1]]);
  },
  run: ([x]) => x.diagonal(),
  show: ([x]) => `${x}.diagonal()`,
};

/** Operations along a dimension by name. */
export const along: Record<string, Operation> = {
  ...Object.fromEntries(Object.keys(rules).map((name) => [name, lineOperation(name)])),
  logsumexp: logSumExp,
  gather,
  tril: triangle("tril"),
  triu: triangle("triu"),
  diagonal,
};
