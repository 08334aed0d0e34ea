/**
 * Language modelling with texts of different lengths: the loss of a step is the mean over all its tokens, on whichever rank and in
 * whichever micro-batch they are. A mean of the means of batches would give words in short texts more weight.
 *
 * @module
 */
import { Accelerator, cat, data, manualSeed, nn, optim, type Tensor, tensor } from "../mod.ts";

const TEXTS = [
  "the cat sat on the mat",
  "a cat",
  "the dog sat on the log and the cat sat on the dog",
  "dogs and cats",
  "on and on and on",
  "the mat",
  "a log is a log",
  "the cat and the dog sat",
];
const ALPHABET = [..." abcdefghijklmnopqrstuvwxyz"];
/** Targets that count for nothing: what only makes texts equally long. */
const PADDING = -100;

/** A text as numbers, from the second letter on to be predicted from the one before. */
class Texts extends data.Dataset<number[]> {
  override readonly length = TEXTS.length;
  override get(index: number): number[] {
    return [...TEXTS[index]].map((letter) => ALPHABET.indexOf(letter));
  }
}

/** Inputs, targets and the number of tokens of a batch. */
function collate(texts: number[][]): [Tensor, Tensor, number] {
  const longest = Math.max(...texts.map(({ length }) => length)) - 1;
  const rows = (fill: number, from: number): Tensor =>
    tensor(
      texts.map((text) => Array.from({ length: longest }, (_, i) => i < text.length - 1 ? text[i + from] : fill)),
      { dtype: "int64" },
    );
  return [rows(0, 0), rows(PADDING, 1), texts.reduce((sum, { length }) => sum + length - 1, 0)];
}

class Bigrams extends nn.Module {
  readonly embedding = new nn.Embedding(ALPHABET.length, 16);
  readonly head = new nn.Linear(16, ALPHABET.length);
  override forward(ids: Tensor): Tensor {
    return this.head.forward(this.embedding.forward(ids));
  }
}

const accelerator = new Accelerator({ gradientAccumulationSteps: 2 });
manualSeed(0);
const model = new Bigrams();
const optimizer = new optim.AdamW(model.parameters(), { lr: 0.05 });
// The same four texts make a step, on one rank or on two.
const loader = new data.DataLoader<number[], [Tensor, Tensor, number]>(new Texts(), {
  batchSize: 2 / accelerator.numProcesses,
  collate,
});
await accelerator.prepare(model, optimizer, loader);

for (let epoch = 1; epoch <= 20; epoch++) {
  const sums: Tensor[] = [];
  for await (const [ids, targets, tokens] of loader) {
    accelerator.accumulate(model, () => {
      const logits = model.forward(ids).reshape([-1, ALPHABET.length]);
      const lossSum = nn.functional.crossEntropy(logits, targets.reshape([-1]), { reduction: "sum" });
      accelerator.backward(lossSum, { normalizer: tokens });
      optimizer.step();
      optimizer.zeroGrad();
      sums.push(tensor([lossSum.item(), tokens]).keep());
    });
  }
  const [loss, tokens] = (await accelerator.reduce(cat(sums).reshape([-1, 2]).sum({ dim: 0 }))).data();
  if (epoch % 5 === 0) {
    accelerator.print(`Epoch ${epoch}: ${tokens} tokens, loss ${(Number(loss) / Number(tokens)).toFixed(4)}`);
  }
}
await accelerator.end();
