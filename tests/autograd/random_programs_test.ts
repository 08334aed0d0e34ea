import { assert } from "@std/assert";
import { cat, manualSeed, memoryStats, rand, type Tensor, tensor, tidy } from "../../mod.ts";
import { applyUnary } from "../../src/ops/unary.ts";

// Random programs of views, changes in place and arithmetic, each run twice: as it is, and as its functional twin, in which nothing
// is ever changed: a change of a view becomes a new value of its base, made by cat() and reshape(), and every view is taken anew.
// Values and gradients must agree. PyTorch's semantics of views in autograd follow from the twin's.

const PROGRAMS = 300;
const SEED = 20_261_125;

/** Park and Miller's generator: programs must not depend on the library's random numbers. */
class Choice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed % 2147483646 + 1;
  }
  below(n: number): number {
    this.#state = this.#state * 48271 % 2147483647;
    return this.#state % n;
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

type Shape = readonly number[];

/** Takes a view; the twin uses it too, but never changes what it gives. */
type TakeView = (x: Tensor) => Tensor;
interface Change {
  name: string;
  inPlace(view: Tensor, other: Tensor): void;
  functional(view: Tensor, other: Tensor): Tensor;
}

// None that saves its output: a second change of the same memory would rightly be refused in backward.
const UNARY: Change[] = [
  { name: "mul_(0.7)", inPlace: (v) => v.mul_(0.7), functional: (v) => v.mul(0.7) },
  { name: "sin_", inPlace: (v) => v.sin_(), functional: (v) => applyUnary("sin", v) },
  { name: "erf_", inPlace: (v) => v.erf_(), functional: (v) => applyUnary("erf", v) },
  { name: "abs_", inPlace: (v) => v.abs_(), functional: (v) => v.abs() },
  { name: "square_", inPlace: (v) => v.square_(), functional: (v) => v.square() },
  { name: "neg_", inPlace: (v) => v.neg_(), functional: (v) => v.neg() },
  { name: "zero_", inPlace: (v) => v.zero_(), functional: (v) => v.mul(0) },
  { name: "clamp_", inPlace: (v) => v.clamp_({ max: 0.8 }), functional: (v) => v.clamp({ max: 0.8 }) },
];
const BINARY: Change[] = [
  { name: "add_", inPlace: (v, o) => v.add_(o, { alpha: 0.5 }), functional: (v, o) => v.add(o, { alpha: 0.5 }) },
  { name: "sub_", inPlace: (v, o) => v.sub_(o), functional: (v, o) => v.sub(o) },
  { name: "mul_", inPlace: (v, o) => v.mul_(o), functional: (v, o) => v.mul(o) },
  {
    name: "div_",
    inPlace: (v, o) => v.div_(o.square().add(1)),
    functional: (v, o) => v.div(o.square().add(1)),
  },
  { name: "copy_", inPlace: (v, o) => v.copy_(o), functional: (v, o) => v.mul(0).add(o) },
];

function pickView(choice: Choice, shape: Shape): [string, TakeView] {
  const dim = choice.below(shape.length);
  const size = shape[dim];
  const other = choice.below(shape.length);
  switch (choice.below(8)) {
    case 0:
      return [`transpose(${dim}, ${other})`, (x) => x.transpose(dim, other)];
    case 1: {
      const start = choice.below(size);
      const length = 1 + choice.below(size - start);
      return [`narrow(${dim}, ${start}, ${length})`, (x) => x.narrow(dim, start, length)];
    }
    case 2: {
      const [start, step] = [choice.below(size), 1 + choice.below(3)];
      return [`slice(${dim}, ${start}, step ${step})`, (x) => x.slice({ dim, start, step })];
    }
    case 3: {
      if (shape.length === 1) return [`unsqueeze(${dim})`, (x) => x.unsqueeze(dim)];
      const index = choice.below(size);
      return [`select(${dim}, ${index})`, (x) => x.select(dim, index)];
    }
    case 4:
      return [`unsqueeze(${dim})`, (x) => x.unsqueeze(dim)];
    case 5:
      // A copy where the view does not lie in one piece.
      return ["reshape([-1])", (x) => x.reshape([-1])];
    case 6:
      if (shape.length > 1 && other !== dim) {
        return [`diagonal(${dim}, ${other})`, (x) => x.diagonal({ dim1: dim, dim2: other })];
      }
      return ["the same", (x) => x.narrow(dim, 0, size)];
    default: {
      const order = shape.map((_, i) => i).reverse();
      return ["permute(reversed)", (x) => x.permute(order)];
    }
  }
}

/** A base tensor, and in the twin the value that it has now. */
interface Entry {
  real: Tensor;
  twin: Tensor;
}

/** A tensor that the program holds: a base, or a view of one. A view that had to be copied is a base. */
interface Held {
  base: Entry;
  path: TakeView[];
  real: Tensor;
}

/** Numbers 0, 1, 2, ... laid out as the base, seen through the path: which element of the base is which of the view. */
function positions(base: Tensor, path: readonly TakeView[]): number[] {
  return tidy(() => {
    let index = tensor(Float64Array.from({ length: base.size }, (_, i) => i), { shape: base.shape });
    for (const take of path) index = take(index);
    return Array.from(index.data(), Number);
  });
}

/** The base's value in which the elements of a view are replaced. */
function scattered(base: Tensor, path: readonly TakeView[], value: Tensor): Tensor {
  const flat = base.reshape([-1]);
  const flatValue = value.reshape([-1]);
  const at = new Map(positions(base, path).map((position, i) => [position, i]));
  const parts = Array.from({ length: base.size }, (_, i) => {
    const from = at.get(i);
    return from === undefined ? flat.narrow(0, i, 1) : flatValue.narrow(0, from, 1);
  });
  return cat(parts).reshape(base.shape);
}

function run(seed: number): void {
  const choice = new Choice(seed);
  const log: string[] = [];
  manualSeed(seed);
  const shape = choice.of<Shape>([[4], [2, 3], [3, 3], [2, 2, 3], [2, 4], [1, 3]]);
  const leaves = [0, 1].map(() => rand(shape, { dtype: "float64" }));
  const weights = rand(shape, { dtype: "float64" });
  const real = leaves.map((x) => x.clone().detach().requiresGrad_());
  const twin = leaves.map((x) => x.clone().detach().requiresGrad_());

  const bases: Entry[] = [
    { real: real[0].mul(1.5), twin: twin[0].mul(1.5) },
    { real: real[1].add(0.25), twin: twin[1].add(0.25) },
    // Without history until a change brings one in.
    { real: leaves[0].mul(2), twin: leaves[0].mul(2) },
  ];
  const held: Held[] = bases.map((base) => ({ base, path: [], real: base.real }));
  const twinOf = ({ base, path }: Held): Tensor => path.reduce((x, take) => take(x), base.twin);

  try {
    for (let step = 0; step < 12; step++) {
      const source = choice.of(held);
      const kind = choice.below(5);
      if (kind < 2) {
        const [name, take] = pickView(choice, source.real.shape);
        const view = take(source.real);
        if (view.size === 0) continue;
        log.push(`v${held.length} = v${held.indexOf(source)}.${name}`);
        if (view.storage === source.real.storage) {
          held.push({ base: source.base, path: [...source.path, take], real: view });
        } else {
          const base = { real: view, twin: take(twinOf(source)) };
          bases.push(base);
          held.push({ base, path: [], real: view });
        }
      } else if (kind < 4) {
        const partner = choice.of(held);
        const change = choice.of(choice.below(2) === 0 ? BINARY : UNARY);
        log.push(`v${held.indexOf(source)}.${change.name}(v${held.indexOf(partner)}.mean())`);
        // A mean is a scalar of every element of the partner, which broadcasts to every shape.
        const before = source.path.reduce((x, take) => take(x), source.base.twin);
        const value = change.functional(before, twinOf(partner).mean());
        const other = partner.real.mean();
        change.inPlace(source.real, other);
        source.base.twin = scattered(source.base.twin, source.path, value);
      } else {
        const partner = choice.of(held);
        log.push(`v${held.length} = v${held.indexOf(source)} * v${held.indexOf(partner)}.sum().tanh()`);
        const base = {
          real: source.real.clone().mul(partner.real.clone().sum().tanh()),
          twin: twinOf(source).mul(twinOf(partner).sum().tanh()),
        };
        bases.push(base);
        held.push({ base, path: [], real: base.real });
      }
    }
    const total = (values: Tensor[]): Tensor => values.map((x) => x.clone().sin().sum()).reduce((a, b) => a.add(b));
    const lossOf = (values: Tensor[], own: Tensor[]): Tensor =>
      total(values).add(own[0].add(own[1]).mul(weights).sum());
    const realLoss = lossOf(held.map((h) => h.real), real);
    const twinLoss = lossOf(held.map(twinOf), twin);
    close(realLoss, twinLoss, "loss");
    realLoss.backward();
    twinLoss.backward();
    real.forEach((x, i) => close(x.grad!, twin[i].grad!, `gradient of leaf ${i}`));
  } catch (error) {
    throw new Error(`seed ${seed}, shape [${shape}]\n${log.join("\n")}`, { cause: error });
  }
}

function close(actual: Tensor, expected: Tensor, what: string): void {
  const [a, e] = [Array.from(actual.data(), Number), Array.from(expected.data(), Number)];
  assert(a.length > 0 && a.length === e.length, what);
  // Float64 sums in another order: some units in the last place of values up to a few thousand.
  a.forEach((value, i) =>
    assert(
      Math.abs(value - e[i]) <= 1e-9 * Math.max(1, Math.abs(e[i])),
      `${what}, element ${i}: ${value}, twin ${e[i]}`,
    )
  );
}

Deno.test(`${PROGRAMS} random programs have the gradients of their functional twins (seed ${SEED})`, () => {
  let before = 0;
  for (let i = 0; i < PROGRAMS; i++) {
    tidy(() => run(SEED + i));
    if (i === 0) before = memoryStats().liveStorages;
  }
  // The gradients of two leaves of each run and twin belong to no scope; nothing else may stay.
  const left = memoryStats().liveStorages - before;
  assert(left <= 4 * PROGRAMS, `${left} storages stayed alive`);
});
