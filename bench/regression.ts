/**
 * Steady state of the regression program: prints microseconds a step and the resident memory. Arguments: epochs (default 200).
 *
 * @module
 */
import { Accelerator, data, manualSeed, nn, optim, randn } from "../mod.ts";

const epochs = Number(Deno.args[0] ?? 200);
const accelerator = new Accelerator();
manualSeed(0);
const model = new nn.Sequential(new nn.Linear(10, 64), new nn.ReLU(), new nn.Linear(64, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-4 });
const dataset = new data.TensorDataset(randn([100, 10]), randn([100, 1]));
const loader = new data.DataLoader(dataset, { batchSize: 8 });
await accelerator.prepare(model, optimizer, loader);

let steps = 0;
let loss = 0;
const start = performance.now();
for (let epoch = 0; epoch < epochs; epoch++) {
  for await (const [x, y] of loader) {
    optimizer.zeroGrad();
    const value = nn.functional.mseLoss(model.forward(x), y);
    accelerator.backward(value);
    optimizer.step();
    loss = value.item();
    steps++;
  }
}
const microseconds = (performance.now() - start) * 1000 / steps;
if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss}`);
accelerator.print(JSON.stringify({ steps, microseconds, residentBytes: Deno.memoryUsage().rss }));
await accelerator.end();
