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
