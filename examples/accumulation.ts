/**
 * Accumulation of gradients: four micro-batches make one step, so the model sees batches of 64 although only 16 fit into memory at once.
 * The last window of an epoch is shorter, and weighted by what it has.
 *
 * @module
 */
import { Accelerator, data, manualSeed, nn, optim, randn } from "../mod.ts";

const accelerator = new Accelerator({ gradientAccumulationSteps: 4 });
manualSeed(0);
const model = new nn.Sequential(new nn.Linear(8, 32), new nn.ReLU(), new nn.Linear(32, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
const x = randn([400, 8]);
const dataset = new data.TensorDataset(x, x.sum({ dim: 1, keepDim: true }));
const loader = new data.DataLoader(dataset, { batchSize: 16 / accelerator.numProcesses, shuffle: true });
const [net, opt, batches] = await accelerator.prepare(model, optimizer, loader);

for (let epoch = 1; epoch <= 10; epoch++) {
  let total = 0;
  let steps = 0;
  for await (const [input, target] of batches) {
    accelerator.accumulate(net, () => {
      const loss = nn.functional.mseLoss(net.forward(input), target);
      accelerator.backward(loss);
      // In three of four micro-batches these two do nothing.
      opt.step();
      opt.zeroGrad();
      total += loss.item();
    });
    if (accelerator.syncGradients) steps++;
  }
  accelerator.print(
    `Epoch ${epoch}: ${batches.length} micro-batches, ${steps} steps, loss ${(total / batches.length).toFixed(4)}`,
  );
}
await accelerator.end();
