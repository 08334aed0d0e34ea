/**
 * Checkpoints of a GPT of 124M parameters with AdamW (1.5 GB): prints JSON with the rate of `saveState` beside that of writing and
 * synchronising the same number of bytes, and how long a save in the background blocks training beside a plain copy of the state.
 * `deno run -A bench/checkpoint.ts [folder]`: the folder's disk is measured.
 *
 * @module
 */
import { Accelerator, memoryStats, nn, noGrad, optim, randn, type Tensor } from "../mod.ts";

const ROUNDS = 3;
const WIDTH = 768;

class Block extends nn.Module {
  readonly norm1 = new nn.LayerNorm(WIDTH);
  readonly attention = new nn.Linear(WIDTH, 3 * WIDTH);
  readonly projection = new nn.Linear(WIDTH, WIDTH);
  readonly norm2 = new nn.LayerNorm(WIDTH);
  readonly up = new nn.Linear(WIDTH, 4 * WIDTH);
  readonly down = new nn.Linear(4 * WIDTH, WIDTH);
  override forward(x: Tensor): Tensor {
    return x;
  }
}

const model = new nn.ModuleDict({
  tokens: new nn.Embedding(50257, WIDTH),
  positions: new nn.Embedding(1024, WIDTH),
  blocks: new nn.ModuleList(Array.from({ length: 12 }, () => new Block())),
  norm: new nn.LayerNorm(WIDTH),
});
const accelerator = new Accelerator();
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-4 });
await accelerator.prepare(model, optimizer);
// One step, so that the optimizer has its state.
noGrad(() => {
  for (const parameter of model.parameters()) parameter.grad = randn(parameter.shape);
});
optimizer.step();
optimizer.zeroGrad();

const folder = Deno.args[0] ?? await Deno.makeTempDir({ prefix: "accelerate-bench-" });
const tensors = [
  ...Object.values(model.stateDict()),
  ...Object.values(optimizer.stateDict().state).flatMap((state) =>
    Object.values(state).filter((value): value is Tensor => typeof value === "object")
  ),
];
const bytes = tensors.reduce((sum, { size }) => sum + size * 4, 0);

async function seconds(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}

/** Writes and synchronises the same bytes, with the same calls. */
async function writeRaw(contents: readonly Uint8Array[]): Promise<void> {
  using file = await Deno.open(`${folder}/raw`, { write: true, create: true, truncate: true });
  for (const bytes of contents) {
    for (let start = 0; start < bytes.length;) start += await file.write(bytes.subarray(start, start + (1 << 22)));
  }
  await file.sync();
}

await accelerator.saveState(`${folder}/sync`);
const contents = await Promise.all(
  ["model", "optimizer"].map((name) => Deno.readFile(`${folder}/sync/${name}.safetensors`)),
);

const times: Record<"raw" | "save" | "blocked" | "copy" | "load", number[]> = {
  raw: [],
  save: [],
  blocked: [],
  copy: [],
  load: [],
};
for (let round = 0; round < ROUNDS; round++) {
  times.raw.push(await seconds(() => writeRaw(contents)));
  await Deno.remove(`${folder}/raw`);
  times.save.push(await seconds(() => accelerator.saveState(`${folder}/sync`, { overwrite: true })));
  let copies: Tensor[] = [];
  times.copy.push(await seconds(() => copies = noGrad(() => tensors.map((tensor) => tensor.clone()))));
  for (const copy of copies) copy.dispose();
  times.blocked.push(await seconds(() => accelerator.saveState(`${folder}/async`, { async: true, overwrite: true })));
  await accelerator.flush();
  times.load.push(await seconds(() => accelerator.loadState(`${folder}/async`)));
}
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];
const { raw, save, blocked, copy, load } = times;
console.log(JSON.stringify({
  parameters: model.numParameters(),
  gigabytes: bytes / 1e9,
  "raw write GB/s": bytes / 1e9 / median(raw),
  "saveState GB/s": bytes / 1e9 / median(save),
  "saveState / raw write": median(raw) / median(save),
  "async save blocks s": median(blocked),
  "plain copy s": median(copy),
  "blocked / copy": median(blocked) / median(copy),
  "loadState GB/s": bytes / 1e9 / median(load),
  live: memoryStats().liveBytes / 1e9,
}));
await accelerator.end();
if (Deno.args[0] === undefined) await Deno.remove(folder, { recursive: true });
