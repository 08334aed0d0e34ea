/**
 * Matrix products of matmul_cases.json: prints GFLOP/s of each as JSON. Threads: ACCELERATE_NUM_THREADS.
 *
 * `peak` is the rate of the innermost loop alone, the machine's limit for float32: a batch of products that share one pair of
 * matrices, which fill the first-level cache and are not packed. It is measured before and after the others, and the higher rate
 * counts; what the multipliers could do in theory is some percent more. bfloat16 can reach twice as much where the machine
 * multiplies pairs.
 *
 * @module
 */
import { type DType, noGrad, randn, type Tensor } from "../mod.ts";
import cases from "./matmul_cases.json" with { type: "json" };

/** GFLOP/s of the median of seven rounds of 20 ms, or of 2 GFLOP if that is less. */
function rate(flops: number, multiply: () => Tensor): number {
  const repeats = Math.max(2, Math.ceil(2e9 / flops));
  let rounds: number[] = [];
  for (let round = 0; round < 8; round++) {
    const start = performance.now();
    let done = 0;
    for (; done < repeats && performance.now() - start < 20; done++) multiply().dispose();
    rounds.push(flops * done / (performance.now() - start) / 1e6);
  }
  rounds = rounds.slice(1).sort((x, y) => x - y);
  return rounds[3];
}

/** A matrix, or a batch, that is stored transposed when `flipped`. */
function operand(batch: number, rows: number, cols: number, flipped: boolean, dtype: DType): Tensor {
  const lead = batch === 1 ? [] : [batch];
  const x = randn(flipped ? [...lead, cols, rows] : [...lead, rows, cols]).to({ dtype });
  return flipped ? x.transpose(-2, -1) : x;
}

function peak(): number {
  const [a, b] = [randn([1, 24, 128]).expand([512, 24, 128]), randn([1, 128, 32]).expand([512, 128, 32])];
  return noGrad(() => rate(2 * 512 * 24 * 128 * 32, () => a.matmul(b)));
}

const results: Record<string, number> = { peak: peak() };
for (const { name, batch, m, n, k, layout, dtype } of cases) {
  const a = operand(batch, m, k, layout === "TN", dtype as DType);
  const b = operand(batch, k, n, layout === "NT", dtype as DType);
  results[name] = noGrad(() => rate(2 * batch * m * n * k, () => a.matmul(b)));
  a.dispose();
  b.dispose();
}
results.peak = Math.max(results.peak, peak());
for (const { name } of cases) results[`${name} % of limit`] = 100 * results[name] / results.peak;
console.log(JSON.stringify(results));
