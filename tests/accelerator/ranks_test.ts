import { assert, assertEquals, assertMatch } from "@std/assert";
import { runCli, RunningCli, ScriptFolder } from "../_support/processes.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const IMPORTS =
  `import { Accelerator, CollectiveError, cat, data, manualSeed, nn, noGrad, optim, randn, tensor } from "${MOD}";\n`;
// The prebuilt library, not the empty folder of scripts that compute nothing.
const ENV = { ACCELERATE_LIBRARY_DIR: "" };

async function ranks(count: number, script: string): Promise<string[]> {
  using folder = new ScriptFolder({ "a.ts": IMPORTS + script });
  const { code, stdout, stderr } = await runCli(["launch", "--cpu", "--num-processes", String(count), "a.ts"], folder, {
    env: ENV,
  });
  assertEquals([code, stderr], [0, ""]);
  return stdout.trimEnd().split("\n");
}

// Trains on batches of 6 / ranks samples each and prints the parameters of every rank.
const TRAIN = `
  const accelerator = new Accelerator();
  manualSeed(accelerator.processIndex + 1);
  const model = new nn.Sequential(new nn.Linear(4, 16), new nn.ReLU(), new nn.Linear(16, 1));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  manualSeed(77);
  const x = randn([60, 4]);
  const dataset = new data.TensorDataset(x, x.sum({ dim: 1, keepDim: true }).add(randn([60, 1]).mul(0.1)));
  const loader = new data.DataLoader(dataset, { batchSize: 6 / accelerator.numProcesses });
  await accelerator.prepare(model, optimizer, loader);
  for (let epoch = 0; epoch < 5; epoch++) {
    for await (const [input, target] of loader) {
      optimizer.zeroGrad();
      accelerator.backward(nn.functional.mseLoss(model.forward(input), target));
      optimizer.step();
    }
  }
  const flat = cat(model.parameters().map((p) => p.detach().reshape([-1]))).unsqueeze(0);
  const all = await accelerator.gather(flat);
  accelerator.print(JSON.stringify(all.toArray()));
  await accelerator.end();
`;

Deno.test("2 and 3 ranks train to the parameters of one process on the joined batch, bitwise equal among themselves", async () => {
  const [[one], [two], [three]] = [await ranks(1, TRAIN), await ranks(2, TRAIN), await ranks(3, TRAIN)].map((lines) => {
    assertEquals(lines.length, 1, "printed once");
    return [JSON.parse(lines[0]) as number[][]];
  });
  assertEquals([one.length, two.length, three.length, one[0].length], [1, 2, 3, 97]);
  for (const several of [two, three]) {
    for (const parameters of several) {
      assertEquals(parameters, several[0]);
      parameters.forEach((value, i) =>
        assert(Math.abs(value - one[0][i]) <= 1e-6, `${i}: ${value}, one process ${one[0][i]}`)
      );
    }
  }
});

Deno.test("gather, reduce and broadcast combine what the ranks hold", async () => {
  const lines = await ranks(
    3,
    `
    const accelerator = new Accelerator();
    const r = accelerator.processIndex;
    const out = {
      gather: await accelerator.gather({ rows: tensor([[r, r + 10]]), scalar: tensor(r) }),
      sum: await accelerator.reduce(tensor([r, 1])),
      mean: await accelerator.reduce(tensor([r, 1]), "mean"),
      max: await accelerator.reduce(tensor([r, -r], { dtype: "int64" }), "max"),
      none: await accelerator.reduce(tensor([r]), "none"),
      broadcast: await accelerator.broadcast(tensor([r + 5]), 2),
    };
    await accelerator.waitForEveryone();
    if (accelerator.isLastProcess) {
      console.log(JSON.stringify([out.gather.rows.toArray(), out.gather.scalar.toArray(), out.sum.toArray(), out.mean.toArray(),
        out.max.toArray(), out.none.toArray(), out.broadcast.toArray()]));
    }
    await accelerator.end();
  `,
  );
  assertEquals(lines, [
    `[rank 2] ${JSON.stringify([[[0, 10], [1, 11], [2, 12]], [0, 1, 2], [3, 3], [1, 1], [2, 0], [2], [7]])}`,
  ]);
});

Deno.test("a parameter that only one rank used gets its gradient everywhere; one that none used stays without", async () => {
  const lines = await ranks(
    2,
    `
    const accelerator = new Accelerator();
    class Branches extends nn.Module {
      a = new nn.Linear(1, 1, { bias: false });
      b = new nn.Linear(1, 1, { bias: false });
      c = new nn.Linear(1, 1, { bias: false });
      forward(x) { return accelerator.isMainProcess ? this.a.forward(x).add(this.b.forward(x)) : this.b.forward(x); }
    }
    const model = new Branches();
    await accelerator.prepare(model);
    accelerator.backward(model.forward(tensor([[2]])).sum());
    const grads = model.parameters().map((p) => p.grad === null ? null : p.grad.item());
    console.log(JSON.stringify(grads));
    await accelerator.end();
  `,
  );
  assertEquals(lines.sort(), ["[1,2,null]", "[rank 1] [1,2,null]"]);
});

Deno.test("step() refuses gradients of loss.backward() on more than one rank, until they are forgotten", async () => {
  const lines = await ranks(
    2,
    `
    const accelerator = new Accelerator();
    const model = new nn.Linear(1, 1);
    const optimizer = new optim.SGD(model.parameters());
    await accelerator.prepare(model, optimizer);
    model.forward(tensor([[1]])).sum().backward();
    try { optimizer.step(); } catch (error) { accelerator.print(error.name, error.message); }
    optimizer.zeroGrad();
    accelerator.backward(model.forward(tensor([[1]])).sum());
    optimizer.step();
    await accelerator.end();
  `,
  );
  assertEquals(lines.length, 1);
  assertMatch(lines[0], /^CollectiveError Cannot step: .*Call accelerator\.backward\(loss\) instead$/);
});

Deno.test("OP-6, B15: ranks that call different things all get an error that lists what each of them called", async () => {
  const lines = await ranks(
    2,
    `
    const accelerator = new Accelerator();
    const r = accelerator.processIndex;
    const rows = tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).narrow(0, 0, 2 + r);
    const calls = [
      () => accelerator.gather(rows),
      () => accelerator.reduce(rows),
      () => accelerator.broadcast(rows),
      () => accelerator.padAcrossProcesses(rows, { dim: 1 }),
      () => r === 0 ? accelerator.reduce(rows) : accelerator.gather(rows),
      () => accelerator.gather(r === 0 ? tensor([1]) : tensor([1], { dtype: "int64" })),
    ];
    for (const call of calls) {
      try { await call(); } catch (error) { console.log(error.name, JSON.stringify(error.message)); }
    }
    console.log(JSON.stringify((await accelerator.gather(tensor([r]))).toArray()));
    await accelerator.end();
  `,
  );
  const shapes = "\\nProcess 0: [2, 3] float32\\nProcess 1: [3, 3] float32";
  const rule = "all ranks must call the same, with tensors of the same shapes and dtypes";
  const expected = [
    ...["gather", "reduce", "broadcast"].map((op) => `CollectiveError "Cannot ${op}: ${rule}${shapes}"`),
    `CollectiveError "Cannot padAcrossProcesses: ${rule}\\nProcess 0: [2, *] float32\\nProcess 1: [3, *] float32"`,
    (op: string) =>
      `CollectiveError "Cannot ${op}: ${rule}\\nProcess 0: reduce of [2, 3] float32\\nProcess 1: gather of [3, 3] float32"`,
    `CollectiveError "Cannot gather: ${rule}\\nProcess 0: [1] float32\\nProcess 1: [1] int64"`,
    // Nothing was broken: the next one works.
    "[0,1]",
  ];
  ["", "[rank 1] "].forEach((prefix, rank) => {
    const own = lines.filter((line) => line.startsWith("[rank 1] ") === (rank === 1));
    const ops = ["reduce", "gather"];
    assertEquals(own, expected.map((line) => prefix + (typeof line === "string" ? line : line(ops[rank]))));
  });
});

Deno.test("a rank that reduces gradients while another gathers gets an error that names a rank", async () => {
  using folder = new ScriptFolder({
    "a.ts": `${IMPORTS}
      const accelerator = new Accelerator({ timeoutSeconds: 20 });
      const model = new nn.Linear(1, 1);
      await accelerator.prepare(model);
      if (accelerator.isMainProcess) accelerator.backward(model.forward(tensor([[1]])).sum());
      else await accelerator.gather(tensor([1, 2]));
    `,
  });
  const args = ["launch", "--cpu", "--num-processes", "2", "a.ts"];
  const { code, stderr } = await runCli(args, folder, { env: ENV });
  assertEquals(code, 1);
  assertMatch(stderr, /CollectiveError: Rank \d cannot finish \w+: .*rank \d/);
});

Deno.test("kill -9 of a rank inside an all-reduce ends the job, and both survivors name the rank", async () => {
  using folder = new ScriptFolder({
    "a.ts": `${IMPORTS}
      const accelerator = new Accelerator();
      // Without the launcher's SIGTERM to cut the message short.
      Deno.addSignalListener("SIGTERM", () => {});
      const value = tensor(new Float32Array(1 << 20));
      await accelerator.waitForEveryone();
      console.log("pid", Deno.pid);
      for (;;) await accelerator.reduce(value).then((out) => out.dispose());
    `,
  });
  await using job = new RunningCli(["launch", "--cpu", "--num-processes", "3", "a.ts"], folder, { env: ENV });
  await job.waitForOutput(/pid \d+/, 3);
  const [[, pid]] = await job.waitForOutput(/\[rank 1\] pid (\d+)/);
  Deno.kill(Number(pid), "SIGKILL");
  assertEquals((await job.status).code, 137);
  // By the end of the process, not by a time limit: that of a collective is far beyond the patience of this test.
  assertMatch(job.output, /CollectiveError: Rank 0 cannot finish \w+: .*rank 1/);
  assertMatch(job.output, /CollectiveError: Rank 2 cannot finish \w+: .*rank 1/);
  assertMatch(job.output, /rank 1 was killed by SIGKILL/);
});
