import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type DeviceName,
  type DType,
  DTypeError,
  nn,
  noGrad,
  optim,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from "../../mod.ts";
import { cpuDevice } from "../../src/core/device.ts";
import { readMemoryStats } from "../../src/core/memory.ts";
import { assertClose } from "../_support/close.ts";
import golden from "../golden/optimizers.json" with { type: "json" };
import training from "../golden/training.json" with { type: "json" };
import { testDevices } from "../_support/devices.ts";

const DEVICES = testDevices(import.meta.url);

interface Case {
  kind: string;
  options: Record<string, unknown>;
  float32: number[];
  float64: number[];
}

type AnyOptimizer = optim.Optimizer<{ lr: number }>;

const CASES = golden.cases as unknown as Record<string, Case>;
const { start, batches } = training.mlp as unknown as { start: Record<string, number[]>; batches: number[][][] };

function make(kind: string, parameters: Tensor[], options: Record<string, unknown>): AnyOptimizer {
  const constructors = optim as unknown as Record<string, new (p: Tensor[], o: object) => AnyOptimizer>;
  return new constructors[kind](parameters, options);
}

function losses({ kind, options }: Case, dtype: "float32" | "float64", device: DeviceName): number[] {
  // Parameters of float64 are made here, so that the test needs nothing but operations of that dtype.
  const parameters = Object.entries(start).map(([name, values]) => {
    const shape = name.endsWith("weight") ? [values.length / 10 === 16 ? 16 : 1, name[0] === "0" ? 10 : 16] : undefined;
    return tensor(values, { dtype, device, requiresGrad: true, ...(shape === undefined ? {} : { shape }) });
  });
  const [w0, b0, w1, b1] = parameters;
  const trained = kind === "Muon" ? [w0, w1] : parameters;
  const optimizer = make(kind, trained, options);
  return Array.from({ length: 50 }, (_, step) =>
    tidy(() => {
      const [x, y] = batches[step % batches.length];
      optimizer.zeroGrad();
      for (const p of [b0, b1]) p.grad = null;
      const hidden = nn.functional.linear(tensor(x, { shape: [8, 10], dtype, device }), w0, b0).relu();
      const loss = nn.functional.mseLoss(
        nn.functional.linear(hidden, w1, b1),
        tensor(y, { shape: [8, 1], dtype, device }),
      );
      loss.backward();
      optimizer.step();
      return loss;
    }).item());
}

for (const [name, example] of Object.entries(CASES)) {
  for (const dtype of ["float64", "float32"] as const) {
    Deno.test(`${name} has PyTorch's losses for 50 steps of ${dtype}`, () => {
      for (const device of DEVICES) checkLosses(losses(example, dtype, device), example, dtype);
    });
  }
}

function checkLosses(actual: number[], example: Case, dtype: "float32" | "float64"): void {
  const expected = example[dtype];
  assertEquals([actual.length, expected.length], [50, 50]);
  // Rounding in another order: 50 steps multiply it by some hundreds. Muon rounds to bfloat16 inside, where a sum that is
  // rounded to the other neighbour changes an element by 2^-8; Lion's and Adagrad's first steps are signs of gradients.
  const tolerance = example.kind === "Muon" ? 2e-3 : dtype === "float64" ? 1e-12 : 2e-5;
  actual.forEach((value, step) => {
    assert(
      Math.abs(value - expected[step]) <= tolerance * Math.max(1, Math.abs(expected[step])),
      `step ${step}: loss ${value}, PyTorch ${expected[step]}`,
    );
  });
}

interface Low {
  start: number[][];
  gradients: number[][][];
  cases: Record<string, { torch: number[][]; exact: number[][] }>;
}

const SHAPES = [[6, 5], [11]];

for (const dtype of ["bfloat16", "float16"] as const) {
  const low = golden.low[dtype] as unknown as Low;
  for (const [name, { torch, exact }] of Object.entries(low.cases)) {
    Deno.test(`${name} on ${dtype} parameters is as close to the exact steps as PyTorch`, () => {
      for (const device of DEVICES) checkLow(name, dtype, device, low, torch, exact);
    });
  }
}

function checkLow(
  name: string,
  dtype: DType,
  device: DeviceName,
  low: Low,
  torch: number[][],
  exact: number[][],
): void {
  const { kind, options } = CASES[name];
  const parameters = torch.map((_, i) => low16(low.start[i], SHAPES[i], dtype, device).requiresGrad_());
  const optimizer = make(kind, parameters, options);
  for (const step of low.gradients) {
    parameters.forEach((p, i) => p.grad = low16(step[i], SHAPES[i], dtype, device));
    optimizer.step();
  }
  const mean = (values: number[][]): number => {
    const errors = values.flatMap((list, i) => list.map((value, j) => Math.abs(value - exact[i][j])));
    return errors.reduce((a, b) => a + b) / errors.length;
  };
  const values = parameters.map((p) => Array.from(p.to({ dtype: "float64" }).data(), Number));
  assertEquals(values.map((list) => list.length), exact.map((list) => list.length));
  // Where PyTorch's rounding happens to fit, half a unit in the last place of values near 1 is still allowed.
  const unit = dtype === "bfloat16" ? 2 ** -9 : 2 ** -12;
  assert(mean(values) <= 2 * mean(torch) + unit, `mean error ${mean(values)}, PyTorch's ${mean(torch)}`);
  if (kind === "Muon") return;
  for (const list of Object.values(optimizer.stateDict().state)) {
    for (const value of Object.values(list)) if (typeof value === "object") assertEquals(value.dtype, dtype);
  }
}

function low16(values: number[], shape: number[], dtype: DType, device: DeviceName): Tensor {
  return tensor(values, { shape, dtype: "float32", device }).to({ dtype });
}

const pair = (): [Tensor, Tensor] => [
  tensor([1, 2, 3], { requiresGrad: true }),
  tensor([[1, -1], [2, 0.5]], { requiresGrad: true }),
];

const EVERY: [string, Record<string, unknown>][] = Object.entries(CASES).map((
  [, { kind, options }],
) => [kind, options]);

Deno.test("every optimizer resumes from its state dict with the same values to the last bit", () => {
  for (const [kind, options] of EVERY) {
    const run = (restart: boolean): unknown[] => {
      const [a, b] = pair();
      const list = kind === "Muon" ? [b] : [a, b];
      let optimizer = make(kind, list, options);
      for (let i = 0; i < 6; i++) {
        if (restart && i === 3) {
          const saved = optimizer.stateDict();
          optimizer = make(kind, list, {});
          optimizer.loadStateDict(saved);
        }
        optimizer.zeroGrad();
        a.mul(a).sum().add(b.mul(b).mul(b).sum()).backward();
        optimizer.step();
      }
      return list.map((p) => p.toArray());
    };
    assertEquals(run(true), run(false), kind);
  }
});

Deno.test("state dicts have PyTorch's state names and shapes", () => {
  const names: Record<string, string[]> = {
    Adam: ["exp_avg", "exp_avg_sq", "step"],
    SGD: ["momentum_buffer", "step"],
    Lion: ["exp_avg", "step"],
    RMSprop: ["grad_avg", "momentum_buffer", "square_avg", "step"],
    Adagrad: ["step", "sum"],
    NAdam: ["exp_avg", "exp_avg_sq", "mu_product", "step"],
    Muon: ["momentum_buffer", "step"],
    Adafactor: ["col_var", "row_var", "step"],
  };
  for (const [kind, expected] of Object.entries(names)) {
    const b = pair()[1];
    const options = kind === "RMSprop" ? { centered: true, momentum: 0.9 } : kind === "SGD" ? { momentum: 0.9 } : {};
    const optimizer = make(kind, [b], options);
    b.square().sum().backward();
    optimizer.step();
    assertEquals(Object.keys(optimizer.stateDict().state[0]).sort(), expected, kind);
  }
  const a = pair()[0];
  const adafactor = new optim.Adafactor([a]);
  a.square().sum().backward();
  adafactor.step();
  assertEquals((adafactor.stateDict().state[0].variance as Tensor).shape, [3]);
});

Deno.test("addParamGroup() trains more parameters with settings of their own", () => {
  const [a, b] = pair();
  const optimizer = new optim.SGD([a], { lr: 0.5 });
  optimizer.addParamGroup({ params: [b], lr: 0.25 });
  assertEquals(optimizer.paramGroups.map(({ lr }) => lr), [0.5, 0.25]);
  a.sum().add(b.sum()).backward();
  optimizer.step();
  assertEquals(a.toArray(), [0.5, 1.5, 2.5]);
  assertEquals(b.toArray(), [[0.75, -1.25], [1.75, 0.25]]);
  assertThrows(() => optimizer.addParamGroup({ params: [b] }), RangeError, "a parameter is listed twice");
  assertThrows(() => optimizer.addParamGroup({ params: [] }), RangeError, "the list of parameters is empty");
  assertThrows(() => optimizer.addParamGroup({ params: [tensor([1])], lr: -1 }), RangeError, "lr -1");
  assertEquals(optimizer.paramGroups.length, 2);
});

Deno.test("a change of lr keeps the state, and a momentum that is switched on begins with the gradient", () => {
  const a = tensor([1], { requiresGrad: true });
  const optimizer = new optim.SGD([a], { lr: 1, dampening: 0.5 });
  const step = (): number => {
    optimizer.zeroGrad();
    a.mul(2).sum().backward();
    optimizer.step();
    return a.item();
  };
  assertEquals(step(), -1);
  optimizer.paramGroups[0].momentum = 0.5;
  assertEquals(step(), -3); // buffer 2: without dampening, as PyTorch's first
  optimizer.paramGroups[0].lr = 0.5;
  assertEquals(step(), -4); // buffer 0.5 * 2 + 0.5 * 2
});

Deno.test("a gradient that was assigned is used, whatever its layout, and must fit", () => {
  const b = pair()[1];
  const optimizer = new optim.SGD([b], { lr: 1 });
  noGrad(() => b.grad = tensor([[1, 2], [3, 4]]).transpose(0, 1));
  optimizer.step();
  assertEquals(b.toArray(), [[0, -4], [0, -3.5]]);
  b.grad = tensor([[1, 2], [3, 4]], { dtype: "float64" });
  assertThrows(() => optimizer.step(), DTypeError, "a float32 parameter has a float64 gradient");
  b.grad = tensor([1, 2]);
  assertThrows(() => optimizer.step(), ShapeError, "a parameter of (2, 2) has a gradient of (2)");
});

Deno.test("optimizers refuse settings outside their ranges", () => {
  const bad: [string, Record<string, unknown>, string][] = [
    ["AdamW", { lr: -1 }, "lr -1"],
    ["AdamW", { betas: [0.9, 1] }, "two numbers in [0, 1)"],
    ["Adam", { eps: NaN }, "eps NaN"],
    ["SGD", { nesterov: true }, "it needs a momentum above 0"],
    ["Lion", { betas: [0.9] }, "two numbers in [0, 1)"],
    ["RMSprop", { alpha: -0.1 }, "alpha -0.1"],
    ["Adagrad", { lrDecay: -1 }, "lrDecay -1"],
    ["NAdam", { momentumDecay: -1 }, "momentumDecay -1"],
    ["Adafactor", { beta2Decay: 0.5 }, "beta2Decay 0.5"],
    ["Adafactor", { d: 0.5 }, "it must be at least 1"],
    ["Adafactor", { eps: [-1, 1e-3] }, "eps1 -1"],
    ["Muon", { nsSteps: 100 }, "an integer in [0, 100)"],
    ["Muon", { adjustLrFn: "none" }, 'choose "original"'],
    ["Muon", { nsCoefficients: [1, 2] }, "exactly three"],
  ];
  for (const [kind, options, message] of bad) {
    assertThrows(() => make(kind, [pair()[1]], options), RangeError, message);
  }
  assertThrows(() => new optim.Muon([pair()[0]]), ShapeError, "it must be a matrix");
});

Deno.test("a step of any optimizer leaves no storage behind", () => {
  for (const [kind, options] of EVERY) {
    const b = pair()[1];
    const optimizer = make(kind, [b], options);
    const step = (): void =>
      tidy(() => {
        optimizer.zeroGrad();
        b.square().sum().backward();
        optimizer.step();
      });
    for (let i = 0; i < 3; i++) step();
    const before = readMemoryStats(cpuDevice()).liveStorages;
    for (let i = 0; i < 10; i++) step();
    assertEquals(readMemoryStats(cpuDevice()).liveStorages, before, kind);
  }
});

for (const { kind, shape, values } of golden.shapes) {
  Deno.test(`${kind} of a parameter of shape (${shape}) has PyTorch's values after 3 steps`, () => {
    for (const device of DEVICES) {
      const counts = values.map((_, i) => i + 1);
      const p = tensor(counts.map(Math.sin), { shape, dtype: "float64", device, requiresGrad: true });
      const optimizer = make(kind, [p], {});
      for (const step of [1, 2, 3]) {
        p.grad = tensor(counts.map((count) => Math.cos(count * step)), { shape, dtype: "float64", device });
        optimizer.step();
      }
      // Muon's direction is rounded to bfloat16 after sums of another order: three steps of lr 1e-3 times 2^-8, and the ratio's root.
      assertClose(p, values, { atol: kind === "Muon" ? 1e-4 : 1e-12 });
    }
  });
}

Deno.test("Adafactor and Muon step over an empty matrix", () => {
  for (const kind of ["Adafactor", "Muon"]) {
    const p = tensor([], { shape: [0, 4], requiresGrad: true });
    p.grad = tensor([], { shape: [0, 4] });
    make(kind, [p], {}).step();
    assertEquals(p.shape, [0, 4]);
  }
});
