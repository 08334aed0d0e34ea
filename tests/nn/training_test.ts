import { assert, assertEquals, assertThrows } from "@std/assert";
import { AdamW, nn, noGrad, ReleasedError, ShapeError, type Tensor, tensor, tidy } from "../../mod.ts";
import { cpuDevice } from "../../src/core/device.ts";
import { readMemoryStats } from "../../src/core/memory.ts";
import golden from "../golden/mlp_adamw.json" with { type: "json" };

interface Case {
  start: Record<string, number[]>;
  batches: number[][][];
  losses: number[];
}

function load(model: nn.Module, start: Record<string, number[]>): void {
  for (const [name, value] of model.namedParameters()) {
    noGrad(() => value.copy_(tensor(start[name], { shape: value.shape })));
  }
}

function train(
  model: nn.Module,
  { start, batches, losses }: Case,
  lossOf: (out: Tensor, batch: number[][]) => Tensor,
  input: (batch: number[][]) => Tensor,
): void {
  load(model, start);
  const optimizer = new AdamW(model.parameters(), { lr: 1e-2 });
  assert(losses.length === 50);
  losses.forEach((expected, step) => {
    const batch = batches[step % batches.length];
    const actual = tidy(() => {
      optimizer.zeroGrad();
      const loss = lossOf(model.forward(input(batch)), batch);
      loss.backward();
      optimizer.step();
      return loss;
    }).item();
    assert(Math.abs(actual - expected) <= 1e-5, `step ${step}: loss ${actual}, PyTorch ${expected}`);
  });
}

Deno.test("AdamW on an MLP has PyTorch's losses for 50 steps", () => {
  const model = new nn.Sequential(new nn.Linear(10, 16), new nn.ReLU(), new nn.Linear(16, 1));
  train(
    model,
    golden.mlp as Case,
    (out, [, y]) => nn.functional.mseLoss(out, tensor(y, { shape: [8, 1] })),
    ([x]) => tensor(x, { shape: [8, 10] }),
  );
});

Deno.test("AdamW on an embedding with cross-entropy has PyTorch's losses for 50 steps", () => {
  const model = new nn.Sequential(new nn.Embedding(11, 6), new nn.GELU(), new nn.Linear(6, 4));
  train(
    model,
    golden.words as Case,
    (out, [, y]) => nn.functional.crossEntropy(out, tensor(y, { dtype: "int64" })),
    ([x]) => tensor(x, { dtype: "int64" }),
  );
});

Deno.test("a training step leaves no storage behind", () => {
  const model = new nn.Sequential(new nn.Linear(10, 16), new nn.ReLU(), new nn.Linear(16, 1));
  const optimizer = new AdamW(model.parameters());
  const step = (): void => {
    tidy(() => {
      optimizer.zeroGrad();
      const x = tensor(Array.from({ length: 80 }, (_, i) => i / 80), { shape: [8, 10] });
      model.forward(x).square().mean().backward();
      optimizer.step();
    });
  };
  for (let i = 0; i < 3; i++) step();
  const before = readMemoryStats(cpuDevice()).liveStorages;
  for (let i = 0; i < 50; i++) step();
  assertEquals(readMemoryStats(cpuDevice()).liveStorages, before);
});

Deno.test("a released tensor names its maker and the remedy", () => {
  let leaked: Tensor | undefined;
  tidy(() => {
    leaked = tensor([1, 2]).exp();
  });
  assertThrows(() => leaked!.add(1), ReleasedError, "made by exp and released at the end of tidy(). Call .keep()");
});

Deno.test("a second backward through a freed graph is an error", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  const loss = x.exp().sum();
  loss.backward();
  assertThrows(() => loss.backward(), ReleasedError, "Call backward() once");
});

Deno.test("linear refuses an input whose last size is not the weight's", () => {
  assertThrows(() => new nn.Linear(3, 2).forward(tensor([[1, 2]])), ShapeError, "the last size must be 3, got 2");
});
