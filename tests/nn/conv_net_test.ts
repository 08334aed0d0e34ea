import { assert, assertEquals } from "@std/assert";
import { memoryStats, nn, noGrad, optim, tensor, tidy } from "../../mod.ts";
import { assertClose } from "../_support/close.ts";
import golden from "../golden/conv_net.json" with { type: "json" };

function convNet(): nn.Sequential {
  return new nn.Sequential(
    new nn.Conv2d(2, 4, { kernelSize: 3, padding: 1, bias: false }),
    new nn.BatchNorm2d(4),
    new nn.ReLU(),
    new nn.MaxPool2d(3, { stride: 2, padding: 1 }),
    new nn.Conv2d(4, 6, { kernelSize: 3, stride: 2, padding: "valid", groups: 2 }),
    new nn.ReLU(),
    new nn.AvgPool2d(2, { ceilMode: true }),
    new nn.Flatten(),
    new nn.Linear(24, 8, { bias: false }),
    new nn.BatchNorm1d(8, { momentum: null }),
    new nn.ReLU(),
    new nn.Linear(8, 3),
  );
}

const batches = golden.batches as [number[], number[]][];

Deno.test("a convolutional net has PyTorch's state-dict keys, losses for 20 steps, running statistics and evaluation", () => {
  const model = convNet();
  const start = golden.start as Record<string, { shape: number[]; values: number[] }>;
  assertEquals(Object.keys(model.stateDict()), Object.keys(start));
  model.loadStateDict(
    Object.fromEntries(
      Object.entries(start).map(([name, { shape, values }]) => [name, tensor(Float32Array.from(values), { shape })]),
    ),
  );
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  assertEquals(golden.losses.length, 20);
  let storages = 0;
  golden.losses.forEach((expected, step) => {
    const actual = tidy(() => {
      const [x, y] = batches[step % 4];
      optimizer.zeroGrad();
      const logits = model.forward(tensor(x, { shape: [5, 2, 13, 15] }));
      const loss = nn.functional.crossEntropy(logits, tensor(y, { dtype: "int64" }));
      loss.backward();
      optimizer.step();
      return loss;
    }).item();
    // Float32 rounds differently in another order of summation, and 20 steps of AdamW amplify it.
    assert(Math.abs(actual - expected) <= 1e-4, `step ${step}: loss ${actual}, PyTorch ${expected}`);
    if (step === 1) storages = memoryStats().liveStorages;
  });
  assertEquals(memoryStats().liveStorages, storages);
  const end = golden.end as Record<string, number[]>;
  for (const [name, buffer] of model.namedBuffers()) {
    assertClose(buffer, end[name], { rtol: 1e-3, atol: 1e-4 });
  }
  assertEquals(model.buffers().length, Object.keys(end).length);
  model.eval();
  const evaluated = tidy(() => noGrad(() => model.forward(tensor(batches[0][0], { shape: [5, 2, 13, 15] })))).keep();
  assertClose(evaluated, golden.evaluated, { rtol: 1e-3, atol: 1e-3 });
});
