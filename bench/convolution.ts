/**
 * Convolutions of usual shapes, float32: prints JSON, milliseconds of a forward pass and of forward and backward with all three
 * gradients. Threads: ACCELERATE_NUM_THREADS.
 *
 * @module
 */
import { nn, noGrad, randn, tidy } from "../mod.ts";

/** Shape of the input, out channels, kernel, stride, padding, groups. */
const CASES: Record<string, [number[], number, number, number, number, number]> = {
  "3x3 of 3 channels": [[32, 3, 32, 32], 32, 3, 1, 1, 1],
  "3x3": [[32, 64, 28, 28], 64, 3, 1, 1, 1],
  "3x3 of 7x7": [[32, 256, 7, 7], 256, 3, 1, 1, 1],
  "1x1": [[32, 64, 28, 28], 128, 1, 1, 0, 1],
  "3x3 stride 2": [[32, 64, 28, 28], 128, 3, 2, 1, 1],
  "7x7 stride 2": [[8, 3, 112, 112], 64, 7, 2, 3, 1],
  "depthwise 3x3": [[32, 64, 28, 28], 64, 3, 1, 1, 64],
};

const results: Record<string, number> = {};

function time(name: string, run: () => void): void {
  run();
  const rounds: number[] = [];
  for (let round = 0; round < 9; round++) {
    const start = performance.now();
    run();
    rounds.push(performance.now() - start);
  }
  results[name] = rounds.sort((a, b) => a - b)[4];
}

for (const [name, [shape, channels, kernel, stride, padding, groups]] of Object.entries(CASES)) {
  const x = randn(shape, { requiresGrad: true });
  const weight = randn([channels, shape[1] / groups, kernel, kernel], { requiresGrad: true });
  const bias = randn([channels], { requiresGrad: true });
  const options = { bias, stride, padding, groups };
  time(`${name}, forward`, () => noGrad(() => nn.functional.conv2d(x, weight, options)).dispose());
  const g = randn(noGrad(() => nn.functional.conv2d(x, weight, options)).shape);
  time(`${name}, forward and backward`, () => {
    tidy(() => nn.functional.conv2d(x, weight, options).mul(g).sum().backward());
    for (const leaf of [x, weight, bias]) {
      leaf.grad!.dispose();
      leaf.grad = null;
    }
  });
}
console.log(JSON.stringify(results));
