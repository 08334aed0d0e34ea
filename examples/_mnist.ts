/**
 * The images of handwritten digits that the mnist examples train on, from gzipped IDX files.
 *
 * @module
 */
import { type Tensor, tensor } from "../mod.ts";

const IMAGES_MAGIC = 2051;
const LABELS_MAGIC = 2049;
const WHERE = "download the four .gz files of https://yann.lecun.com/exdb/mnist/ into it";

/** Images (count, 784), normalised by the mean and deviation of the training images, and labels (count) of int64. */
export interface Digits {
  readonly trainX: Tensor;
  readonly trainY: Tensor;
  readonly testX: Tensor;
  readonly testY: Tensor;
}

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

/**
 * Reads the digits of the folder that `--data DIR` names. It holds pairs of gzipped IDX files: `train-images-idx3-ubyte.gz` with
 * `train-labels-idx1-ubyte.gz` and `t10k-...` likewise, or the t10k pair alone, which is then split into 8,000 and 2,000 images.
 * Where there is none, the program ends with a sentence that says where to get them.
 */
export async function loadDigits(args: readonly string[]): Promise<Digits> {
  const directory = args[args.indexOf("--data") + 1];
  if (!args.includes("--data") || directory === undefined) {
    fail(`Give the folder of the MNIST files with --data DIR; ${WHERE}`);
  }
  if (!isThere(`${directory}/t10k-images-idx3-ubyte.gz`)) {
    fail(`${directory} holds no t10k-images-idx3-ubyte.gz: ${WHERE}`);
  }
  const [testX, testY] = await readPair(directory, "t10k");
  if (isThere(`${directory}/train-images-idx3-ubyte.gz`)) {
    const [trainX, trainY] = await readPair(directory, "train");
    return { trainX, trainY, testX, testY };
  }
  return {
    trainX: testX.narrow(0, 0, 8000),
    trainY: testY.narrow(0, 0, 8000),
    testX: testX.narrow(0, 8000, 2000),
    testY: testY.narrow(0, 8000, 2000),
  };
}
