/**
 * Early stopping: whichever rank sees that its part of the validation data is good enough raises the trigger, and all ranks leave the
 * loop at the same step.
 *
 * @module
 */
import { Accelerator, data, manualSeed, nn, noGrad, optim, randn } from "../mod.ts";

const GOOD_ENOUGH = 0.01;
const accelerator = new Accelerator();
manualSeed(0);
const model = new nn.Linear(4, 1);
const optimizer = new optim.AdamW(model.parameters(), { lr: 0.02 });
const x = randn([320, 4]);
const dataset = new data.TensorDataset(x, x.mean({ dim: 1, keepDim: true }));
const [train, validation] = data.randomSplit(dataset, [256, 64]);
const loader = new data.DataLoader(train, { batchSize: 8, shuffle: true });
const check = new data.DataLoader(validation, { batchSize: 32 });
await accelerator.prepare(model, optimizer, loader, check);

let step = 0;
let stopped = false;
for (let epoch = 1; epoch <= 50 && !stopped; epoch++) {
  for await (const [input, target] of loader) {
    optimizer.zeroGrad();
    accelerator.backward(nn.functional.mseLoss(model.forward(input), target));
    optimizer.step();
    if (++step % 10 !== 0) continue;
    for await (const [input, target] of check) {
      if (noGrad(() => nn.functional.mseLoss(model.forward(input), target)).item() < GOOD_ENOUGH) {
        accelerator.setTrigger();
      }
    }
    stopped = await accelerator.checkTrigger();
    if (stopped) break;
  }
}
const steps = await accelerator.gatherObject(step);
accelerator.print(stopped ? `Stopped after ${steps.join(" and ")} steps` : "Never good enough");
await accelerator.end();
