/**
 * Training that can be stopped at any moment and goes on exactly where its last checkpoint was: run it again with the same folder.
 *
 * `deno run -A cli.ts launch examples/checkpoint_and_resume.ts --dir run [--epochs 4]`
 * `deno run -A cli.ts verify-resume --num-processes 2 --cpu examples/checkpoint_and_resume.ts` proves that it does.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Accelerator, data, manualSeed, nn, optim, randn } from "../mod.ts";

const options = parseArgs(Deno.args, { string: ["dir", "epochs"], default: { dir: "run", epochs: "4" } });
const epochs = Number(options.epochs);

const accelerator = new Accelerator({
  projectDir: String(options.dir),
  project: { automaticCheckpointNaming: true, totalLimit: 2 },
  gradientAccumulationSteps: 2,
});
manualSeed(0);
const x = randn([256, 8]);
const y = x.pow(2).mean({ dim: 1, keepDim: true });
const model = new nn.Sequential(new nn.Linear(8, 32), new nn.Dropout(0.1), new nn.Tanh(), new nn.Linear(32, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
const scheduler = new optim.lrScheduler.CosineAnnealingLR(optimizer, { tMax: 100 });
const loader = new data.DataLoader(new data.TensorDataset(x, y), { batchSize: 16, shuffle: true });
await accelerator.prepare(model, optimizer, scheduler, loader);

// What the program itself must remember. Everything else is in the objects that were prepared.
const progress = {
  seen: 0,
  stateDict: () => ({ seen: progress.seen }),
  loadStateDict: ({ seen }: { seen: number }) => void (progress.seen = seen),
};
accelerator.registerForCheckpointing(progress);

if (await accelerator.latestCheckpoint() !== null) {
  accelerator.print(`resumed from ${await accelerator.loadState()} after ${progress.seen} batches`);
}

model.train();
while (loader.epoch < epochs) {
  const epoch = loader.epoch;
  for await (const [input, target] of loader) {
    accelerator.accumulate(model, () => {
      const loss = nn.functional.mseLoss(model.forward(input), target);
      accelerator.backward(loss);
      optimizer.step();
      scheduler.step();
      optimizer.zeroGrad();
    });
    progress.seen++;
    // The state is copied, and written while training goes on.
    if (progress.seen % 10 === 0) await accelerator.saveState(undefined, { async: true });
  }
  accelerator.print(
    `epoch ${epoch + 1}: ${progress.seen} batches, learning rate ${scheduler.getLastLr()[0].toFixed(5)}`,
  );
}
await accelerator.end();
