import { assert, assertEquals, assertThrows } from "@std/assert";
import { arange, data, type Tensor } from "../../mod.ts";

type Loader = data.DataLoader<Tensor[]>;

class Counting extends data.IterableDataset<Tensor[]> {
  override *[Symbol.iterator](): Generator<Tensor[]> {
    for (let i = 0; i < 13; i++) yield [arange(1).add(i).squeeze(0)];
  }
}

const KINDS: [string, () => Loader][] = [
  ["shuffled", () => new data.DataLoader(new data.TensorDataset(arange(8)), { batchSize: 2, shuffle: true, seed: 4 })],
  [
    "shuffled with prefetch",
    () => new data.DataLoader(new data.TensorDataset(arange(9)), { batchSize: 2, shuffle: true, seed: 4, prefetch: 3 }),
  ],
  [
    "torch's order",
    () =>
      new data.DataLoader(new data.TensorDataset(arange(9)), { batchSize: 2, shuffle: true, seed: 4, order: "torch" }),
  ],
  [
    "a random sampler",
    () => {
      const sampler = new data.RandomSampler({ length: 9 }, { seed: 2 });
      return new data.DataLoader(new data.TensorDataset(arange(9)), { batchSize: 2, sampler });
    },
  ],
  [
    "batches of any size",
    () =>
      new data.DataLoader(new data.TensorDataset(arange(9)), { batchSampler: [[0], [1, 2], [3, 4, 5], [6], [7, 8]] }),
  ],
  ["a stream", () => new data.DataLoader(new Counting(), { batchSize: 2 })],
];

function ranksOf(make: () => Loader, worldSize: number): Loader[] {
  return Array.from({ length: worldSize }, (_, rank) => {
    const loader = make();
    loader.prepare({ rank, worldSize }, undefined);
    return loader;
  });
}

/** The batches of an epoch, at most so many of them. */
async function read(loader: Loader, most = Infinity): Promise<number[][]> {
  const seen: number[][] = [];
  for await (const [x] of loader) {
    seen.push(Array.from(x.data(), Number));
    if (seen.length === most) break;
  }
  return seen;
}

// B1, B2, B3: resuming in the middle of a shuffled epoch, then the following epochs.
for (const [kind, make] of KINDS) {
  for (const worldSize of [1, 2, 3]) {
    Deno.test(`DL-33, B1, B2, B3: ${kind}, ${worldSize} ranks: what follows a resume is what would have followed`, async () => {
      for (let rank = 0; rank < worldSize; rank++) {
        const [whole, first, second] = [0, 1, 2].map(() => ranksOf(make, worldSize)[rank]);
        const epochs: number[][][] = [];
        for (let epoch = 0; epoch < 4; epoch++) epochs.push(await read(whole));
        await read(first);
        assert(epochs[1].length >= 2);
        const stop = 1;
        let state = "";
        let batches = 0;
        for await (const _ of first) {
          if (++batches < stop) continue;
          state = JSON.stringify(first.stateDict());
          break;
        }
        // After the loop was left, the state is the same.
        assertEquals(JSON.stringify(first.stateDict()), state);
        second.loadStateDict(JSON.parse(state));
        assertEquals(JSON.stringify(second.stateDict()), state);
        assertEquals(await read(second), epochs[1].slice(stop));
        assertEquals([await read(second), await read(second)], epochs.slice(2));
      }
    });
  }
}

Deno.test("DL-33: another number of ranks goes on after exactly the samples that were taken", async () => {
  const make = KINDS[1][1];
  const two = ranksOf(make, 2);
  const taken: number[] = [];
  let state: data.DataLoaderState | undefined;
  for (const loader of two) {
    taken.push(...(await read(loader, 1)).flat());
    if (state !== undefined) assertEquals(loader.stateDict(), state, "the ranks have one state");
    state = loader.stateDict();
  }
  for (const worldSize of [1, 3]) {
    const rest = new Set<number>();
    for (const loader of ranksOf(make, worldSize)) {
      loader.loadStateDict(state!);
      for (const value of (await read(loader)).flat()) rest.add(value);
    }
    assertEquals([...taken, ...rest].filter((value, i, all) => all.indexOf(value) === i).length, 9);
    if (worldSize === 1) assertEquals(rest.size, 5);
  }
});

Deno.test("DL-32: a state that was saved after the third batch goes on with the fourth, also at an epoch's last batch", async () => {
  const [loader, again] = [KINDS[0][1](), KINDS[0][1]()];
  const all = await read(loader);
  const next = await read(loader);
  for (const after of [3, 4]) {
    const saved = KINDS[0][1]();
    await read(saved, after);
    again.loadStateDict(saved.stateDict());
    assertEquals(await read(again), all.slice(after));
    assertEquals(await read(again), next);
  }
});

Deno.test("setEpoch() of the same epoch keeps the position, of another begins it; a finished epoch leads to the next", async () => {
  const make = KINDS[0][1];
  const loader = make();
  const [zero, one] = [await read(loader), await read(loader)];
  const at = { ...make().stateDict(), epoch: 1, position: 4 };
  loader.loadStateDict(at);
  loader.setEpoch(1);
  assertEquals(await read(loader), one.slice(2));
  assertEquals(loader.stateDict(), { ...at, epoch: 2, position: 0 });
  loader.loadStateDict(at);
  loader.setEpoch(0);
  assertEquals(await read(loader), zero);
  // The reference's recipe after loading: the count is absolute.
  loader.loadStateDict(at);
  loader.skipFirstBatches(2);
  assertEquals(await read(loader), one.slice(2));
});

Deno.test("loadStateDict() refuses a position that would mean other samples", () => {
  const state = KINDS[0][1]().stateDict();
  const bad: [Partial<data.DataLoaderState>, string][] = [
    [{ samples: 9 }, "samples is 9, this loader's is 8"],
    [{ order: "shuffle philox 5" }, 'order is "shuffle philox 5"'],
    [{ unit: "batches" }, 'unit is "batches"'],
    [{ epoch: -1 }, "epoch must be a non-negative integer, got -1"],
    [{ position: 0.5 }, "position must be"],
  ];
  for (const [change, message] of bad) {
    assertThrows(() => KINDS[0][1]().loadStateDict({ ...state, ...change }), RangeError, message);
  }
});
