/**
 * The regression program with a captured step: on a GPU it is recorded as a CUDA graph and costs the host one call; on the CPU it runs as it
 * is. `deno run -A cli.ts launch examples/captured_step.ts`
 *
 * @module
 */
import { Accelerator, data, nn, optim, randn, type Tensor } from "../mod.ts";

const accelerator = new Accelerator();
const model = new nn.Sequential(new nn.Linear(10, 64), new nn.ReLU(), new nn.Linear(64, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-4 });
const dataset = new data.TensorDataset(randn([100, 10]), randn([100, 1]));
const loader = new data.DataLoader(dataset, { batchSize: 8 });

const [net, opt, trainLoader] = await accelerator.prepare(model, optimizer, loader);

const trainStep = accelerator.capture((x: Tensor, y: Tensor) => {
  opt.zeroGrad();
  const loss = nn.functional.mseLoss(net.forward(x), y);
  accelerator.backward(loss);
  opt.step();
  return loss;
});

net.train();
for (let epoch = 0; epoch < 2; epoch++) {
  const losses: Tensor[] = [];
  for await (const [x, y] of trainLoader) losses.push(trainStep(x, y));
  const total = losses.reduce((sum, loss) => sum + loss.item(), 0);
  accelerator.print(`Epoch ${epoch + 1}, Loss: ${(total / trainLoader.length).toFixed(4)}`);
}
await accelerator.end();
