/**
 * The convolutional net of mnist_cnn.ts, which bench/cnn_epoch.ts measures.
 *
 * @module
 */
import { nn } from "../mod.ts";

/** Two convolutions with batch normalisation, then one linear layer: images (batch, 1, 28, 28) to logits (batch, 10). */
export function digitNet(): nn.Sequential {
  return new nn.Sequential(
    new nn.Conv2d(1, 16, { kernelSize: 3, padding: 1, bias: false }),
    new nn.BatchNorm2d(16),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Conv2d(16, 32, { kernelSize: 3, padding: 1, bias: false }),
    new nn.BatchNorm2d(32),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Linear(32 * 7 * 7, 10),
  );
}
