/**
 * A multilayer perceptron on images of handwritten digits: `deno run -A cli.ts launch examples/mnist.ts --data DIR [--capture]`. See
 * _mnist.ts for what DIR holds.
 *
 * @module
 */
import { manualSeed, nn } from "../mod.ts";
import { loadDigits } from "./_mnist.ts";
import { trainDigits } from "./_train_digits.ts";

const EPOCHS = 5;

const digits = await loadDigits(Deno.args);
manualSeed(1);
const model = new nn.Sequential(
  new nn.Linear(784, 256),
  new nn.ReLU(),
  new nn.Linear(256, 128),
  new nn.ReLU(),
  new nn.Linear(128, 10),
);
await trainDigits(model, digits, EPOCHS);
