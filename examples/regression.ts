/**
 * The program this project exists for: `deno run -A cli.ts launch` trains it.
 *
 * @module
 */
import { Accelerator, data, nn, optim, randn } from "../mod.ts";

const accelerator = new Accelerator();
const model = new nn.Sequential(new nn.Linear(10, 64), new nn.ReLU(), new nn.Linear(64, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-4 });
const dataset = new data.TensorDataset(randn([100, 10]), randn([100, 1]));
const loader = new data.DataLoader(dataset, { batchSize: 8 });

const [net, opt, trainLoader] = await accelerator.prepare(model, optimizer, loader);

net.train();
for (let epoch = 0; epoch < 2; epoch++) {
  let totalLoss = 0;
  for await (const [x, y] of trainLoader) {
    opt.zeroGrad();
    const loss = nn.functional.mseLoss(net.forward(x), y);
    accelerator.backward(loss);
    opt.step();
    totalLoss += loss.item();
  }
  accelerator.print(`Epoch ${epoch + 1}, Loss: ${(totalLoss / trainLoader.length).toFixed(4)}`);
}
await accelerator.end();
