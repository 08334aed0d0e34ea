/**
 * LocalSGD: each rank takes its own steps, and all take the mean of their parameters every eighth step, so ranks that are slow to reach
 * speak to each other seldom.
 *
 * @module
 */
import { Accelerator, data, LocalSGD, manualSeed, nn, optim, randn } from "../mod.ts";

const accelerator = new Accelerator();
manualSeed(0);
const model = new nn.Sequential(new nn.Linear(8, 32), new nn.Tanh(), new nn.Linear(32, 1));
const optimizer = new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
const x = randn([512, 8]);
const dataset = new data.TensorDataset(x, x.mul(0.5).sum({ dim: 1, keepDim: true }).tanh());
const loader = new data.DataLoader(dataset, { batchSize: 16, shuffle: true });
await accelerator.prepare(model, optimizer, loader);

{
  // At the end of this block the parameters are averaged a last time.
  await using local = new LocalSGD(accelerator, model, { localSgdSteps: 8 });
  for (let epoch = 1; epoch <= 5; epoch++) {
    let total = 0;
    for await (const [input, target] of loader) {
      optimizer.zeroGrad();
      const loss = nn.functional.mseLoss(model.forward(input), target);
      accelerator.backward(loss);
      optimizer.step();
      await local.step();
      total += loss.item();
    }
    const mean = await accelerator.gatherObject(total / loader.length);
    accelerator.print(`Epoch ${epoch}: loss of each rank ${mean.map((loss) => loss.toFixed(4)).join(" ")}`);
  }
}
const [first, ...others] = await accelerator.gatherObject(
  model.parameters().map((p) => p.detach().sum().item()).join(),
);
accelerator.print(`All ranks have the same parameters: ${others.every((other) => other === first)}`);
await accelerator.end();
