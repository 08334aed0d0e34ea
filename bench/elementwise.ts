/**
 * Elementwise work and reductions of 4M float32: prints the least milliseconds by case. Threads: ACCELERATE_NUM_THREADS.
 *
 * @module
 */
import { noGrad, ones, randn, type Tensor } from "../mod.ts";

const ROWS = 4096;
const COLS = 1024;
const a = randn([ROWS, COLS]);
const b = randn([ROWS, COLS]);
const row = randn([COLS]);
const column = randn([ROWS, 1]);
const images = randn([32, 64, 28, 28]);
const channels = randn([1, 64, 1, 1]);
const half = a.to({ dtype: "bfloat16" });
const mask = a.gt(0);
const scalar = ones([]);

const cases: Record<string, () => Tensor> = {
  relu: () => a.relu(),
  add: () => a.add(b),
  mul: () => a.mul(b),
  "add number": () => a.add(1.5),
  "add scalar tensor": () => a.add(scalar),
  "add row": () => a.add(row),
  "mul column": () => a.mul(column),
  "sub column": () => a.sub(column),
  "div scalar tensor": () => a.div(scalar),
  "maximum row": () => a.maximum(row),
  "add channels": () => images.add(channels),
  "add transposed": () => a.add(b.reshape([COLS, ROWS]).transpose(0, 1)),
  "copy transposed": () => a.transpose(0, 1).contiguous(),
  "compare": () => a.gt(b),
  "add bfloat16": () => half.add(half),
  "to bfloat16": () => a.to({ dtype: "bfloat16" }),
  "mask to float32": () => mask.to({ dtype: "float32" }),
  "sum dim 0": () => a.sum({ dim: 0 }),
  "sum dim 1": () => a.sum({ dim: 1 }),
  "sum all": () => a.sum(),
  "max dim 0": () => a.max({ dim: 0 }).values,
  "argmax dim 1": () => a.argmax({ dim: 1 }),
};

const results: Record<string, number> = {};
for (const [name, run] of Object.entries(cases)) {
  const times: number[] = [];
  for (let round = 0; round < 25; round++) {
    const start = performance.now();
    noGrad(run).dispose();
    times.push(performance.now() - start);
  }
  results[name] = Number(Math.min(...times).toFixed(3));
}
console.log(JSON.stringify(results));
