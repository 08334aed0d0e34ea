import { assert, assertEquals } from "@std/assert";
import { type DeviceName, devices, type DType, noGrad, optim, type Tensor, tensor, tidy } from "../../mod.ts";
import { assertClose } from "../_support/close.ts";
import golden from "../golden/optimizers.json" with { type: "json" };

interface Example {
  exact: number[][];
  master?: number[][];
  rounded?: number[][];
}
interface Low {
  start: number[][];
  gradients: number[][][];
  cases: Record<string, Example>;
}
type AnyOptimizer = optim.Optimizer<{ lr: number }>;

const SHAPES = [[6, 5], [11]];
const CASES = golden.cases as unknown as Record<string, { kind: string; options: Record<string, unknown> }>;

function make(kind: string, parameters: Tensor[], options: Record<string, unknown>): AnyOptimizer {
  const constructors = optim as unknown as Record<string, new (p: Tensor[], o: object) => AnyOptimizer>;
  return new constructors[kind](parameters, options);
}

function low16(values: number[], shape: number[], dtype: DType, device: DeviceName): Tensor {
  return tensor(values, { shape, dtype: "float32", device }).to({ dtype });
}

const wide = (x: Tensor): Tensor => x.to({ dtype: "float64" });
const numbers = (x: Tensor): number[] => Array.from(wide(x).data(), Number);

function checkCase(name: string, dtype: DType, device: DeviceName): void {
  const { start, gradients, cases } = golden.low[dtype as "bfloat16"] as unknown as Low;
  const { exact, master, rounded } = cases[name];
  const { kind, options } = CASES[name];
  const parameters = SHAPES.map((shape, i) => low16(start[i], shape, dtype, device).requiresGrad_());
  const optimizer = make(kind, parameters, { ...options, masterWeights: true });
  for (const step of gradients) {
    parameters.forEach((p, i) => p.grad = low16(step[i], SHAPES[i], dtype, device));
    optimizer.step();
  }
  const { state } = optimizer.stateDict();
  parameters.forEach((parameter, i) => {
    for (const value of Object.values(state[i])) if (typeof value === "object") assertEquals(value.dtype, "float32");
    const copy = state[i].master_param as Tensor;
    // 20 steps in float32, whose roundings may differ from PyTorch's and from the exact steps by one unit each. RMSprop's centred
    // variance is a difference that loses digits where the gradients hardly change.
    const tolerance = name.includes("centered") || name === "RMSprop all" ? 1e-4 : 1e-5;
    assertClose(copy, master![i], { rtol: tolerance, atol: tolerance });
    assertClose(copy, exact[i], { rtol: tolerance, atol: tolerance });
    assertEquals(numbers(parameter), numbers(copy.to({ dtype })), "the parameter is the rounded master");
    // A value between two neighbours of 16 bits may be rounded to the other one.
    const unit = dtype === "bfloat16" ? 2 ** -7 : 2 ** -10;
    assertClose(wide(parameter), rounded![i], { rtol: unit, atol: unit * 2 ** -6 });
  });
}

for (const dtype of ["bfloat16", "float16"] as const) {
  for (const name of Object.keys(CASES)) {
    if (CASES[name].kind === "Adafactor" || CASES[name].kind === "Muon") continue;
    Deno.test(`${name} with float32 masters of ${dtype} parameters takes PyTorch's float32 steps`, () => {
      for (const device of devices()) checkCase(name, dtype, device);
    });
  }
}

Deno.test("with masters, steps below the precision of a parameter add up", () => {
  for (const device of devices()) {
    for (const masterWeights of [false, true]) {
      const p = tensor([1, -1, 0], { dtype: "bfloat16", device, requiresGrad: true });
      const optimizer = new optim.SGD([p], { lr: 1e-3, masterWeights });
      for (let step = 0; step < 100; step++) {
        p.grad = tensor([1, 1, 1], { dtype: "bfloat16", device });
        optimizer.step();
      }
      // 1e-3 is a quarter of the distance between bfloat16 numbers below 1, and an eighth of that above.
      assertClose(wide(p), masterWeights ? [0.8984375, -1.1015625, -0.10009765625] : [1, -1, numbers(p)[2]], {
        rtol: 0,
        atol: 0,
      });
    }
  }
});

Deno.test("a parameter that was changed between steps is taken over, the digits of others are kept", () => {
  for (const device of devices()) {
    const p = tensor([1, 1], { dtype: "bfloat16", device, requiresGrad: true });
    const optimizer = new optim.SGD([p], { lr: 1e-3, masterWeights: true });
    const step = (): void => {
      p.grad = tensor([1, 1], { dtype: "bfloat16", device });
      optimizer.step();
    };
    const master = (): number[] => numbers(optimizer.stateDict().state[0].master_param as Tensor);
    step();
    noGrad(() => tidy(() => p.narrow(0, 1, 1).fill_(3)));
    step();
    assertClose(tensor(master()), [0.998, 2.999], { rtol: 1e-6, atol: 0 });
    assertEquals(numbers(p), [0.99609375, 3]);
  }
});

Deno.test("masters are saved and loaded, whether the parameters are loaded before or after", () => {
  const gradients = [[0.5, -2], [1, 1], [-3, 0.25], [1, 2]];
  const run = (restart: "no" | "before" | "after"): number[] => {
    let p = tensor([1, -0.5], { dtype: "bfloat16", requiresGrad: true });
    let optimizer = new optim.AdamW([p], { lr: 1e-3, masterWeights: true });
    gradients.forEach((gradient, i) => {
      if (i === 2 && restart !== "no") {
        const [values, saved] = [p.detach().clone(), optimizer.stateDict()];
        p = tensor([7, 7], { dtype: "bfloat16", requiresGrad: true });
        optimizer = new optim.AdamW([p], { masterWeights: true });
        const load = (): void => noGrad(() => void p.copy_(values));
        if (restart === "before") load();
        optimizer.loadStateDict(saved);
        if (restart === "after") load();
      }
      p.grad = tensor(gradient, { dtype: "bfloat16" });
      optimizer.step();
    });
    return numbers(optimizer.stateDict().state[0].master_param as Tensor);
  };
  assertEquals(run("before"), run("no"));
  assertEquals(run("after"), run("no"));
});

Deno.test("a state that was saved without masters is loaded, with the parameters as masters", () => {
  const p = tensor([1.5], { dtype: "bfloat16", requiresGrad: true });
  const before = new optim.AdamW([p], { lr: 1e-3 });
  p.grad = tensor([1], { dtype: "bfloat16" });
  before.step();
  const after = new optim.AdamW([p], { lr: 1e-3, masterWeights: true });
  const { state, paramGroups } = before.stateDict();
  after.loadStateDict({ state, paramGroups: paramGroups.map((group) => ({ ...group, masterWeights: true })) });
  const loaded = after.stateDict().state[0];
  assertEquals(numbers(loaded.master_param as Tensor), numbers(p));
  assertEquals(numbers(loaded.exp_avg as Tensor), numbers(state[0].exp_avg as Tensor));
});

Deno.test("parameters of float32 have no masters", () => {
  const p = tensor([1, 2], { requiresGrad: true });
  const optimizer = new optim.AdamW([p], { masterWeights: true });
  p.grad = tensor([1, 1]);
  optimizer.step();
  assert(!("master_param" in optimizer.stateDict().state[0]));
});
