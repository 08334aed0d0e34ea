/**
 * Metrics of all ranks in JSONL and TensorBoard files, messages of a logger that knows ranks, and a profile of one epoch.
 *
 * `deno run -A cli.ts launch examples/tracking.ts --dir run`, then `tensorboard --logdir run`, and run/profile.json in ui.perfetto.dev
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Accelerator, data, manualSeed, nn, optim, randn } from "../mod.ts";

const { dir } = parseArgs(Deno.args, { string: ["dir"], default: { dir: "run" } });

const accelerator = new Accelerator({ projectDir: String(dir), logWith: ["jsonl", "tensorboard"] });
const logger = accelerator.getLogger("tracking");
manualSeed(0);
const x = randn([128, 8]);
const model = new nn.Sequential(new nn.Linear(8, 32), new nn.GELU(), new nn.Linear(32, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
const loader = new data.DataLoader(new data.TensorDataset(x, x.sum({ dim: 1, keepDim: true })), { batchSize: 16 });
await accelerator.prepare(model, optimizer, loader);

// Files are written by the main process; on the others these calls do nothing.
await accelerator.initTrackers("regression", { lr: 1e-2, batchSize: 16, processes: accelerator.numProcesses });

let step = 0;
async function epoch(): Promise<void> {
  for await (const [input, target] of loader) {
    optimizer.zeroGrad();
    const loss = nn.functional.mseLoss(model.forward(input), target);
    accelerator.backward(loss);
    optimizer.step();
    // What is logged is the mean over ranks, so every rank takes part.
    await accelerator.log({ train: { loss: await accelerator.reduce(loss, "mean") } }, { step: step++ });
  }
}

for (let i = 0; i < 3; i++) {
  // The last epoch is profiled.
  if (i < 2) await epoch();
  else await accelerator.profile(epoch);
  logger.info(`epoch ${i + 1} of 3`);
  await logger.info(`is at step ${step}`, { inOrder: true });
}
await accelerator.endTraining();
