/**
 * Optimizer steps: prints milliseconds of one step, and the share of the copy bandwidth measured in the same run. Threads:
 * ACCELERATE_NUM_THREADS. The peer is peers/optimizers.py.
 *
 * @module
 */
import { nn, noGrad, optim, randn, type Tensor } from "../mod.ts";

/** Milliseconds of one call: the median of some rounds. */
function measure(step: () => void, milliseconds: number): number {
  step();
  const start = performance.now();
  step();
  const repeats = Math.max(1, Math.ceil(milliseconds / (performance.now() - start)));
  const rounds = Array.from({ length: 7 }, () => {
    const begin = performance.now();
    for (let i = 0; i < repeats; i++) step();
    return (performance.now() - begin) / repeats;
  });
  return rounds.sort((a, b) => a - b)[3];
}

function parameters(count: number, size: number): Tensor[] {
  return Array.from({ length: count }, () => {
    const parameter = new nn.Parameter(randn([size]));
    parameter.grad = randn([size]);
    return parameter;
  });
}

const LARGE = 1 << 24;
const results: Record<string, number> = {};

// Bytes read and written, of memory that no cache holds. A copy also reads the lines that it overwrites, which a step has read anyway: so
// a step may reach more than 100%.
const [from, to] = [randn([LARGE]), randn([LARGE])];
const copy = measure(() => noGrad(() => to.copy_(from)), 100);
const copyGbPerSecond = LARGE * 8 / copy / 1e6;
results["copy GB/s"] = copyGbPerSecond;

type Make = (list: Tensor[]) => { step(): void };

/** `bytes`: what a step reads and writes for each element. */
function row(name: string, count: number, size: number, bytes: number, make: Make): void {
  const list = parameters(count, size);
  const optimizer = make(list);
  // The gradients move to the flat buffer with the first step of a loop; here they are copied there by hand.
  for (const parameter of list) {
    const slot = parameter.gradSlot;
    if (slot !== null && parameter.grad !== slot && parameter.grad !== null) {
      noGrad(() => slot.copy_(parameter.grad!));
      parameter.grad = slot;
    }
  }
  const milliseconds = measure(() => optimizer.step(), 100);
  results[name] = milliseconds;
  results[`${name} % of limit`] = 100 * count * size * bytes / milliseconds / 1e6 / copyGbPerSecond;
  for (const parameter of list) parameter.dispose();
}

row("AdamW 16M", 1, LARGE, 28, (list) => new optim.AdamW(list));
row("AdamW 100 x 10k", 100, 10_000, 28, (list) => new optim.AdamW(list));
row("SGD momentum 16M", 1, LARGE, 20, (list) => new optim.SGD(list, { momentum: 0.9 }));
row("SGD momentum 100 x 10k", 100, 10_000, 20, (list) => new optim.SGD(list, { momentum: 0.9 }));
row("Adagrad 16M", 1, LARGE, 20, (list) => new optim.Adagrad(list));
console.log(JSON.stringify(results, (_, value) => typeof value === "number" ? Number(value.toPrecision(4)) : value));
