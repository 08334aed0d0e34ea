/**
 * A small GPT that learns the characters of a text and then writes some: `deno run -A cli.ts launch examples/char_gpt.ts --data FILE`. By
 * default it reads the TypeScript sources of this project.
 *
 * Options: --steps 500 --batch 16 --context 128 --layers 4 --width 256 --heads 4 --lr 2e-3 --seed 1 --sample 300 (characters that it writes)
 * --capture (on a GPU, the step is recorded once and then replayed). The learning rate rises over the first twentieth of the steps and then
 * falls along a cosine.
 *
 * @module
 */
import { parseArgs } from "node:util";
import {
  Accelerator,
  arange,
  data,
  type DeviceName,
  manualSeed,
  nn,
  noGrad,
  optim,
  rand,
  randn,
  type Tensor,
  tensor,
  tidy,
} from "../mod.ts";
import { Progress } from "./_progress.ts";

/** Sizes of a {@link GPT}. */
export interface GPTOptions {
  /** Number of different tokens. */
  vocabulary: number;
  /** Longest sequence. */
  context: number;
  layers: number;
  width: number;
  heads: number;
}

/**
 * A GPT-2 (Radford et al., 2019): token indices (batch, length) -> logits (batch, length, vocabulary). Weights start normal with deviation
 * 0.02, biases at 0.
 */
export class GPT extends nn.Module {
  readonly tokens: nn.Embedding;
  readonly positions: nn.Embedding;
  readonly blocks: nn.ModuleList<nn.TransformerEncoderLayer>;
  readonly norm: nn.LayerNorm;
  readonly head: nn.Linear;

  constructor({ vocabulary, context, layers, width, heads }: GPTOptions) {
    super();
    this.tokens = new nn.Embedding(vocabulary, width);
    this.positions = new nn.Embedding(context, width);
    const options = {
      dimFeedforward: 4 * width,
      dropout: 0,
      activation: "gelu (tanh)",
      batchFirst: true,
      normFirst: true,
    } as const;
    this.blocks = new nn.ModuleList(
      Array.from({ length: layers }, () => new nn.TransformerEncoderLayer(width, heads, options)),
    );
    this.norm = new nn.LayerNorm(width);
    this.head = new nn.Linear(width, vocabulary, { bias: false });
    noGrad(() => {
      for (const [name, parameter] of this.namedParameters()) {
        if (parameter.shape.length > 1) parameter.copy_(randn(parameter.shape).mul(0.02));
        else if (name.endsWith("bias")) parameter.zero_();
      }
    });
  }

  override forward(index: Tensor): Tensor {
    const places = arange(index.shape[1], { dtype: "int32", device: index.device });
    let x = this.tokens.forward(index).add(this.positions.forward(places));
    for (const block of this.blocks) x = block.forward(x, { isCausal: true });
    return this.head.forward(this.norm.forward(x));
  }
}

/** Windows of a text with the same windows one character later. */
class Windows extends data.Dataset<[Tensor, Tensor]> {
  override readonly length: number;
  readonly #codes: Int32Array<ArrayBuffer>;
  readonly #context: number;

  constructor(codes: Int32Array<ArrayBuffer>, context: number) {
    super();
    this.#codes = codes;
    this.#context = context;
    this.length = Math.floor((codes.length - 1) / context);
  }

  override get(index: number): [Tensor, Tensor] {
    const start = index * this.#context;
    const end = start + this.#context;
    return [tensor(this.#codes.slice(start, end)), tensor(this.#codes.slice(start + 1, end + 1))];
  }
}

/** The mean cross-entropy over all windows, in nats per character. */
async function evaluate(model: GPT, windows: Windows, batchSize: number, device: DeviceName): Promise<number> {
  model.eval();
  let total = 0;
  for await (const [x, y] of new data.DataLoader(windows, { batchSize })) {
    const loss = noGrad(() => crossEntropy(model.forward(x.to({ device })), y.to({ device })));
    total += loss.item() * x.length;
  }
  model.train();
  return total / windows.length;
}

function crossEntropy(logits: Tensor, target: Tensor): Tensor {
  return nn.functional.crossEntropy(logits.flatten(0, 1), target.flatten());
}

/** Continues a text by `count` characters, each drawn from the model's distribution. */
function write(model: GPT, prompt: number[], count: number, context: number, device: DeviceName): number[] {
  const codes = [...prompt];
  model.eval();
  for (let i = 0; i < count; i++) {
    codes.push(tidy(() =>
      noGrad(() => {
        const window = Int32Array.from(codes.slice(-context));
        const logits = model.forward(tensor(window, { device }).unsqueeze(0)).select(1, -1).flatten();
        const chances = logits.softmax({ dim: 0 }).data();
        let left = rand([1]).item();
        let code = 0;
        while (code < chances.length - 1 && (left -= Number(chances[code])) >= 0) code++;
        return code;
      })
    ));
  }
  return codes.slice(prompt.length);
}

async function readSources(directory: URL): Promise<string> {
  const texts: string[] = [];
  const entries = await Array.fromAsync(Deno.readDir(directory));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (isDirectory) texts.push(await readSources(new URL(`${name}/`, directory)));
    else if (name.endsWith(".ts")) texts.push(await Deno.readTextFile(new URL(name, directory)));
  }
  return texts.join("\n");
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}

function parse() {
  try {
    return parseArgs({
      options: {
        data: { type: "string" },
        steps: { type: "string", default: "500" },
        batch: { type: "string", default: "16" },
        context: { type: "string", default: "128" },
        layers: { type: "string", default: "4" },
        width: { type: "string", default: "256" },
        heads: { type: "string", default: "4" },
        lr: { type: "string", default: "2e-3" },
        seed: { type: "string", default: "1" },
        sample: { type: "string", default: "300" },
        capture: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    fail(error instanceof Error ? error.message.replaceAll("\n", " ") : String(error));
  }
}

function readOptions() {
  const values = parse();
  const positive = (name: "steps" | "batch" | "context" | "layers" | "width" | "heads"): number => {
    const value = Number(values[name]);
    return Number.isInteger(value) && value > 0
      ? value
      : fail(`--${name} must be a positive integer, got ${values[name]}`);
  };
  const lr = Number(values.lr);
  if (!(lr > 0)) fail(`--lr must be positive, got ${values.lr}`);
  const [seed, sample] = [Number(values.seed), Number(values.sample)];
  if (![seed, sample].every((value) => Number.isInteger(value) && value >= 0)) {
    fail(`--seed and --sample must be integers from 0, got ${values.seed} and ${values.sample}`);
  }
  return {
    ...{
      data: values.data,
      capture: values.capture,
      lr,
      seed,
      sample,
      steps: positive("steps"),
      batch: positive("batch"),
    },
    ...{ context: positive("context"), layers: positive("layers"), width: positive("width"), heads: positive("heads") },
  };
}

async function main(): Promise<void> {
  const options = readOptions();
  const { batch, context, steps } = options;
  const text = options.data === undefined
    ? await readSources(new URL("../src/", import.meta.url))
    : await Deno.readTextFile(options.data).catch(() =>
      fail(`Cannot read ${options.data}: give a text file with --data`)
    );
  const characters = [...new Set(text)].sort();
  const codeOf = new Map(characters.map((character, code) => [character, code]));
  const codes = Int32Array.from(text, (character) => codeOf.get(character)!);
  const split = Math.floor(codes.length * 0.9);
  const training = new Windows(codes.subarray(0, split), context);
  const validation = new Windows(codes.subarray(split), context);
  if (training.length < batch || validation.length < 1) fail(`The text is too short: ${codes.length} characters`);

  const accelerator = new Accelerator();
  manualSeed(options.seed);
  const model = new GPT({ ...options, vocabulary: characters.length });
  const optimizer = new optim.AdamW(model.parameters(), { lr: options.lr, betas: [0.9, 0.99], weightDecay: 0.1 });
  const warmupSteps = Math.ceil(steps / 20);
  const scheduler = optim.cosineWithWarmup(optimizer, { warmupSteps, totalSteps: steps, minRatio: 0.05 });
  const loader = new data.DataLoader(training, { batchSize: batch, shuffle: true, seed: options.seed, dropLast: true });
  await accelerator.prepare(model, optimizer, loader);
  accelerator.print(
    `${codes.length} characters, ${characters.length} different; ${model.numParameters()} parameters; ${steps} steps`,
  );

  const perStep = batch * context * accelerator.numProcesses;
  const progress = new Progress({ total: steps, perStep, unit: "characters" });
  const start = performance.now();
  const eagerStep = (x: Tensor, y: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = crossEntropy(model.forward(x), y);
    accelerator.backward(loss);
    optimizer.step();
    scheduler.step();
    return loss;
  };
  const trainStep = options.capture ? accelerator.capture(eagerStep) : eagerStep;
  let step = 0;
  let last = 0;
  while (step < steps) {
    for await (const [x, y] of loader) {
      last = trainStep(x, y).item();
      step++;
      if (accelerator.isMainProcess) progress.update(step, last);
      if (step === steps) break;
    }
  }
  const seconds = (performance.now() - start) / 1000;
  if (accelerator.isMainProcess) progress.clear();
  accelerator.print(`Loss: ${last.toFixed(4)}, ${(steps * perStep / seconds).toFixed(0)} characters/s`);
  accelerator.print(`Validation loss: ${(await evaluate(model, validation, batch, accelerator.device)).toFixed(4)}`);
  if (options.sample > 0 && accelerator.isMainProcess) {
    const prompt = Array.from(codes.subarray(split, split + context));
    accelerator.print(
      write(model, prompt, options.sample, context, accelerator.device).map((code) => characters[code]).join(""),
    );
  }
  await accelerator.end();
}

if (import.meta.main) await main();
