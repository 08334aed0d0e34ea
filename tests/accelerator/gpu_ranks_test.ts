/** The Accelerator on several ranks with GPUs: the same program as on one, step by step and as a recorded graph. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { gpuEnvironment, hasFakeNccl, hasGpus, noteOf, runGpuRanks } from "../_support/gpu_ranks.ts";

const BACKENDS = [["ipc", hasGpus], ["nccl", hasFakeNccl]] as const;

// Trains on batches of 6 / ranks samples each and prints the parameters of every rank.
const TRAIN = `
  const accelerator = new Accelerator({ cpu: false, ddp: { bucketMb: 1e-4 } });
  if (accelerator.device !== "cuda:0") throw new Error(accelerator.device);
  manualSeed(accelerator.processIndex + 1);
  const model = new nn.Sequential(new nn.Linear(4, 16), new nn.ReLU(), new nn.Linear(16, 1));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  manualSeed(77);
  const x = randn([60, 4]);
  const dataset = new data.TensorDataset(x, x.sum({ dim: 1, keepDim: true }).add(randn([60, 1]).mul(0.1)));
  const loader = new data.DataLoader(dataset, { batchSize: 6 / accelerator.numProcesses });
  await accelerator.prepare(model, optimizer, loader);
  const step = (input, target) => {
    optimizer.zeroGrad();
    const loss = nn.functional.mseLoss(model.forward(input), target);
    accelerator.backward(loss);
    optimizer.step();
    return loss;
  };
  const train = Deno.env.get("TEST_CAPTURE") === "1" ? accelerator.capture(step) : step;
  for (let epoch = 0; epoch < 3; epoch++) {
    for await (const [input, target] of loader) train(input, target);
  }
  const flat = cat(model.parameters().map((p) => p.detach().reshape([-1]))).unsqueeze(0);
  const all = await accelerator.gather(flat);
  accelerator.print(JSON.stringify([accelerator.distributedType, all.toArray()]));
  await accelerator.end();
`;

for (const [collectives, isPossible] of BACKENDS) {
  for (const capture of ["0", "1"]) {
    const how = capture === "1" ? "captured" : "eager";
    Deno.test({
      name: `${collectives}, ${how}: 2 and 3 ranks train to the parameters of one process, bitwise equal${
        noteOf(isPossible)
      }`,
      ignore: !isPossible,
      fn: async () => {
        const run = async (count: number): Promise<[string, number[][]]> => {
          const env = gpuEnvironment(collectives, { TEST_CAPTURE: capture, ACCELERATE_EMULATED_GPUS: "1" });
          const { code, stdout, stderr } = await runGpuRanks(count, TRAIN, { env });
          assertEquals([code, stderr], [0, ""]);
          return JSON.parse(stdout);
        };
        const [[, one], [type, two], [, three]] = [await run(1), await run(2), await run(3)];
        assertEquals([type, one.length, two.length, three.length, one[0].length], ["MULTI_GPU", 1, 2, 3, 97]);
        for (const parameters of [...two, ...three]) {
          parameters.forEach((value, i) =>
            assert(Math.abs(value - one[0][i]) <= 1e-6, `${i}: ${value}, one process ${one[0][i]}`)
          );
        }
        for (const several of [two, three]) for (const parameters of several) assertEquals(parameters, several[0]);
      },
    });
  }
}

Deno.test({
  name: `launch starts two ranks on one GPU when they may share it${noteOf(hasGpus)}`,
  ignore: !hasGpus,
  fn: async () => {
    const script = `
      const accelerator = new Accelerator();
      console.log(accelerator.device, (await accelerator.reduce(tensor([1], { device: accelerator.device }))).item());
      await accelerator.end();
    `;
    const env = gpuEnvironment("ipc", { ACCELERATE_EMULATED_GPUS: "1", CUDA_VISIBLE_DEVICES: "0" });
    const launch = ["launch", "--num-processes", "2", "a.ts"];
    const { code, stdout, stderr } = await runGpuRanks(2, script, { env }, launch);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.trimEnd().split("\n").sort(), ["[rank 1] cuda:0 2", "cuda:0 2"]);
    const refused = await runGpuRanks(2, script, { env: { ...env, ACCELERATE_SHARE_GPU: "" } }, launch);
    assertMatch(
      refused.stderr,
      /Cannot start 2 processes on 1 GPU: every process needs its own.*ACCELERATE_SHARE_GPU=1/,
    );
  },
});

Deno.test({
  name: `ipc: a replayed collective beside one that was not finished is refused${noteOf(hasGpus)}`,
  ignore: !hasGpus,
  fn: async () => {
    const script = `
      Deno.addSignalListener("SIGTERM", () => {});
      const { capture } = await import("${new URL("../../src/accelerator/capture.ts", import.meta.url)}");
      const group = await join(20000);
      const [value, other] = [1, 2].map((x) => tensor([x], { device: gpu }));
      const step = capture(device(gpu), () => { group.allReduce(value, "sum", 1); return value.add(0); }, { modules: [], buffers: [] }, {});
      for (let i = 0; i < 3; i++) step().item();
      await group.barrier();
      // Rank 0's kernel waits for that of rank 1 while the graph, which nothing orders after it, starts another one.
      if (environment.rank === 1) await new Promise((resolve) => setTimeout(resolve, 1000));
      try {
        group.startAllReduce(other, "sum", 1);
        step().item();
        group.finish();
        other.item();
      } catch (error) { console.log(error.name, error.message); Deno.exit(3); }
    `;
    const { stdout, stderr } = await runGpuRanks(2, script, { env: gpuEnvironment("ipc") });
    assertMatch(stdout + stderr, /NativeError two collectives of one communicator ran at once/);
  },
});

Deno.test({
  name: `what ranks say to each other, metrics, accumulation and uneven ranks work with GPUs${noteOf(hasGpus)}`,
  ignore: !hasGpus,
  fn: async () => {
    const script = `
      const accelerator = new Accelerator({ cpu: false, gradientAccumulationSteps: 2 });
      const { device, processIndex: r } = accelerator;
      const seen = [];
      seen.push(await accelerator.gatherObject({ rank: r, t: tensor([r]).toArray() }));
      // One on the GPU, one on the CPU: each comes back to where it was.
      const [near, far] = await accelerator.gather([tensor([r], { device }), tensor([r + 5], { device: "cpu" })]);
      seen.push([near.device, near.toArray(), far.device, far.toArray()]);
      if (r === 1) accelerator.setTrigger();
      seen.push(await accelerator.checkTrigger());
      const model = new nn.Linear(1, 1);
      model.loadStateDict({ weight: tensor([[0.5]]), bias: tensor([0.25]) });
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.01 });
      const x = tensor(Array.from({ length: 7 }, (_, i) => [i]));
      const loader = new data.DataLoader(new data.TensorDataset(x, x.mul(3)), { batchSize: 1, prefetch: 1 });
      await accelerator.prepare(model, optimizer, loader);
      const metrics = [];
      await accelerator.joinUnevenInputs(model, async () => {
        for await (const [input, target] of loader) {
          accelerator.accumulate(model, () => {
            accelerator.backward(model.forward(input).sub(target).square().sum(), { normalizer: input.length });
            optimizer.step();
            optimizer.zeroGrad();
          });
          metrics.push(...(await accelerator.gatherForMetrics(input)).squeeze(1).toArray());
        }
      });
      if (r === 0) seen.push(metrics);
      seen.push([model.weight.item(), model.bias.item()].map((v) => v.toFixed(5)));
      console.log(JSON.stringify(seen));
      await accelerator.end();
    `;
    const env = gpuEnvironment("ipc", { ACCELERATE_EMULATED_GPUS: "1" });
    const { code, stdout, stderr } = await runGpuRanks(2, script, { env });
    assertEquals([code, stderr], [0, ""]);
    const [first, second] = stdout.trimEnd().split("\n").sort((a, b) => b.length - a.length).map((line) =>
      JSON.parse(line.replace("[rank 1] ", ""))
    );
    const objects = [0, 1].map((rank) => ({ rank, t: [rank] }));
    assertEquals(first.slice(0, 3), [objects, ["cuda:0", [0, 1], "cpu", [5, 6]], true]);
    assertEquals(second.slice(0, 3), first.slice(0, 3));
    assertEquals(first[3], [0, 1, 2, 3, 4, 5, 6]);
    assertEquals(second[3], first[4]);
    // Two steps of gradient descent by hand: the means over samples 0 to 3, then 4 to 6.
    let [weight, bias] = [0.5, 0.25];
    for (const samples of [[0, 1, 2, 3], [4, 5, 6]]) {
      const errors = samples.map((x) => weight * x + bias - 3 * x);
      weight -= 0.01 * 2 * errors.reduce((sum, e, i) => sum + e * samples[i], 0) / samples.length;
      bias -= 0.01 * 2 * errors.reduce((sum, e) => sum + e, 0) / samples.length;
    }
    assertEquals(second[3].map(Number).map((v: number) => v.toFixed(3)), [weight, bias].map((v) => v.toFixed(3)));
  },
});
