/**
 * The training loop of the mnist examples.
 *
 * @module
 */
import { Accelerator, data, nn, noGrad, optim, type Tensor, tidy } from "../mod.ts";
import type { Digits } from "./_mnist.ts";
import { Progress } from "./_progress.ts";

const BATCH = 64;

/**
 * Trains a model that makes 10 logits of images (batch, ...), and prints loss and test accuracy after each epoch. With `--capture` the step
 * is captured: on a GPU it is recorded and replayed, on the CPU that changes nothing.
 */
export async function trainDigits(model: nn.Module, digits: Digits, epochs: number): Promise<void> {
  const { trainX, trainY } = digits;
  const accelerator = new Accelerator();
  const [testX, testY] = [digits.testX, digits.testY].map((x) => x.to({ device: accelerator.device }));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  const loader = new data.DataLoader(new data.TensorDataset(trainX, trainY), {
    batchSize: BATCH,
    shuffle: true,
    seed: 1,
  });
  await accelerator.prepare(model, optimizer, loader);
  const samples = BATCH * accelerator.numProcesses;
  const progress = new Progress({ total: epochs * loader.length, perStep: samples, unit: "samples" });

  const eagerStep = (x: Tensor, y: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = nn.functional.crossEntropy(model.forward(x), y);
    accelerator.backward(loss);
    optimizer.step();
    return loss;
  };
  const trainStep = Deno.args.includes("--capture") ? accelerator.capture(eagerStep) : eagerStep;
  let step = 0;
  for (let epoch = 1; epoch <= epochs; epoch++) {
    model.train();
    let totalLoss = 0;
    const start = performance.now();
    for await (const [x, y] of loader) {
      const value = trainStep(x, y).item();
      totalLoss += value;
      progress.update(++step, value);
    }
    progress.clear();
    const seconds = (performance.now() - start) / 1000;
    model.eval();
    const accuracy = tidy(() =>
      noGrad(() => model.forward(testX).argmax({ dim: 1 }).eq(testY).to({ dtype: "float32" }).mean())
    ).item();
    accelerator.print(
      `Epoch ${epoch}, Loss: ${(totalLoss / loader.length).toFixed(4)}, Accuracy: ${(100 * accuracy).toFixed(2)}%, ${
        seconds.toFixed(2)
      } s`,
    );
  }
  await accelerator.end();
}
