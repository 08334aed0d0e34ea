/**
 * Metrics over data that the ranks cannot share evenly: 101 samples in batches of 8. Every sample counts once, whatever fills the last
 * batches, also where the outputs are objects.
 *
 * @module
 */
import { Accelerator, data, manualSeed, nn, noGrad, optim, randn } from "../mod.ts";

const accelerator = new Accelerator();
manualSeed(0);
const model = new nn.Linear(2, 2);
const optimizer = new optim.AdamW(model.parameters(), { lr: 0.1 });
const points = (count: number): data.TensorDataset => {
  const x = randn([count, 2]);
  return new data.TensorDataset(x, x.sum({ dim: 1 }).gt(0).to({ dtype: "int64" }));
};
const train = new data.DataLoader(points(400), { batchSize: 16, shuffle: true });
const test = new data.DataLoader(points(101), { batchSize: 8 });
await accelerator.prepare(model, optimizer, train, test);

for (let epoch = 1; epoch <= 3; epoch++) {
  for await (const [x, y] of train) {
    optimizer.zeroGrad();
    accelerator.backward(nn.functional.crossEntropy(model.forward(x), y));
    optimizer.step();
  }
  let correct = 0;
  let samples = 0;
  const mistakes: string[] = [];
  for await (const [x, y] of test) {
    const logits = noGrad(() => model.forward(x));
    const right = logits.argmax({ dim: 1 }).eq(y);
    const notes = Array.from(right.data(), Number).map((is) =>
      is === 1 ? "" : `rank ${accelerator.processIndex} erred`
    );
    const all = await accelerator.gatherForMetrics({ right, notes });
    correct += all.right.sum().item();
    samples += all.right.length;
    mistakes.push(...all.notes.filter((note) => note !== ""));
  }
  accelerator.print(
    `Epoch ${epoch}: ${correct} of ${samples} right, ${mistakes.length} mistakes, accuracy ${
      (correct / samples).toFixed(4)
    }`,
  );
}
await accelerator.end();
