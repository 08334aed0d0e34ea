import { assertEquals, assertThrows } from "@std/assert";
import { arange, data } from "../../mod.ts";
import golden from "../golden/random.json" with { type: "json" };

const SEEDS: (number | bigint)[] = [0, 1, 42, 12345, 2 ** 32 - 1, 2 ** 32 + 5, 2 ** 53 - 1, -1];

Deno.test("TorchGenerator.randperm() is torch.randperm to the last index", () => {
  assertEquals(golden.permutations.length, 64);
  for (const { n, seed, head, digest } of golden.permutations) {
    const order = new data.TorchGenerator(seed).randperm(n);
    assertEquals(order.length, n);
    assertEquals(order.slice(0, 12), head, `n ${n}, seed ${seed}`);
    assertEquals(order.reduce((h, v) => (Math.imul(h, 31) + v) >>> 0, 0), digest, `n ${n}, seed ${seed}`);
  }
});

Deno.test("TorchGenerator gives torch's words, integers and uniform numbers", () => {
  const generator = new data.TorchGenerator();
  assertEquals(generator.random(), 2357136044); // the first word of MT19937 with seed 0
  SEEDS.forEach((seed, i) => {
    const word = generator.manualSeed(seed).random64() & (1n << 63n) - 1n;
    assertEquals(String(word), golden.int64[i]);
  });
  generator.manualSeed(42);
  assertEquals(golden.float32.map(() => generator.uniformFloat32()), golden.float32);
  generator.manualSeed(42);
  assertEquals(golden.float64.map(() => generator.uniform()), golden.float64);
  for (const [high, last] of Object.entries(golden.randint)) {
    assertEquals(generator.manualSeed(3).randint(Number(high), 700).slice(-4), last, high);
  }
  assertEquals(
    new data.TorchGenerator(2n ** 64n - 1n).randperm(6),
    new data.TorchGenerator(-1).randperm(6),
  );
  assertThrows(() => new data.TorchGenerator(0.5), RangeError, "the seed must be an integer");
});

for (const { n, batch, drop, epochs } of golden.loaders) {
  Deno.test(`DataLoader with order torch has the batches of PyTorch's (${n} samples by ${batch}${drop ? ", dropped" : ""})`, async () => {
    const options = { batchSize: batch, dropLast: drop, shuffle: true, seed: 7, order: "torch" as const };
    const loader = new data.DataLoader(new data.TensorDataset(arange(n)), options);
    const epoch = async (): Promise<unknown[]> => {
      const seen: unknown[] = [];
      for await (const [x] of loader) seen.push(x.toArray());
      return seen;
    };
    for (const expected of epochs) assertEquals(await epoch(), expected);
    loader.setEpoch(1);
    assertEquals(await epoch(), epochs[1]);
    loader.setEpoch(3);
    assertEquals(await epoch(), epochs[3]);
  });
}

Deno.test("DataLoader with order accelerate has the order of SeedableRandomSampler", async () => {
  const loader = new data.DataLoader(new data.TensorDataset(arange(8)), {
    batchSize: 8,
    shuffle: true,
    seed: 42,
    order: "accelerate",
  });
  for (const expected of golden.seedable) {
    for await (const [x] of loader) assertEquals(x.toArray(), expected);
  }
  assertEquals(golden.seedable[0], [6, 3, 0, 7, 2, 1, 4, 5]);
});

Deno.test("samplers with order torch draw what PyTorch's draw", () => {
  const nine = { length: 9 };
  const options = { seed: 5, order: "torch" as const };
  const { weights } = golden;
  const samplers: Record<string, data.Sampler> = {
    plain: new data.RandomSampler(nine, options),
    replacement: new data.RandomSampler(nine, { ...options, replacement: true, numSamples: 70 }),
    fewer: new data.RandomSampler(nine, { ...options, numSamples: 4 }),
    more: new data.RandomSampler(nine, { ...options, numSamples: 25 }),
    subset: new data.SubsetRandomSampler([3, 1, 4, 15, 9, 2], options),
    weighted: new data.WeightedRandomSampler(weights, 40, options),
    weightedOne: new data.WeightedRandomSampler(weights, 1, options),
    weightedOnce: new data.WeightedRandomSampler(weights, 5, { ...options, replacement: false }),
  };
  assertEquals(Object.keys(samplers).sort(), Object.keys(golden.samplers).sort());
  for (const [name, epochs] of Object.entries(golden.samplers)) {
    assertEquals(epochs.map(() => [...samplers[name]]), epochs, name);
    samplers[name].setEpoch!(1);
    assertEquals([...samplers[name]], epochs[1], name);
    assertEquals(samplers[name].length, epochs[0].length);
  }
});

Deno.test("randomSplit() with order torch is torch's random_split", () => {
  for (const { n, lengths, parts } of golden.splits) {
    const split = data.randomSplit(new data.TensorDataset(arange(n)), lengths, { seed: 3, order: "torch" });
    assertEquals(split.map(({ indices }) => [...indices]), parts);
  }
});
