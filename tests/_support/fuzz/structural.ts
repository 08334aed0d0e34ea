/**
 * Views, copies, joins, reductions and products.
 *
 * @module
 */
import { cat, stack, tensor } from "../../../mod.ts";
import {
  broadcast,
  forEachIndex,
  isFloat,
  isRowMajor,
  keepAway,
  read,
  rowMajor,
  sizeOf,
  type Window,
} from "./model.ts";
import { markUnclear, need, NONE, type Operation, pickDim, result, windowOn } from "./operation.ts";

const list = (numbers: readonly number[]): string => `[${numbers.join(", ")}]`;

const reshape: Operation = {
  inputs: 1,
  kind: "view",
  make(random, [x]) {
    const size = sizeOf(x.shape);
    if (size === 0) return [0, random.integer(0, 3)];
    const divisors = Array.from({ length: size }, (_, i) => i + 1).filter((d) => size % d === 0);
    const first = random.pick(divisors);
    const second = random.pick(divisors.filter((d) => (size / first) % d === 0));
    return random.chance(0.3)
      ? [size]
      : random.chance(0.5)
      ? [first, size / first]
      : [first, second, size / first / second];
  },
  model([x], shape) {
    need(sizeOf(shape) === sizeOf(x.shape));
    if (isRowMajor(x)) return windowOn(x, shape, rowMajor(shape));
    // A view where the strides allow it, else a copy: nothing may tell.
    markUnclear(x);
    const copy = result([x], read(x), shape, x.dtype);
    copy.memory.isUnclear = true;
    return copy;
  },
  run: ([x], shape) => x.reshape(shape),
  show: ([x], shape) => `${x}.reshape(${list(shape)})`,
};

const permute: Operation = {
  inputs: 1,
  kind: "view",
  make(random, [x]) {
    const order = x.shape.map((_, d) => d);
    for (let d = order.length - 1; d > 0; d--) {
      const other = random.integer(0, d + 1);
      [order[d], order[other]] = [order[other], order[d]];
    }
    return order;
  },
  model: ([x], order) => windowOn(x, order.map((d) => x.shape[d]), order.map((d) => x.strides[d])),
  run: ([x], order) => x.permute(order),
  show: ([x], order) => `${x}.permute(${list(order)})`,
};

const transpose: Operation = {
  inputs: 1,
  kind: "view",
  make: (random, [x]) => [pickDim(random, x), pickDim(random, x)],
  model([x], [a, b]) {
    const order = x.shape.map((_, d) => d === a ? b : d === b ? a : d);
    return windowOn(x, order.map((d) => x.shape[d]), order.map((d) => x.strides[d]));
  },
  run: ([x], [a, b]) => x.transpose(a, b),
  show: ([x], [a, b]) => `${x}.transpose(${a}, ${b})`,
};

const slice: Operation = {
  inputs: 1,
  kind: "view",
  make(random, [x]) {
    const dim = pickDim(random, x);
    const start = random.integer(0, x.shape[dim] + 1);
    return [dim, start, random.integer(start, x.shape[dim] + 1), random.integer(1, 4)];
  },
  model([x], [dim, start, end, step]) {
    const shape = x.shape.map((size, d) => d === dim ? Math.ceil((end - start) / step) : size);
    const strides = x.strides.map((stride, d) => d === dim ? stride * step : stride);
    return windowOn(x, shape, strides, x.offset + start * x.strides[dim]);
  },
  run: ([x], [dim, start, end, step]) => x.slice({ dim, start, end, step }),
  show: ([x], [dim, start, end, step]) => `${x}.slice({ dim: ${dim}, start: ${start}, end: ${end}, step: ${step} })`,
};

const narrow: Operation = {
  inputs: 1,
  kind: "view",
  make(random, [x]) {
    const dim = pickDim(random, x);
    const start = random.integer(0, x.shape[dim] + 1);
    return [dim, start, random.integer(0, x.shape[dim] - start + 1)];
  },
  model: ([x], [dim, start, length]) =>
    windowOn(x, x.shape.map((size, d) => d === dim ? length : size), x.strides, x.offset + start * x.strides[dim]),
  run: ([x], [dim, start, length]) => x.narrow(dim, start, length),
  show: ([x], args) => `${x}.narrow(${args.join(", ")})`,
};

const select: Operation = {
  inputs: 1,
  kind: "view",
  make(random, [x]) {
    const dim = pickDim(random, x);
    need(x.shape[dim] > 0);
    return [dim, random.integer(0, x.shape[dim])];
  },
  model: ([x], [dim, index]) =>
    windowOn(x, x.shape.toSpliced(dim, 1), x.strides.toSpliced(dim, 1), x.offset + index * x.strides[dim]),
  run: ([x], [dim, index]) => x.select(dim, index),
  show: ([x], args) => `${x}.select(${args.join(", ")})`,
};

const unsqueeze: Operation = {
  inputs: 1,
  kind: "view",
  make: (random, [x]) => [random.integer(0, x.shape.length + 1)],
  model([x], [dim]) {
    need(x.shape.length < 4);
    return windowOn(x, x.shape.toSpliced(dim, 0, 1), x.strides.toSpliced(dim, 0, 1));
  },
  run: ([x], [dim]) => x.unsqueeze(dim),
  show: ([x], [dim]) => `${x}.unsqueeze(${dim})`,
};

const squeeze: Operation = {
  inputs: 1,
  kind: "view",
  make: NONE,
  model([x]) {
    const kept = x.shape.map((_, d) => d).filter((d) => x.shape[d] !== 1);
    return windowOn(x, kept.map((d) => x.shape[d]), kept.map((d) => x.strides[d]));
  },
  run: ([x]) => x.squeeze(),
  show: ([x]) => `${x}.squeeze()`,
};

const expand: Operation = {
  inputs: 1,
  kind: "view",
  make(random, [x]) {
    const grown = x.shape.map((size) => size === 1 ? random.integer(1, 4) : size);
    return random.chance(0.3) ? [random.integer(1, 3), ...grown] : grown;
  },
  model([x], shape) {
    need(sizeOf(shape) <= 64 && shape.length <= 4);
    need(String(broadcast(x.shape, shape)) === String(shape));
    const lead = shape.length - x.shape.length;
    const strides = shape.map((size, d) =>
      d < lead || (x.shape[d - lead] === 1 && size !== 1) ? 0 : x.strides[d - lead]
    );
    return windowOn(x, shape, strides);
  },
  run: ([x], shape) => x.expand(shape),
  show: ([x], shape) => `${x}.expand(${list(shape)})`,
};

const clone: Operation = {
  inputs: 1,
  kind: "new",
  savesNothing: true,
  make: NONE,
  model: ([x]) => result([x], read(x), x.shape, x.dtype),
  run: ([x]) => x.clone(),
  show: ([x]) => `${x}.clone()`,
};

const contiguous: Operation = {
  inputs: 1,
  kind: "view",
  make: NONE,
  model([x]) {
    if (isRowMajor(x)) return x;
    return result([x], read(x), x.shape, x.dtype);
  },
  run: ([x]) => x.contiguous(),
  show: ([x]) => `${x}.contiguous()`,
};

const detach: Operation = {
  inputs: 1,
  kind: "view",
  make: NONE,
  model([x]) {
    // Central differences see through it, and a later change in place may make one of both a result and not the other.
    need(!x.memory.tracked);
    x.memory.isUnclear = true;
    return windowOn(x, x.shape, x.strides);
  },
  run: ([x]) => x.detach(),
  show: ([x]) => `${x}.detach()`,
};

function joined(inputs: readonly Window[], dim: number): Window {
  const [a, b] = inputs;
  need(a.dtype === b.dtype && a.shape.length === b.shape.length && a.shape.length > dim);
  need(a.shape.every((size, d) => d === dim || size === b.shape[d]));
  const shape = a.shape.with(dim, a.shape[dim] + b.shape[dim]);
  need(sizeOf(shape) <= 64);
  const outer = sizeOf(shape.slice(0, dim));
  const values: number[] = [];
  const parts = inputs.map((x) => read(x));
  for (let i = 0; i < outer; i++) {
    for (const part of parts) values.push(...part.slice(i * part.length / outer, (i + 1) * part.length / outer));
  }
  return result(inputs, values, shape, a.dtype);
}

const catTwo: Operation = {
  inputs: 2,
  kind: "new",
  savesNothing: true,
  make: (random, [a]) => [pickDim(random, a)],
  model: (inputs, [dim]) => joined(inputs, dim),
  run: (inputs, [dim]) => cat(inputs, { dim }),
  show: (names, [dim]) => `cat([${names.join(", ")}], { dim: ${dim} })`,
};

const stackTwo: Operation = {
  inputs: 2,
  kind: "new",
  savesNothing: true,
  make: (random, [a]) => [random.integer(0, a.shape.length + 1)],
  model(inputs, [dim]) {
    need(inputs.every((x) => x.shape.length < 4) && String(inputs[0].shape) === String(inputs[1].shape));
    return joined(inputs.map((x) => windowOn(x, x.shape.toSpliced(dim, 0, 1), x.strides.toSpliced(dim, 0, 1))), dim);
  },
  run: (inputs, [dim]) => stack(inputs, { dim }),
  show: (names, [dim]) => `stack([${names.join(", ")}], { dim: ${dim} })`,
};

const indexSelect: Operation = {
  inputs: 1,
  kind: "new",
  savesNothing: true,
  make(random, [x]) {
    const dim = pickDim(random, x);
    need(x.shape[dim] > 0);
    return [dim, ...Array.from({ length: random.integer(0, 4) }, () => random.integer(0, x.shape[dim]))];
  },
  model([x], [dim, ...index]) {
    const shape = x.shape.with(dim, index.length);
    need(sizeOf(shape) <= 64);
    const values: number[] = [];
    forEachIndex(shape, (at) => {
      let place = x.offset;
      at.forEach((i, d) => place += (d === dim ? index[i] : i) * x.strides[d]);
      values.push(x.memory.data[place]);
    });
    return result([x], values, shape, x.dtype);
  },
  run: ([x], [dim, ...index]) => x.indexSelect(dim, tensor(index, { dtype: "int64", device: x.device })),
  show: ([x], [dim, ...index]) => `${x}.indexSelect(${dim}, tensor(${list(index)}, { dtype: "int64" }))`,
};

type Fold = (values: readonly number[]) => number;

const total: Fold = (values) => values.reduce((sum, value) => sum + value, 0);
const folds: Record<string, Fold> = {
  sum: total,
  mean: (values) => total(values) / values.length,
  max: (values) => Math.max(...values),
  min: (values) => Math.min(...values),
  var(values) {
    const mean = total(values) / values.length;
    return total(values.map((value) => (value - mean) ** 2)) / (values.length - 1);
  },
};

/** Reduces dimension `dim`, or all when it is -1. */
function reduction(name: string): Operation {
  const isExtreme = name === "max" || name === "min";
  return {
    inputs: 1,
    kind: "new",
    savesNothing: name === "sum" || name === "mean",
    make: (random, [x]) => random.chance(0.3) ? [-1, 0] : [pickDim(random, x), random.integer(0, 2)],
    model([x], [dim, keep]) {
      need(isFloat(x.dtype) || (name === "sum" && x.dtype !== "bool" && x.dtype !== "uint8"));
      const order = dim < 0 ? x.shape.map((_, d) => d) : [...x.shape.keys()].filter((d) => d !== dim).concat(dim);
      const moved = read(windowOn(x, order.map((d) => x.shape[d]), order.map((d) => x.strides[d])));
      const count = dim < 0 ? moved.length : x.shape[dim];
      need(count >= (name === "sum" ? 0 : name === "var" ? 2 : 1));
      const shape = dim < 0 ? [] : keep === 1 ? x.shape.with(dim, 1) : x.shape.toSpliced(dim, 1);
      const values = Array.from({ length: sizeOf(shape) }, (_, i) => {
        const part = moved.slice(i * count, (i + 1) * count);
        if (isExtreme) {
          const sorted = part.toSorted((a, b) => a - b);
          keepAway(sorted.slice(1).map((value, k) => value - sorted[k]));
        }
        return folds[name](part);
      });
      return result([x], values, shape, isFloat(x.dtype) ? x.dtype : "int64");
    },
    run([x], [dim, keep]) {
      const options = { dim, keepDim: keep === 1 };
      if (name === "max" || name === "min") return dim < 0 ? x[name]() : x[name](options).values;
      return dim < 0 ? x[name as "sum"]() : x[name as "sum"](options);
    },
    show: ([x], [dim, keep]) =>
      `${x}.${name}(${dim < 0 ? "" : `{ dim: ${dim}, keepDim: ${keep === 1} }`})${
        isExtreme && dim >= 0 ? ".values" : ""
      }`,
  };
}

const matmul: Operation = {
  inputs: 2,
  kind: "new",
  make: NONE,
  model([a, b]) {
    need(isFloat(a.dtype) && a.dtype === b.dtype && a.shape.length >= 2 && b.shape.length >= 2);
    const [m, k] = a.shape.slice(-2);
    const [k2, n] = b.shape.slice(-2);
    need(k === k2);
    const lead = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
    const shape = [...lead, m, n];
    need(sizeOf(shape) <= 64);
    const [x, y] = [read(a, [...lead, m, k]), read(b, [...lead, k, n])];
    const values: number[] = [];
    for (let batch = 0; batch < sizeOf(lead); batch++) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < k; p++) sum += x[(batch * m + i) * k + p] * y[(batch * k + p) * n + j];
          values.push(sum);
        }
      }
    }
    return result([a, b], values, shape, a.dtype);
  },
  run: ([a, b]) => a.matmul(b),
  show: ([a, b]) => `${a}.matmul(${b})`,
};

/** Views, copies, joins, reductions and products by name. */
export const structural: Record<string, Operation> = {
  reshape,
  permute,
  transpose,
  slice,
  narrow,
  select,
  unsqueeze,
  squeeze,
  expand,
  clone,
  contiguous,
  detach,
  cat: catTwo,
  stack: stackTwo,
  indexSelect,
  ...Object.fromEntries(Object.keys(folds).map((name) => [name, reduction(name)])),
  matmul,
};
