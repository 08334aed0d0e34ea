/**
 * Row-wise kernels and elementwise functions on (4096, 1024) float32: prints milliseconds of each as JSON, and how much of the
 * bandwidth of a copy each reaches. Threads: ACCELERATE_NUM_THREADS. The peer is peers/rows.py.
 *
 * @module
 */
import { nn, noGrad, randn, type Tensor, tensor, tidy } from "../mod.ts";

const SHAPE = [4096, 1024];
const { functional } = nn;
const x = randn(SHAPE, { requiresGrad: true });
const gradient = randn(SHAPE);
const weight = randn([SHAPE[1]], { requiresGrad: true });
const bias = randn([SHAPE[1]], { requiresGrad: true });
const target = tensor(Array.from({ length: SHAPE[0] }, (_, i) => i * 37 % SHAPE[1]), { dtype: "int64" });
const copy = randn(SHAPE);

const operations: Record<string, () => Tensor> = {
  layerNorm: () => functional.layerNorm(x, [SHAPE[1]], { weight, bias }),
  rmsNorm: () => functional.rmsNorm(x, [SHAPE[1]], { weight }),
  softmax: () => x.softmax({ dim: -1 }),
  logSoftmax: () => x.logSoftmax({ dim: -1 }),
  "softmax dim 0": () => x.softmax({ dim: 0 }),
  crossEntropy: () => functional.crossEntropy(x, target),
  gelu: () => x.gelu(),
  silu: () => x.silu(),
};
const elementwise: Record<string, () => Tensor> = {
  exp: () => x.exp(),
  log: () => x.log(),
  tanh: () => x.tanh(),
  "x * 2 + y, relu": () => x.mul(2).add(gradient).relu(),
};

function median(run: () => void): number {
  const times: number[] = [];
  for (let round = 0; round < 13; round++) {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[6];
}

const results: Record<string, number> = { copy: median(() => noGrad(() => copy.copy_(gradient))) };

/** Adds a result; `moved` is how many tensors of the shape must be read or written. A copy moves 2. */
function add(name: string, moved: number, run: () => void): void {
  results[name] = median(run);
  results[`${name} % of limit`] = 100 * moved / 2 * results.copy / results[name];
}

for (const [name, operation] of Object.entries({ ...operations, ...elementwise })) {
  const moved = name === "crossEntropy" ? 1 : name.startsWith("x * 2") ? 7 : 2;
  add(`${name} forward`, moved, () => tidy(() => noGrad(() => void operation())));
}
for (const [name, operation] of Object.entries(operations)) {
  add(`${name} forward+backward`, name === "crossEntropy" ? 3 : 5, () =>
    tidy(() => {
      for (const leaf of [x, weight, bias]) {
        leaf.grad?.dispose();
        leaf.grad = null;
      }
      const y = operation();
      if (y.shape.length === 0) y.backward();
      else y.backward(gradient);
    }));
}
console.log(JSON.stringify(results));
