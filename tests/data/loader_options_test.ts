import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { arange, data, ReleasedError, type Tensor, tensor } from "../../mod.ts";
import { cpuDevice } from "../../src/core/device.ts";
import { readMemoryStats } from "../../src/core/memory.ts";
import { currentScope } from "../../src/core/scope.ts";

const numbers = (count: number): data.TensorDataset => new data.TensorDataset(arange(count));

async function read(loader: data.DataLoader<Tensor[]>): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const [x] of loader) seen.push(x.toArray());
  return seen;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Samples that arrive late, the first ones last. */
class Slow extends data.Dataset<Tensor> {
  readonly asked: number[] = [];
  override readonly length = 8;

  override async get(index: number): Promise<Tensor> {
    this.asked.push(index);
    await pause(index % 2 === 0 ? 8 : 2);
    if (index === 6) throw new Error("sample 6 is broken");
    return tensor([index, 10 * index]);
  }
}

class SlowStream extends data.IterableDataset<Tensor> {
  produced = 0;
  closed = false;

  override async *[Symbol.asyncIterator](): AsyncGenerator<Tensor> {
    try {
      for (let i = 0; i < 7; i++) {
        await pause(1);
        this.produced++;
        yield tensor([i]);
      }
    } finally {
      this.closed = true;
    }
  }
}

Deno.test("a sampler, an array too, decides which samples come", async () => {
  assertEquals(await read(new data.DataLoader(numbers(5), { sampler: [4, 2, 0], batchSize: 2 })), [[4, 2], [0]]);
  const loader = new data.DataLoader(numbers(5), { sampler: new data.SequentialSampler({ length: 3 }), batchSize: 3 });
  assertEquals([loader.length, await read(loader)], [1, [[0, 1, 2]]]);
});

Deno.test("a batch sampler decides the batches, and dropLast and batchSize of BatchSampler are used", async () => {
  const loader = new data.DataLoader(numbers(9), { batchSampler: [[8], [1, 2, 3], [0, 8]] });
  assertEquals([loader.length, await read(loader)], [3, [[8], [1, 2, 3], [0, 8]]]);
  const sampler = new data.BatchSampler(new data.SequentialSampler({ length: 9 }), 4, { dropLast: true });
  const dropped = new data.DataLoader(numbers(9), { batchSampler: sampler });
  assertEquals([dropped.length, dropped.batchSize, await read(dropped)], [2, 4, [[0, 1, 2, 3], [4, 5, 6, 7]]]);
});

Deno.test("batches of any size are dealt to the ranks as Accelerate deals them", async () => {
  const shares = async (all: number[][], worldSize: number): Promise<unknown[]> => {
    const out: unknown[] = [];
    for (let rank = 0; rank < worldSize; rank++) {
      const loader = new data.DataLoader(numbers(14), { batchSampler: all });
      loader.prepare({ rank, worldSize }, cpuDevice());
      out.push(await read(loader));
      assertEquals(loader.length, (out[rank] as unknown[]).length);
    }
    return out;
  };
  // Rows DL-21 and DL-22 of the reference: batches of a sampler without batch size, even_batches.
  assertEquals(await shares([[0, 1, 2], [3, 4], [5, 6, 7, 8], [9, 10, 11], [12, 13]], 2), [
    [[0, 1, 2], [5, 6, 7, 8], [12, 13]],
    [[3, 4], [9, 10, 11], [0, 1, 2]],
  ]);
  assertEquals(await shares([[0], [1, 2], [3, 4, 5], [6], [7, 8], [9, 10, 11], [12, 13]], 3), [
    [[0], [6], [12, 13]],
    [[1, 2], [7, 8], [0]],
    [[3, 4, 5], [9, 10, 11], [1, 2]],
  ]);
  assertEquals(await shares([[4, 5]], 3), [[[4, 5]], [[4, 5]], [[4, 5]]]);
});

Deno.test("a sampler is sharded as the data set is, the same on every rank", async () => {
  const seen: unknown[] = [];
  for (const rank of [0, 1]) {
    const sampler = new data.RandomSampler({ length: 10 }, { seed: 3 });
    const loader = new data.DataLoader(numbers(10), { sampler, batchSize: 3 });
    loader.prepare({ rank, worldSize: 2 }, cpuDevice());
    loader.setEpoch(2);
    seen.push(...(await read(loader)).flat());
  }
  assertEquals(seen.length, 12);
  assertEquals(new Set(seen).size, 10);
});

Deno.test("random samplers have another order each epoch, setEpoch repeats one, and a seed decides", () => {
  const sampler = new data.RandomSampler({ length: 30 }, { seed: 1 });
  const [first, second] = [[...sampler], [...sampler]];
  assert(first.join() !== second.join());
  sampler.setEpoch(0);
  assertEquals([...sampler], first);
  assertEquals([...first].sort((a, b) => a - b), Array.from({ length: 30 }, (_, i) => i));
  assert([...new data.RandomSampler({ length: 30 }, { seed: 2 })].join() !== first.join());
  assertEquals(new Set(new data.RandomSampler({ length: 5 }, { numSamples: 12 })).size, 5);
  const drawn = [...new data.RandomSampler({ length: 3 }, { replacement: true, numSamples: 300 })];
  assertEquals(drawn.length, 300);
  for (const value of [0, 1, 2]) assert(Math.abs(drawn.filter((v) => v === value).length - 100) < 40);
  assertEquals([...new data.SubsetRandomSampler([7, 3, 5])].sort(), [3, 5, 7]);
});

Deno.test("WeightedRandomSampler draws in proportion, never a weight of 0, and without replacement each once", () => {
  const counts = [0, 0, 0, 0];
  for (const index of new data.WeightedRandomSampler([0, 1, 3, 0], 4000)) counts[index]++;
  assertEquals([counts[0], counts[3]], [0, 0]);
  assert(Math.abs(counts[2] / 4000 - 0.75) < 0.05, `${counts}`);
  const once = new data.WeightedRandomSampler([1, 0, 2, 5], 3, { replacement: false });
  assertEquals([...once].sort(), [0, 2, 3]);
});

Deno.test("prefetch keeps the order, fetches ahead, and throws an error where its batch is used", async () => {
  for (const prefetch of [0, 1, 3, 20]) {
    const dataset = new Slow();
    const loader = new data.DataLoader(dataset, { batchSize: 2, prefetch });
    const seen: unknown[] = [];
    let asked = 0;
    await assertRejects(
      async () => {
        for await (const x of loader) {
          asked ||= dataset.asked.length;
          await pause(3);
          seen.push((x as Tensor).add(0).toArray());
        }
      },
      Error,
      "sample 6 is broken",
    );
    assertEquals(seen, [[[0, 0], [1, 10]], [[2, 20], [3, 30]], [[4, 40], [5, 50]]]);
    assertEquals(asked, Math.min(8, 2 * (1 + prefetch)));
    assertEquals(currentScope(), undefined);
  }
});

Deno.test("prefetch of a stream keeps the order, and leaving the loop closes the stream", async () => {
  for (const prefetch of [0, 2]) {
    const stream = new SlowStream();
    const seen: unknown[] = [];
    for await (const x of new data.DataLoader(stream, { batchSize: 2, prefetch })) {
      await pause(4);
      seen.push((x as Tensor).add(0).toArray());
    }
    assertEquals(seen, [[[0], [1]], [[2], [3]], [[4], [5]], [[6]]]);
    assert(stream.closed);
    const left = new SlowStream();
    for await (const _ of new data.DataLoader(left, { batchSize: 2, prefetch })) break;
    await pause(20);
    assert(left.closed && left.produced <= 3 + 2 * prefetch, `${left.produced} samples`);
  }
});

Deno.test("prefetched batches belong to their own step and leave nothing behind", async () => {
  const before = readMemoryStats(cpuDevice()).liveStorages;
  let last: Tensor | undefined;
  for (let epoch = 0; epoch < 3; epoch++) {
    for await (const x of new data.DataLoader(new SlowStream(), { batchSize: 2, prefetch: 3 })) {
      await pause(2);
      last = (x as Tensor).mul(2);
    }
  }
  assertThrows(() => last!.toArray(), ReleasedError, "the end of the training step");
  // Garbage of earlier tests may be collected meanwhile; a leak would be some storages for each of the epochs.
  const after = readMemoryStats(cpuDevice()).liveStorages;
  assert(after <= before, `${after} storages, ${before} before`);
});

Deno.test("a stream of tensors fills the last round of the ranks from the first samples, which live until then", async () => {
  const loader = new data.DataLoader(new SlowStream(), { batchSize: 2 });
  loader.prepare({ rank: 1, worldSize: 2 }, cpuDevice());
  const seen: unknown[] = [];
  for await (const x of loader) seen.push((x as Tensor).toArray());
  assertEquals(seen, [[[2], [3]], [[6], [0]]]);
});

Deno.test("Subset and ConcatDataset give their samples, whole batches where the data set can", async () => {
  const subset = new data.Subset(numbers(10), [9, 4, 4, 0]);
  assertEquals(subset.length, 4);
  assertEquals((await subset.get(1))[0].item(), 4);
  assertEquals(await read(new data.DataLoader(subset, { batchSize: 3 })), [[9, 4, 4], [0]]);
  const both = new data.ConcatDataset([subset, numbers(0), numbers(2)]);
  assertEquals(both.length, 6);
  assertEquals(await read(new data.DataLoader(both, { batchSize: 4 })), [[9, 4, 4, 0], [0, 1]]);
  assertEquals(await read(new data.DataLoader(new data.Subset(both, [5, 0]), { batchSize: 2 })), [[1, 9]]);
});

Deno.test("randomSplit() splits by lengths and by fractions, each sample once, the same for a seed", () => {
  const parts = data.randomSplit(numbers(10), [0.55, 0.45], { seed: 4 });
  assertEquals(parts.map(({ length }) => length), [6, 4]);
  const all = parts.flatMap(({ indices }) => [...indices]);
  assertEquals(all.toSorted((a, b) => a - b), Array.from({ length: 10 }, (_, i) => i));
  assertEquals(data.randomSplit(numbers(10), [6, 4], { seed: 4 }).flatMap(({ indices }) => [...indices]), all);
  assert(
    data.randomSplit(numbers(10), [6, 4], { seed: 5 }).flatMap(({ indices }) => [...indices]).join() !== all.join(),
  );
});

Deno.test("data sets, samplers and loaders refuse what contradicts itself, with a sentence", async () => {
  const dataset = numbers(4);
  const sampler = new data.SequentialSampler(dataset);
  const load = (options: data.DataLoaderOptions) => () => new data.DataLoader(dataset, options);
  const bad: [() => unknown, string][] = [
    [load({ batchSampler: [[0]], batchSize: 2 }), "batchSampler and batchSize"],
    [load({ batchSampler: [[0]], shuffle: true }), "it decides all of them"],
    [load({ sampler, shuffle: true }), "Cannot shuffle what a sampler orders"],
    [load({ numWorkers: 2 }), "Cannot load a TensorDataset with workers"],
    [load({ persistentWorkers: true }), "Cannot keep workers that do not exist"],
    [load({ numWorkers: 2, prefetchFactor: 0 }), "Cannot make 0 batches ahead"],
    [load({ prefetch: -1 }), "Cannot prefetch -1 batches"],
    [load({ shuffle: true, seed: 0.5 }), "seed 0.5: it must be an integer"],
    [load({ shuffle: true, order: "numpy" as never }), 'the order "numpy"'],
    [() => load({})().setEpoch(-1), "epoch -1: it must be a non-negative integer"],
    [() => new data.DataLoader(new SlowStream(), { sampler }), "it has no indices"],
    [() => new data.DataLoader(new SlowStream(), { shuffle: true }), "shuffle inside the data set"],
    [() => new data.RandomSampler({ length: 0 }), "numSamples 0: it must be a positive integer"],
    [() => new data.RandomSampler(dataset, { numSamples: -2 }), "numSamples -2"],
    [() => new data.BatchSampler(sampler, 0), "batchSize 0"],
    [() => new data.WeightedRandomSampler([1, -1], 1), "weight -1 of sample 1: weights must be finite and at least 0"],
    [() => new data.WeightedRandomSampler([0, 0], 1), "0 of 2 weights are above 0"],
    [() => new data.WeightedRandomSampler([1, 0], 2, { replacement: false }), "at least 2 must be"],
    [() => new data.WeightedRandomSampler([1], 0), "numSamples 0"],
    [() => new data.Subset(dataset, [0, 4]), "Cannot take sample 4: the data set has 4, numbered from 0"],
    [() => new data.ConcatDataset([]), "give at least one"],
    [() => new data.ConcatDataset([dataset]).get(4), "Cannot take sample 4"],
    [() => data.randomSplit(dataset, [3, 2]), "integers must add up to 4, fractions to 1, got 5"],
    [() => data.randomSplit(dataset, [0.5, 0.4]), "got 0.9"],
    [() => data.randomSplit(dataset, [-1, 5]), "Cannot split off -1 samples"],
  ];
  for (const [make, message] of bad) assertThrows(make, RangeError, message);
  assertThrows(() => new data.ConcatDataset([new SlowStream() as never]), TypeError, "an IterableDataset has none");
  await assertRejects(
    () => read(load({ sampler: [0, 4] })()),
    RangeError,
    "Cannot load sample 4: the data set has 4 samples",
  );
  await assertRejects(() => read(load({ batchSampler: [[0], [-1]] })()), RangeError, "Cannot load sample -1");
});
