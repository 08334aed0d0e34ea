/**
 * The net of examples/mnist_cnn.ts on 8,000 random images: prints JSON, milliseconds of a training epoch with a shuffling loader, and with
 * batches cut from the images in order. Threads: ACCELERATE_NUM_THREADS.
 *
 * @module
 */
import { digitNet } from "../examples/_digit_net.ts";
import { data, manualSeed, nn, optim, rand, randn, type Tensor, tidy } from "../mod.ts";

const [COUNT, BATCH, EPOCHS] = [8000, 64, 3];
manualSeed(0);
const model = digitNet();
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
const images = randn([COUNT, 1, 28, 28]);
const labels = rand([COUNT]).mul(10).to({ dtype: "int64" });
const loader = new data.DataLoader(new data.TensorDataset(images, labels), { batchSize: BATCH, shuffle: true });

function step(x: Tensor, y: Tensor): number {
  optimizer.zeroGrad();
  const loss = nn.functional.crossEntropy(model.forward(x), y);
  loss.backward();
  optimizer.step();
  return loss.item();
}

async function epochWithLoader(): Promise<number> {
  let total = 0;
  for await (const [x, y] of loader) total += tidy(() => step(x, y));
  return total;
}

function epochInOrder(): number {
  let total = 0;
  for (let i = 0; i < COUNT; i += BATCH) {
    total += tidy(() => step(images.narrow(0, i, BATCH), labels.narrow(0, i, BATCH)));
  }
  return total;
}

async function median(epoch: () => number | Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i <= EPOCHS; i++) {
    const start = performance.now();
    if (!Number.isFinite(await epoch())) throw new Error("the loss is not finite");
    if (i > 0) times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[EPOCHS >> 1];
}

console.log(JSON.stringify({ loader: await median(epochWithLoader), inOrder: await median(epochInOrder) }));
