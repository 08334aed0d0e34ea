/**
 * A convolutional net on images of handwritten digits: `deno run -A cli.ts launch examples/mnist_cnn.ts --data DIR [--epochs N]`. See
 * _mnist.ts for what DIR holds. After three epochs over 8,000 images, about 98% of the test images are recognised.
 *
 * @module
 */
import { manualSeed, type Tensor } from "../mod.ts";
import { digitNet } from "./_digit_net.ts";
import { loadDigits } from "./_mnist.ts";
import { trainDigits } from "./_train_digits.ts";

const epochsAt = Deno.args.indexOf("--epochs");
const epochs = epochsAt < 0 ? 5 : Number(Deno.args[epochsAt + 1]);
if (!Number.isInteger(epochs) || epochs < 1) {
  console.error(`--epochs takes a positive integer, got ${Deno.args[epochsAt + 1]}`);
  Deno.exit(2);
}

const digits = await loadDigits(Deno.args);
const images = (x: Tensor): Tensor => x.reshape([x.shape[0], 1, 28, 28]);
manualSeed(1);
const model = digitNet();
await trainDigits(model, { ...digits, trainX: images(digits.trainX), testX: images(digits.testX) }, epochs);
