// Accumulation of gradients beside communication: rows GA-1 to GA-4 and GA-12 of Accelerate's behaviour.
import { assert, assertEquals } from "@std/assert";
import fixtures from "../golden/accelerate_regression.json" with { type: "json" };
import { shownOn } from "../_support/ranks.ts";

const near = (a: unknown, b: number, tolerance: number): void => {
  assert(typeof a === "number" && Math.abs(a - b) <= tolerance, `${a}, expected ${b}`);
};

// y = a x + b, all of whose gradients a rank can compute for the data of all ranks.
const LINE = `
  const accelerator = new Accelerator(OPTIONS);
  const model = new nn.Linear(1, 1);
  model.loadStateDict({ weight: tensor([[0.3]]), bias: tensor([-0.1]) });
  const reference = new nn.Linear(1, 1);
  reference.loadStateDict(model.stateDict());
  const x = arange(80).mul(0.1).sin().unsqueeze(1);
  const y = x.mul(2).add(1);
  const gradients = (module) => module.parameters().map((p) => p.grad === null ? null : p.grad.item());
  const equal = (a, b) => a.every((v, i) => v !== null && b[i] !== null && Math.abs(v - b[i]) <= 1e-6 * Math.max(1, Math.abs(v)));
  const { rank = accelerator.processIndex, world = accelerator.numProcesses } = {};
  const rows = (t, i, r, size) => t.narrow(0, (i * world + r) * size, size);
  const mse = nn.functional.mseLoss;
`;

Deno.test("GA-1, GA-2: inside noSync() gradients are this rank's, after it they are those of all", async () => {
  const script = `${LINE.replace("OPTIONS", "")}
    await accelerator.prepare(model);
    const baseline = () => {
      // The mean over ranks of the sums so far.
      reference.zeroGrad();
      for (const i of seen) for (let r = 0; r < world; r++) {
        mse(reference.forward(rows(x, i, r, 4)), rows(y, i, r, 4)).div(world).backward();
      }
    };
    let seen = [];
    const flags = [];
    for (let i = 0; i < 3; i++) {
      seen.push(i);
      const step = () => accelerator.backward(mse(model.forward(rows(x, i, rank, 4)), rows(y, i, rank, 4)));
      if (i % 2 === 0) accelerator.noSync(model, step);
      else step();
      baseline();
      flags.push(equal(gradients(model), gradients(reference)));
      if (i % 2 === 1) { model.zeroGrad(); seen = []; }
    }
    show(flags);
    await accelerator.end();
  `;
  assertEquals(await shownOn(1, script), [[[true, true, true]]]);
  assertEquals(await shownOn(2, script), [[[false, true, false]], [[false, true, false]]]);
});

Deno.test("GA-3: three backward passes in noSync(), the last with triggerSyncInBackward()", async () => {
  const script = `${LINE.replace("OPTIONS", "")}
    await accelerator.prepare(model);
    const losses = accelerator.noSync(model, () =>
      [0, 1, 2].map((i) => mse(model.forward(rows(x, i, rank, 4)), rows(y, i, rank, 4))));
    const flags = [];
    using _ = accelerator.noSync(model);
    for (const i of [0, 1, 2]) {
      if (i === 2) accelerator.triggerSyncInBackward(model, () => accelerator.backward(losses[i]));
      else accelerator.backward(losses[i]);
      for (let r = 0; r < world; r++) mse(reference.forward(rows(x, i, r, 4)), rows(y, i, r, 4)).div(world).backward();
      flags.push(equal(gradients(model), gradients(reference)));
    }
    show(flags);
    await accelerator.end();
  `;
  assertEquals(await shownOn(2, script), [[[false, false, true]], [[false, false, true]]]);
});

for (const split of [false, true]) {
  for (const dispatch of [false, true]) {
    for (const each of [false, true]) {
      Deno.test(`GA-4: gradients are equal when they are complete; split ${split}, dispatch ${dispatch}, each ${each}`, async () => {
        const options = `{ gradientAccumulationSteps: 2, gradientAccumulation: { syncEachBatch: ${each} },
          dataLoader: { splitBatches: ${split}, dispatchBatches: ${dispatch} } }`;
        const [[flags], [other]] = await shownOn(
          2,
          `${LINE.replace("OPTIONS", options)}
          const optimizer = new optim.SGD(model.parameters(), { lr: 0 });
          const loader = new data.DataLoader(new data.TensorDataset(x, y), { batchSize: 16 });
          await accelerator.prepare(model, optimizer, loader);
          const flags = [];
          let i = 0;
          const size = ${split ? 8 : 16};
          for await (const [a, b] of loader) {
            accelerator.accumulate(model, () => {
              accelerator.backward(mse(model.forward(a), b));
              const all = gradients(model);
              // The sum over the ranks and micro-batches so far, of which the last round is filled from the beginning.
              for (let r = 0; r < world; r++) {
                // Rank 0 hands out the last 16 in equal parts.
                const own = ${dispatch && !split} && i === 2 ? 8 : size;
                const first = i * world * size + r * own;
                const take = (t) => t.narrow(0, first < 80 ? first : first - 80, own);
                mse(reference.forward(take(x)), take(y)).div(world).backward();
              }
              const own = gradients(reference).map((g) => accelerator.syncGradients ? g / (i % 2 + 1) : g);
              flags.push(equal(all, own));
              optimizer.step();
              optimizer.zeroGrad();
              if (accelerator.syncGradients) reference.zeroGrad();
            });
            i++;
          }
          show(flags);
          await accelerator.end();
        `,
        ) as boolean[][][];
        const count = split ? 5 : 3;
        assertEquals(flags, Array.from({ length: count }, (_, i) => each || i % 2 === 1 || i === count - 1));
        assertEquals(other, flags);
      });
    }
  }
}

const { sequential_sgd: expectedLines } = fixtures;
for (const [name, { a, b }] of Object.entries(expectedLines)) {
  const [, n, size] = /^n(\d+)_bs(\d+)_/.exec(name)!.map(Number);
  Deno.test(`GA-12: ${n} samples in batches of ${size}: 1 and 2 ranks, with and without accumulation, reach the same line`, async () => {
    const script = (batch: number, steps: number): string => `
      const { x, y } = (await import("${new URL("../golden/accelerate_regression.json", import.meta.url)}",
        { with: { type: "json" } })).default.regression_len${n}_seed42;
      const accelerator = new Accelerator({ gradientAccumulationSteps: ${steps} });
      class Line extends nn.Module {
        a = new nn.Parameter(tensor(0));
        b = new nn.Parameter(tensor(0));
        forward(x) { return x.mul(this.a).add(this.b); }
      }
      const model = new Line();
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
      const loader = new data.DataLoader(new data.TensorDataset(tensor(x), tensor(y)), { batchSize: ${batch} });
      await accelerator.prepare(model, optimizer, loader);
      for (let epoch = 0; epoch < 3; epoch++) {
        for await (const [input, target] of loader) {
          accelerator.accumulate(model, () => {
            optimizer.zeroGrad();
            accelerator.backward(nn.functional.mseLoss(model.forward(input), target));
            optimizer.step();
          });
        }
      }
      show([model.a, model.b]);
      await accelerator.end();
    `;
    for (const [world, steps] of [[1, 1], [2, 1], [1, 2], [2, 2]]) {
      for (const [[gotA, gotB]] of await shownOn(world, script(size / world / steps, steps)) as number[][][]) {
        near(gotA, a, 2e-6);
        near(gotB, b, 2e-6);
      }
    }
  });
}
