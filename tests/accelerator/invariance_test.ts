import { assert, assertEquals, assertThrows } from "@std/assert";
import { Accelerator, data, nn, optim, randn, zeros } from "../../mod.ts";
import { runCli, ScriptFolder } from "../_support/processes.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const ENV = { ACCELERATE_LIBRARY_DIR: "" };

/** 100 and more steps of 32 samples, of which the last in each epoch has 20; prints losses and weights. */
const TRAIN = `
  import { Accelerator, data, manualSeed, nn, optim, randn } from "${MOD}";
  const [steps, deterministic, dropout] = Deno.args;
  const accelerator = new Accelerator({
    globalBatchSize: 32,
    gradientAccumulationSteps: Number(steps),
    deterministic: deterministic === "true",
  });
  manualSeed(3);
  const x = randn([212, 6]);
  const model = new nn.Sequential(new nn.Linear(6, 24), new nn.Dropout(Number(dropout)), new nn.Tanh(), new nn.Linear(24, 1));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 2e-2 });
  const loader = new data.DataLoader(new data.TensorDataset(x, x.pow(2).mean({ dim: 1, keepDim: true })), { shuffle: true, seed: 5 });
  await accelerator.prepare(model, optimizer, loader);
  const losses = [];
  let open = [];
  while (losses.length < 100) {
    for await (const [input, target] of loader) {
      const loss = nn.functional.mseLoss(model.forward(input), target);
      accelerator.backward(loss);
      // The mean over a step's samples, of its parts in their order.
      const counts = await accelerator.gather(accelerator.sampleWeights().sum());
      const all = await accelerator.gather(loss.detach());
      open.push(...Array.from(all.data(), (value, i) => [value, accelerator.numProcesses === 1 ? counts.item() : counts.toArray()[i]]));
      if (accelerator.syncGradients) {
        const total = open.reduce((sum, [, count]) => sum + count, 0);
        losses.push(open.reduce((sum, [value, count]) => sum + (count === 0 ? 0 : value * count), 0) / total);
        open = [];
      }
      optimizer.step();
      optimizer.zeroGrad();
    }
  }
  accelerator.print(JSON.stringify([losses.slice(0, 100), model.parameters().flatMap((p) => p.toArray().flat(2)), randn([2]).toArray()]));
  await accelerator.end();
`;

async function train(processes: number, steps: number, deterministic: boolean, dropout = 0): Promise<number[][]> {
  using folder = new ScriptFolder({ "a.ts": TRAIN });
  const args = [
    "launch",
    "--cpu",
    "--num-processes",
    String(processes),
    "a.ts",
    String(steps),
    String(deterministic),
    String(dropout),
  ];
  const { code, stdout, stderr } = await runCli(args, folder, { env: ENV });
  assertEquals([code, stderr], [0, ""]);
  const [losses, weights, draw] = JSON.parse(stdout);
  assertEquals([losses.length, weights.length, draw.length], [100, 193, 2]);
  assert(losses[99] < losses[0] / 2, `${losses[0]} to ${losses[99]}`);
  return [losses, weights, draw];
}

Deno.test("1, 2 and 4 ranks and any accumulation split give the same losses over 100 steps, to 1e-5", async () => {
  const [reference] = await train(1, 1, false);
  for (const [processes, steps] of [[1, 4], [2, 1], [2, 4], [4, 2]]) {
    const [losses] = await train(processes, steps, false);
    losses.forEach((loss, i) => {
      const error = Math.abs(loss - reference[i]) / reference[i];
      assert(error <= 1e-5, `${processes} ranks, ${steps} micro-batches, step ${i}: ${loss}, not ${reference[i]}`);
    });
  }
});

Deno.test("with deterministic, losses, weights and random numbers are the same bits, with dropout too", async () => {
  for (const dropout of [0, 0.2]) {
    const reference = await train(1, 1, true, dropout);
    for (const [processes, steps] of [[1, 4], [2, 1], [4, 2]]) {
      assertEquals(
        await train(processes, steps, true, dropout),
        reference,
        `${processes} ranks, ${steps} micro-batches`,
      );
    }
  }
});

Deno.test("a deterministic run goes on exactly with another number of ranks", async () => {
  using folder = new ScriptFolder({
    "a.ts": TRAIN.replace(
      "const losses = [];",
      `
      const [, , , directory, load] = Deno.args;
      const losses = [];
      if (load === "load") await accelerator.loadState(directory);
      let micro = 0;
    `,
    ).replace(
      "optimizer.zeroGrad();",
      `optimizer.zeroGrad();
      // In the middle of the second step.
      if (load === "save" && losses.length === 1 && (micro += accelerator.numProcesses) === 4) {
        await accelerator.saveState(directory);
      }
    `,
    ).replaceAll("100", "20").replace("losses.slice(0, 20)", "losses.slice(-18)"),
  });
  const run = async (processes: number, what: string): Promise<string> => {
    const args = [
      "launch",
      "--cpu",
      "--num-processes",
      String(processes),
      "a.ts",
      "1",
      "true",
      "0.2",
      `${folder.path}/state`,
      what,
    ];
    const { code, stdout, stderr } = await runCli(args, folder, { env: ENV });
    assertEquals([code, stderr], [0, ""]);
    return stdout;
  };
  const [losses, weights] = JSON.parse(await run(2, "save"));
  for (const processes of [1, 2, 4]) {
    const resumed = JSON.parse(await run(processes, "load"));
    assertEquals(resumed[0].slice(-15), losses.slice(-15));
    assertEquals(resumed[1], weights);
  }
});

Deno.test("a step that cannot be cut is refused", async () => {
  assertThrows(() => new Accelerator({ globalBatchSize: 0 }), RangeError, "globalBatchSize must be a positive integer");
  assertThrows(() => new Accelerator({ deterministic: true }), RangeError, "without globalBatchSize");
  const accelerator = new Accelerator({ globalBatchSize: 6, gradientAccumulationSteps: 4 });
  const loader = new data.DataLoader(new data.TensorDataset(randn([12, 1])));
  await accelerator.prepare(loader);
  assertThrows(() => loader.length, RangeError, "globalBatchSize must be a multiple of 1 processes times 4");
  accelerator.gradientAccumulationSteps = 3;
  assertEquals(loader.length, 6);
  const fixed = new Accelerator({ globalBatchSize: 12, gradientAccumulationSteps: 3, deterministic: true });
  assertEquals(fixed.gradientAccumulationSteps, 4);
});

Deno.test("a parameter that no part used stays without gradient, and one that some used gets theirs", async () => {
  const accelerator = new Accelerator({ globalBatchSize: 4, deterministic: true });
  const [a, b, c] = [0, 0, 0].map(() => new nn.Linear(1, 1, { bias: false }));
  const model = new nn.ModuleList([a, b, c]);
  const optimizer = new optim.SGD(model.parameters(), { lr: 1 });
  const loader = new data.DataLoader(new data.TensorDataset(zeros([4, 1]).add(1)));
  await accelerator.prepare(model, optimizer, loader);
  let part = 0;
  for await (const [x] of loader) {
    accelerator.backward((part++ === 2 ? a.forward(x).add(b.forward(x)) : a.forward(x)).sum());
  }
  assertEquals([part, ...[a, b, c].map(({ weight }) => weight.grad?.item() ?? null)], [4, 1, 0.25, null]);
});
