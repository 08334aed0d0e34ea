/**
 * Square float32 matrix products: prints GFLOP/s for each size. Threads: ACCELERATE_NUM_THREADS.
 *
 * @module
 */
import { noGrad, randn } from "../mod.ts";

const results: Record<string, number> = {};
for (const size of [64, 256, 512, 1024, 2048]) {
  const [a, b] = [randn([size, size]), randn([size, size])];
  const flops = 2 * size ** 3;
  const repeats = Math.max(3, Math.ceil(2e9 / flops));
  const rates: number[] = [];
  for (let round = 0; round < 6; round++) {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) noGrad(() => a.matmul(b)).dispose();
    rates.push(flops * repeats / (performance.now() - start) / 1e6);
  }
  results[size] = Math.round(rates.sort((x, y) => x - y)[3]);
}
console.log(JSON.stringify(results));
