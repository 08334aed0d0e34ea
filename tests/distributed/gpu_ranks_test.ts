import { assert, assertEquals, assertMatch } from "@std/assert";
import { gpuEnvironment, hasFakeNccl, hasGpus, noteOf, runGpuRanks, startGpuRanks } from "../_support/gpu_ranks.ts";
import { ScriptFolder } from "../_support/processes.ts";

const BACKENDS = [["ipc", hasGpus], ["nccl", hasFakeNccl]] as const;

function test(name: string, isPossible: boolean, run: () => Promise<void>): void {
  Deno.test({ name: `${name}${noteOf(isPossible)}`, ignore: !isPossible, fn: run });
}

/** What each rank prints, without the launcher's prefix, sorted. */
async function lines(
  count: number,
  collectives: "ipc" | "nccl",
  script: string,
  more: Record<string, string> = {},
): Promise<string[]> {
  const { code, stdout, stderr } = await runGpuRanks(count, script, { env: gpuEnvironment(collectives, more) });
  assertEquals([code, stderr], [0, ""]);
  return stdout.trimEnd().split("\n").map((line) => line.replace(/^\[rank \d+\] /, "")).sort();
}

// Averages in several buckets: the last layers' gradients travel while backward goes on.
const TRAIN = `
  const { rank, worldSize } = environment;
  const group = await join(60000);
  manualSeed(rank + 1);
  const model = new nn.Sequential(new nn.Linear(4, 16), new nn.ReLU(), new nn.Linear(16, 1));
  model.to({ device: gpu });
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  const buffers = [...flatten(model.parameters())];
  if (worldSize === 1) manualSeed(1);
  for (const { values } of buffers) group.broadcast(values, 0);
  const reducers = worldSize === 1 ? [] : buffers.map((buffer) => new Reducer(buffer, group, 64));
  manualSeed(77);
  const x = randn([60, 4]), y = x.sum({ dim: 1, keepDim: true }).add(randn([60, 1]).mul(0.1));
  const size = 6 / worldSize;
  for (let step = 0; step < 30; step++) {
    const at = (step % 10) * 6 + rank * size;
    const [input, target] = [x, y].map((all) => all.narrow(0, at, size).to({ device: gpu }));
    optimizer.zeroGrad();
    const loss = nn.functional.mseLoss(model.forward(input), target);
    for (const reducer of reducers) reducer.begin();
    loss.backward();
    for (const reducer of reducers) { reducer.finish(); reducer.end(); }
    optimizer.step();
  }
  console.log(JSON.stringify(cat(model.parameters().map((p) => p.detach().reshape([-1]))).toArray()));
  await group.barrier();
  await group.close();
`;

for (const [collectives, isPossible] of BACKENDS) {
  test(
    `${collectives}: 2 and 3 GPU ranks train to the parameters of one on the joined batch, bitwise equal among themselves`,
    isPossible,
    async () => {
      const [one] = (await lines(1, collectives, TRAIN)).map((line) => JSON.parse(line) as number[]);
      assertEquals(one.length, 97);
      for (const count of [2, 3]) {
        const several = (await lines(count, collectives, TRAIN)).map((line) => JSON.parse(line) as number[]);
        assertEquals(several.length, count);
        for (const parameters of several) {
          assertEquals(parameters, several[0]);
          // Sums in another order: 30 steps of 1e-2 with gradients that differ in the last bits.
          parameters.forEach((value, i) =>
            assert(Math.abs(value - one[i]) <= 1e-6, `${i}: ${value}, one rank ${one[i]}`)
          );
        }
      }
    },
  );

  test(`${collectives}: every operation, on 3 ranks`, isPossible, async () => {
    const all = await lines(
      3,
      collectives,
      `
      const group = await join(60000);
      const r = environment.rank;
      const make = (values, dtype = "float32") => tensor(values, { dtype, device: gpu });
      const out = [];
      for (const [op, scale, dtype] of [["sum", 0.5, "float32"], ["max", 1, "float64"], ["min", 1, "int32"], ["sum", 1, "int64"],
        ["sum", 0.5, "bfloat16"], ["sum", 2, "float16"]]) {
        const value = make([r, 10 - r, 3], dtype);
        group.allReduce(value, op, scale);
        out.push(value.toArray().map(Number));
      }
      out.push(group.allGather(make([[r, r + 0.5]])).toArray());
      out.push(group.reduceScatter(make([[r, 1], [r, 2], [r, 3]]), "sum", 1).toArray());
      const sent = make([r + 5, r]);
      group.broadcast(sent, 2);
      out.push(sent.toArray());
      group.allReduce(make([]), "sum", 1);
      await group.barrier();
      console.log(JSON.stringify(out));
      await group.close();
    `,
    );
    const gathered = [[[0, 0.5]], [[1, 1.5]], [[2, 2.5]]];
    const reduced = [[1.5, 13.5, 4.5], [2, 10, 3], [0, 8, 3], [3, 27, 9], [1.5, 13.5, 4.5], [6, 54, 18]];
    const want = (share: number): string => JSON.stringify([...reduced, gathered, [3, share], [7, 2]]);
    assertEquals(all, [want(3), want(6), want(9)]);
  });

  test(`${collectives}: kill -9 of a rank inside an all-reduce is named by the others`, isPossible, async () => {
    using folder = new ScriptFolder();
    const script = `
      // Without the launcher's SIGTERM to cut the message short.
      Deno.addSignalListener("SIGTERM", () => {});
      const group = await join(600000);
      const value = tensor(new Float32Array(1000), { device: gpu });
      await group.barrier();
      console.log("pid", Deno.pid);
      try {
        for (;;) { group.allReduce(value, "sum", 1); value.toArray(); }
      } catch (error) { console.log(error.name, "rank", error.rank, error.message); Deno.exit(3); }
    `;
    await using job = startGpuRanks(3, script, folder, { env: gpuEnvironment(collectives) });
    await job.waitForOutput(/pid \d+/, 3);
    const [[, pid]] = await job.waitForOutput(/\[rank 1\] pid (\d+)/);
    Deno.kill(Number(pid), "SIGKILL");
    assertEquals((await job.status).code, 137);
    // By the end of the process: the time limit of a collective is far beyond the patience of this test.
    const named = [...job.output.matchAll(/CollectiveError rank 1 .*rank 1 \(pid (\d+)\)/g)];
    assertEquals(named.map(([, named]) => named), [pid, pid]);
  });

  test(
    `${collectives}: ranks that call different collectives get an error that names one, and both calls`,
    isPossible,
    async () => {
      for (
        const [ours, theirs] of [
          [`group.allReduce(make(3), "sum", 1)`, `group.allReduce(make(2), "sum", 1)`],
          [`group.allReduce(make(3), "sum", 1)`, `group.allReduce(make(3), "max", 1)`],
          [`group.allReduce(make(3), "sum", 1)`, `group.allReduce(make(3, "float64"), "sum", 1)`],
          [`group.broadcast(make(3), 0)`, `group.broadcast(make(3), 1)`],
        ]
      ) {
        const script = `
        Deno.addSignalListener("SIGTERM", () => {});
        const group = await join(60000);
        const make = (size, dtype = "float32") => tensor(Array(size).fill(1), { dtype, device: gpu });
        await group.barrier();
        try {
          if (environment.rank === 0) { ${ours}; } else { ${theirs}; }
          make(1).toArray();
          await group.barrier();
        } catch (error) { console.log(error.name, "rank", error.rank, error.message); Deno.exit(3); }
      `;
        const { stdout } = await runGpuRanks(2, script, { env: gpuEnvironment(collectives) });
        assertEquals([...stdout.matchAll(/CollectiveError rank [01] /g)].length, 2, stdout);
        assertMatch(stdout, /rank \d \(pid \d+\) called (\w+)\(.*rank \d called \1\(/);
      }
    },
  );

  test(`${collectives}: a rank that ends early is missed by the next collective only`, isPossible, async () => {
    const script = `
      const group = await join(60000);
      const value = tensor([environment.rank + 1], { device: gpu });
      group.allReduce(value, "sum", 1);
      value.item();
      await group.barrier();
      if (environment.rank === 1) Deno.exit(0);
      const end = performance.now() + 1000;
      while (performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        if (value.mul(2).item() !== 6) throw new Error("wrong");
      }
      try { group.allReduce(value, "sum", 1); value.item(); }
      catch (error) { console.log(error.name, "rank", error.rank, error.message); }
    `;
    const { code, stdout, stderr } = await runGpuRanks(2, script, { env: gpuEnvironment(collectives) });
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^CollectiveError rank 1 .*rank 1 \(pid \d+\) died; the last that rank 0 called was barrier/);
  });

  test(
    `${collectives}: a rank that does not come is named at the time limit, and nothing hangs`,
    isPossible,
    async () => {
      const script = `
      Deno.addSignalListener("SIGTERM", () => {});
      const group = await join(20000);
      await group.barrier();
      await group.close();
      const impatient = await join(1000);
      await impatient.barrier();
      if (environment.rank === 1) await new Promise(() => setTimeout(() => {}, 1e9));
      try {
        const value = tensor([1, 2], { device: gpu });
        impatient.allReduce(value, "sum", 1);
        value.toArray();
      } catch (error) { console.log(error.name, "rank", error.rank, error.message); Deno.exit(3); }
    `;
      const { stdout } = await runGpuRanks(2, script, { env: gpuEnvironment(collectives) });
      assertMatch(stdout, /CollectiveError rank 1 .*waited 1000 ms .*rank 1/);
    },
  );
}

test("ranks on GPUs of their own need no permission to share, and two on one GPU do", hasFakeNccl, async () => {
  const script = `
    const own = device("cuda:" + environment.localRank);
    own.library.ax_device_select(own.index);
    const group = await joinProcessGroup(environment, own, 60000);
    const value = tensor([environment.rank + 1], { device: own.toString() });
    group.allReduce(value, "sum", 1);
    console.log(value.item());
    await group.barrier();
    await group.close();
  `;
  const more = { ACCELERATE_SHARE_GPU: "", ACCELERATE_EMULATED_GPUS: "2" };
  assertEquals(await lines(2, "ipc", script, more), ["3", "3"]);
  const { stderr } = await runGpuRanks(2, "await join(60000);", { env: gpuEnvironment("ipc", more) });
  assertMatch(stderr, /LaunchError: .*ranks 0 and 1 both use the one at 0000:01:00\.0.*ACCELERATE_SHARE_GPU=1/);
});

test("1,000 random sizes: two ranks reduce to the same bits, which are right", hasGpus, async () => {
  const script = `
    const group = await join(120000);
    let state = 12345;
    const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const value = (rank, i) => Math.fround(Math.sin(i * 0.37 + rank * 1.7) * (1 + i % 13));
    let hash = 2166136261;
    for (let round = 0; round < 1000; round++) {
      // Most of them small, some of two shots, at any alignment.
      const size = 1 + Math.floor(random() < 0.03 ? random() * 300000 : 10 ** (random() * 4));
      const offset = Math.floor(random() * 5);
      const all = tensor(Float32Array.from({ length: size + offset }, (_, i) => value(environment.rank, i)), { device: gpu });
      group.allReduce(all.narrow(0, offset, size), "sum", 0.5);
      const result = all.data();
      for (let i = 0; i < size + offset; i++) {
        // One rounding of the sum, and an exact halving.
        const want = i < offset ? value(environment.rank, i) : Math.fround(value(0, i) + value(1, i)) / 2;
        if (result[i] !== want) throw new Error("round " + round + ", size " + size + ", element " + i + ": " + result[i] + ", want " + want);
      }
      const bits = new Uint32Array(result.buffer, result.byteOffset + 4 * offset, size);
      for (const word of bits) hash = Math.imul(hash ^ word, 16777619) >>> 0;
      all.dispose();
    }
    console.log("hash", hash);
    await group.barrier();
    await group.close();
  `;
  const [first, second, ...rest] = await lines(2, "ipc", script);
  assertMatch(first, /^hash \d+$/);
  assertEquals([second, rest], [first, []]);
});
