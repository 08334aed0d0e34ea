/**
 * Training steps of a small GPT (4 layers of width 256 with 4 heads, 8 sequences of 128 tokens, vocabulary 256, AdamW): prints JSON with the
 * median of milliseconds a step. `deno run -A bench/gpt_step.ts [steps]`
 *
 * @module
 */
import { GPT } from "../examples/char_gpt.ts";
import { Accelerator, manualSeed, nn, optim, randn, scope } from "../mod.ts";

const [batch, context, vocabulary] = [8, 128, 256];
const steps = Number(Deno.args[0] ?? 20);
const accelerator = new Accelerator();
manualSeed(0);
const model = new GPT({ vocabulary, context, layers: 4, width: 256, heads: 4 });
const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-4 });
await accelerator.prepare(model, optimizer);
const x = randn([batch, context]).abs().mul(80).clamp({ max: 255 }).to({ dtype: "int64" });
const y = randn([batch, context]).abs().mul(80).clamp({ max: 255 }).to({ dtype: "int64" });

function step(): number {
  using _ = scope();
  optimizer.zeroGrad();
  const loss = nn.functional.crossEntropy(model.forward(x).flatten(0, 1), y.flatten());
  accelerator.backward(loss);
  optimizer.step();
  return loss.item();
}

for (let i = 0; i < 3; i++) step();
const times: number[] = [];
let loss = 0;
for (let i = 0; i < steps; i++) {
  const start = performance.now();
  loss = step();
  times.push(performance.now() - start);
}
if (!(loss < 5.6)) throw new Error(`the loss is ${loss}, but a uniform guess has ${Math.log(vocabulary)}`);
times.sort((a, b) => a - b);
accelerator.print(JSON.stringify({
  steps,
  median: times[steps >> 1],
  fastest: times[0],
  tokensPerSecond: batch * context / times[steps >> 1] * 1000,
  residentBytes: Deno.memoryUsage().rss,
}));
await accelerator.end();
