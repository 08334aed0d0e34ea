/**
 * The regression program for many epochs: prints JSON with the median over epochs of microseconds a step. Arguments: the number of
 * epochs, and `captured` to record the step once and replay it.
 *
 * @module
 */
import { Accelerator, data, manualSeed, nn, optim, randn, type Tensor } from "../mod.ts";

const epochs = Number(Deno.args[0] ?? 200);
const isCaptured = Deno.args[1] === "captured";
const accelerator = new Accelerator();
manualSeed(0);
const model = new nn.Sequential(new nn.Linear(10, 64), new nn.ReLU(), new nn.Linear(64, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-4 });
const dataset = new data.TensorDataset(randn([100, 10]), randn([100, 1]));
const loader = new data.DataLoader(dataset, { batchSize: 8 });
await accelerator.prepare(model, optimizer, loader);

const eager = (x: Tensor, y: Tensor): Tensor => {
  optimizer.zeroGrad();
  const loss = nn.functional.mseLoss(model.forward(x), y);
  accelerator.backward(loss);
  optimizer.step();
  return loss;
};
const step = isCaptured ? accelerator.capture(eager) : eager;

const marks = [performance.now()];
let total = 0;
for (let epoch = 0; epoch < epochs; epoch++) {
  for await (const [x, y] of loader) {
    total += step(x, y).item();
  }
  marks.push(performance.now());
}
if (!Number.isFinite(total)) throw new Error(`the sum of the losses is ${total}`);
const perStep = marks.slice(1).map((mark, i) => (mark - marks[i]) * 1000 / loader.length).sort((a, b) => a - b);
accelerator.print(JSON.stringify({
  steps: epochs * loader.length,
  median: perStep[perStep.length >> 1],
  mean: (marks[epochs] - marks[0]) * 1000 / (epochs * loader.length),
  residentBytes: Deno.memoryUsage().rss,
}));
await accelerator.end();
