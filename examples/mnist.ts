/**
 * A multilayer perceptron on images of handwritten digits.
 *
 * `deno run -A cli.ts launch examples/mnist.ts --data DIR`, where DIR holds pairs of gzipped IDX files: `train-images-idx3-ubyte.gz` with
 * `train-labels-idx1-ubyte.gz` and `t10k-...` likewise, or the t10k pair alone, which is then split into 8,000 and 2,000 images.
 *
 * @module
 */
import { Accelerator, data, manualSeed, nn, noGrad, optim, type Tensor, tensor, tidy } from "../mod.ts";

const EPOCHS = 5;
const IMAGES_MAGIC = 2051;
const LABELS_MAGIC = 2049;

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}

/** Reads a gzipped IDX file: a big-endian header of `4 + 4 * ndim` bytes, then bytes. */
async function readIdx(path: string, magic: number): Promise<{ shape: number[]; bytes: Uint8Array<ArrayBuffer> }> {
  const file = await Deno.open(path);
  const bytes = await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).bytes();
  const view = new DataView(bytes.buffer);
  if (bytes.length < 8 || view.getUint32(0) !== magic) fail(`${path} is not the IDX file it should be`);
  const shape = Array.from({ length: magic & 255 }, (_, i) => view.getUint32(4 + 4 * i));
  const start = 4 + 4 * shape.length;
  if (bytes.length - start !== shape.reduce((a, b) => a * b)) fail(`${path} is truncated`);
  return { shape, bytes: bytes.slice(start) };
}

async function readPair(directory: string, name: string): Promise<[Tensor, Tensor]> {
  const images = await readIdx(`${directory}/${name}-images-idx3-ubyte.gz`, IMAGES_MAGIC);
  const labels = await readIdx(`${directory}/${name}-labels-idx1-ubyte.gz`, LABELS_MAGIC);
  const [count, height, width] = images.shape;
  // Mean and deviation of the training images.
  const pixels = Float32Array.from(images.bytes, (value) => (value / 255 - 0.1307) / 0.3081);
  return [tensor(pixels, { shape: [count, height * width] }), tensor(labels.bytes).to({ dtype: "int64" })];
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const directory = Deno.args[Deno.args.indexOf("--data") + 1];
if (!Deno.args.includes("--data") || directory === undefined) {
  fail(
    "Give the folder of the MNIST files with --data DIR; download the four .gz files of https://yann.lecun.com/exdb/mnist/ into it",
  );
}
if (!isThere(`${directory}/t10k-images-idx3-ubyte.gz`)) {
  fail(
    `${directory} holds no t10k-images-idx3-ubyte.gz: download the four .gz files of https://yann.lecun.com/exdb/mnist/ into it`,
  );
}

const accelerator = new Accelerator();
let [testX, testY] = await readPair(directory, "t10k");
let trainX: Tensor;
let trainY: Tensor;
if (isThere(`${directory}/train-images-idx3-ubyte.gz`)) {
  [trainX, trainY] = await readPair(directory, "train");
} else {
  [trainX, trainY] = [testX.narrow(0, 0, 8000), testY.narrow(0, 0, 8000)];
  [testX, testY] = [testX.narrow(0, 8000, 2000), testY.narrow(0, 8000, 2000)];
}

manualSeed(1);
const model = new nn.Sequential(
  new nn.Linear(784, 256),
  new nn.ReLU(),
  new nn.Linear(256, 128),
  new nn.ReLU(),
  new nn.Linear(128, 10),
);
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
const loader = new data.DataLoader(new data.TensorDataset(trainX, trainY), { batchSize: 64, shuffle: true, seed: 1 });
await accelerator.prepare(model, optimizer, loader);

for (let epoch = 1; epoch <= EPOCHS; epoch++) {
  model.train();
  let totalLoss = 0;
  const start = performance.now();
  for await (const [x, y] of loader) {
    optimizer.zeroGrad();
    const loss = nn.functional.crossEntropy(model.forward(x), y);
    accelerator.backward(loss);
    optimizer.step();
    totalLoss += loss.item();
  }
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
