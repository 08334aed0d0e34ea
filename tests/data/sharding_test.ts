// Which samples come to which rank: rows DL-1 to DL-30 of Accelerate's behaviour.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { arange, data, type Tensor } from "../../mod.ts";
import type { Iteration } from "../../src/data/iteration.ts";
import type { Placement } from "../../src/data/data_loader.ts";

type Batches = number[][];

class Counting extends data.IterableDataset<number> {
  readonly count: number;

  constructor(count: number) {
    super();
    this.count = count;
  }

  override *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.count; i++) yield i;
  }
}

/** What a rank reads, and the places that its loader tells. */
async function read(
  loader: data.DataLoader<number | Tensor[]>,
  rank: number,
  worldSize: number,
  placement: Placement = {},
): Promise<{ batches: Batches; last: boolean[]; places: Batches }> {
  const [batches, last, places]: [Batches, boolean[], Batches] = [[], [], []];
  const observer = {
    onBatch(iteration: Iteration): void {
      last.push(iteration.isLast);
      places.push(iteration.places(rank));
    },
    onEnd(): void {},
  };
  loader.prepare({ rank, worldSize }, undefined, { ...placement, observer });
  for await (const batch of loader) {
    const x = Array.isArray(batch) ? batch[0] : batch as Tensor;
    batches.push(Array.from(x.data(), Number));
  }
  return { batches, last, places };
}

interface Case {
  n: number;
  size: number;
  drop?: boolean;
  split?: boolean;
  even?: boolean;
  world?: number;
}

async function share({ n, size, drop = false, split = false, even = true, world = 2 }: Case): Promise<Batches[]> {
  const out: Batches[] = [];
  for (let rank = 0; rank < world; rank++) {
    const dataset = new data.TensorDataset(arange(n));
    const loader = new data.DataLoader<Tensor[]>(dataset, { batchSize: size, dropLast: drop });
    const { batches } = await read(loader as never, rank, world, { splitBatches: split, evenBatches: even });
    assertEquals(loader.length, batches.length, "length counts the batches");
    out.push(batches);
  }
  return out;
}

const THREES: [Batches, Batches] = [[[0, 1, 2], [6, 7, 8], [12, 13, 14], [18, 19, 20]], [[3, 4, 5], [9, 10, 11], [
  15,
  16,
  17,
], [21, 22, 23]]];
const TWOS: [Batches, Batches] = [[[0, 1], [4, 5], [8, 9], [12, 13], [16, 17], [20, 21]], [
  [2, 3],
  [6, 7],
  [10, 11],
  [
    14,
    15,
  ],
  [18, 19],
  [22, 23],
]];
const threes = (last0: number[] | null, last1: number[] | null): Batches[] =>
  [[THREES[0], last0], [THREES[1], last1]].map(([all, last]) => [
    ...(all as Batches).slice(0, 3),
    ...(last === null ? [] : [last as number[]]),
  ]);
const twos = (last0: number[] | null, last1: number[] | null): Batches[] =>
  [[TWOS[0], last0], [TWOS[1], last1]].map(([all, last]) => [
    ...(all as Batches).slice(0, 5),
    ...(last === null ? [] : [last as number[]]),
  ]);

const ROWS: [string, Case, Batches[]][] = [
  ["DL-1", { n: 24, size: 3 }, THREES],
  ["DL-1 dropped", { n: 24, size: 3, drop: true }, THREES],
  ["DL-2", { n: 21, size: 3 }, threes([18, 19, 20], [0, 1, 2])],
  ["DL-3", { n: 21, size: 3, drop: true }, threes(null, null)],
  ["DL-4", { n: 22, size: 3 }, threes([18, 19, 20], [21, 0, 1])],
  ["DL-5", { n: 20, size: 3 }, threes([18, 19, 0], [1, 2, 3])],
  ["DL-6 of 22", { n: 22, size: 3, drop: true }, threes(null, null)],
  ["DL-6 of 20", { n: 20, size: 3, drop: true }, threes(null, null)],
  ["DL-7", { n: 2, size: 3 }, [[[0, 1, 0]], [[1, 0, 1]]]],
  ["DL-8", { n: 2, size: 3, drop: true }, [[], []]],
  ["DL-9", { n: 24, size: 4, split: true }, TWOS],
  ["DL-9 dropped", { n: 24, size: 4, split: true, drop: true }, TWOS],
  ["DL-10", { n: 22, size: 4, split: true }, twos([20, 21], [0, 1])],
  ["DL-11", { n: 21, size: 4, split: true }, twos([20, 0], [1, 2])],
  ["DL-12 of 22", { n: 22, size: 4, split: true, drop: true }, twos(null, null)],
  ["DL-12 of 21", { n: 21, size: 4, split: true, drop: true }, twos(null, null)],
  ["DL-13", { n: 2, size: 4, split: true }, [[[0, 1]], [[0, 1]]]],
  ["DL-14", { n: 21, size: 3, even: false }, threes([18, 19, 20], null)],
  ["DL-15", { n: 22, size: 3, even: false }, threes([18, 19, 20], [21])],
  ["DL-16", { n: 20, size: 3, even: false }, threes([18, 19], null)],
  ["DL-17", { n: 2, size: 3, even: false }, [[[0, 1]], []]],
  ["DL-18", { n: 22, size: 4, split: true, even: false }, twos([20, 21], null)],
  ["DL-19", { n: 21, size: 4, split: true, even: false }, twos([20], null)],
  ["DL-20", { n: 2, size: 4, split: true, even: false }, [[[0, 1]], []]],
];

for (const [id, row, expected] of ROWS) {
  Deno.test(`${id}: ${JSON.stringify(row)} is dealt as Accelerate deals it`, async () => {
    assertEquals(await share(row), expected);
  });
}

async function deal(all: Batches & { dropLast?: boolean }, world: number, even: boolean): Promise<Batches[]> {
  const out: Batches[] = [];
  for (let rank = 0; rank < world; rank++) {
    const loader = new data.DataLoader(new data.TensorDataset(arange(14)), { batchSampler: all });
    const { batches } = await read(loader as never, rank, world, { evenBatches: even });
    assertEquals(loader.length, batches.length);
    out.push(batches);
  }
  return out;
}

const DYNAMIC = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9, 10, 11], [12, 13]];

Deno.test("DL-21: batches of any size are dealt whole, to 2 ranks", async () => {
  const [first, second] = [[DYNAMIC[0], DYNAMIC[2], DYNAMIC[4]], [DYNAMIC[1], DYNAMIC[3]]];
  assertEquals(await deal(DYNAMIC, 2, false), [first, second]);
  assertEquals(await deal(DYNAMIC, 2, true), [first, [...second, [0, 1, 2]]]);
  const dropped = Object.assign([...DYNAMIC], { dropLast: true });
  assertEquals(await deal(dropped, 2, true), [first.slice(0, 2), second]);
  assertEquals(await deal(dropped, 2, false), [first.slice(0, 2), second]);
});

Deno.test("DL-22: batches of any size are dealt whole, to 3 ranks", async () => {
  const all = [[0], [1, 2], [3, 4, 5], [6], [7, 8], [9, 10, 11], [12, 13]];
  assertEquals(await deal(all, 3, true), [[[0], [6], [12, 13]], [[1, 2], [7, 8], [0]], [[3, 4, 5], [9, 10, 11], [
    1,
    2,
  ]]]);
  assertEquals(await deal([[4, 5]], 3, true), [[[4, 5]], [[4, 5]], [[4, 5]]]);
});

Deno.test("DL-23: splitBatches needs a batch size, and a round multiple", () => {
  const dataset = new data.TensorDataset(arange(14));
  const dynamic = new data.DataLoader(dataset, { batchSampler: DYNAMIC });
  const split = { splitBatches: true };
  assertThrows(() => dynamic.prepare({ rank: 0, worldSize: 2 }, undefined, split), RangeError, "splitBatches");
  const odd = new data.DataLoader(dataset, { batchSize: 3 });
  assertThrows(() => odd.prepare({ rank: 0, worldSize: 2 }, undefined, split), RangeError, "round multiple");
});

Deno.test("DL-24: skipFirstBatches() leaves out what was seen, and only once", async () => {
  const loader = new data.DataLoader(new data.TensorDataset(arange(16)), { batchSize: 4 });
  loader.skipFirstBatches(2);
  assertEquals((await read(loader as never, 0, 1)).batches, [[8, 9, 10, 11], [12, 13, 14, 15]]);
  assertEquals((await read(loader as never, 0, 1)).batches.length, 4);
  const stream = new data.DataLoader(new Counting(16), { batchSize: 4 });
  stream.skipFirstBatches(3);
  assertEquals((await read(stream as never, 0, 1)).batches, [[12, 13, 14, 15]]);
  assertThrows(() => loader.skipFirstBatches(-1), RangeError, "non-negative integer");
});

Deno.test("DL-25: the last batch is known while it is used, each time", async () => {
  const flags = [false, false, false, true];
  for (const dataset of [new data.TensorDataset(arange(16)), new Counting(16)]) {
    const loader = new data.DataLoader<never>(dataset as never, { batchSize: 4 });
    for (let pass = 0; pass < 2; pass++) assertEquals((await read(loader as never, 0, 1)).last, flags);
  }
});

Deno.test("DL-26: the ranks' parts of a stream are the stream, completed by its beginning", async () => {
  for (const n of [2, 7, 8, 24, 29]) {
    for (const split of [false, true]) {
      for (const drop of [false, true]) {
        for (const world of [2, 3]) {
          const size = split ? 4 * world : 4;
          const ranks: Batches[] = [];
          for (let rank = 0; rank < world; rank++) {
            const loader = new data.DataLoader(new Counting(n), { batchSize: size, dropLast: drop });
            const { batches, places, last } = await read(loader as never, rank, world, { splitBatches: split });
            assertEquals(places, batches.map((batch, i) => batch.map((value, j) => places[i][j] === -1 ? -1 : value)));
            // A round that is dropped is read too late to know.
            if (batches.length > 0) assertEquals(last, batches.map((_, i) => i === batches.length - 1));
            ranks.push(batches);
          }
          const joined = ranks[0].flatMap((_, round) => ranks.flatMap((batches) => batches[round]));
          const room = 4 * world;
          const want = drop ? Math.floor(n / room) * room : Math.ceil(n / room) * room;
          assertEquals(joined, Array.from({ length: want }, (_, i) => i % n), `${n} ${split} ${drop} ${world}`);
        }
      }
    }
  }
});

Deno.test("DL-27: sizes of the batches with even and uneven batches", async () => {
  const sizes = async (row: Case): Promise<number[][]> =>
    (await share(row)).map((batches) => batches.map(({ length }) => length));
  assertEquals(await sizes({ n: 3, size: 1 }), [[1, 1], [1, 1]]);
  assertEquals(await sizes({ n: 7, size: 2 }), [[2, 2], [2, 2]]);
  assertEquals(await sizes({ n: 3, size: 1, even: false }), [[1, 1], [1]]);
  assertEquals(await sizes({ n: 7, size: 2, even: false }), [[2, 2], [2, 1]]);
});

Deno.test("DL-29: what even batches repeat, and that bookkeeping knows each repetition", async () => {
  const rows: [number, number, number, number, number][] = [
    [9, 2, 4, 7, 2],
    [10, 4, 4, 6, 1],
    [1, 2, 3, 5, 1],
    [1000, 32, 8, 24, 4],
  ];
  for (const [n, size, world, extra, length] of rows) {
    const places: number[] = [];
    for (let rank = 0; rank < world; rank++) {
      const loader = new data.DataLoader(new data.TensorDataset(arange(n)), { batchSize: size });
      const got = await read(loader as never, rank, world);
      assertEquals(got.batches.length, length);
      places.push(...got.places.flat());
    }
    assertEquals(places.filter((place) => place === -1).length, extra);
    const real = places.filter((place) => place !== -1).sort((a, b) => a - b);
    assertEquals(real, Array.from({ length: n }, (_, i) => i), `${n} samples, each at one place`);
  }
});

Deno.test("DL-30: all ranks together hold 0 to n - 1, in order or as a permutation", async () => {
  for (const world of [2, 3]) {
    for (const split of [false, true]) {
      for (const shuffle of [false, true]) {
        const ranks: Batches[] = [];
        const n = 32 * world;
        for (let rank = 0; rank < world; rank++) {
          const batchSize = split ? 8 * world : 8;
          const loader = new data.DataLoader(new data.TensorDataset(arange(n)), { batchSize, shuffle, seed: 3 });
          ranks.push((await read(loader as never, rank, world, { splitBatches: split })).batches);
        }
        const joined = ranks[0].flatMap((_, round) => ranks.flatMap((batches) => batches[round]));
        const numbers = Array.from({ length: n }, (_, i) => i);
        if (shuffle) assert(joined.join() !== numbers.join());
        assertEquals(shuffle ? joined.sort((a, b) => a - b) : joined, numbers);
      }
    }
  }
});

Deno.test("DL-31: a batch sampler of the user's stays reachable, setEpoch reaches it, and strings stay strings", async () => {
  class Own {
    epoch = -1;
    readonly length = 2;
    setEpoch(epoch: number): void {
      this.epoch = epoch;
    }
    *[Symbol.iterator](): Generator<number[]> {
      yield [this.epoch, 0];
      yield [1];
    }
  }
  class Named extends data.Dataset<{ id: number; name: string }> {
    override readonly length = 6;
    override get(index: number): { id: number; name: string } {
      return { id: index, name: `sample ${index}` };
    }
  }
  const batchSampler = new Own();
  const loader = new data.DataLoader(new Named(), { batchSampler });
  loader.prepare({ rank: 0, worldSize: 1 }, undefined);
  assert(loader.batchSampler === batchSampler);
  loader.setEpoch(5);
  const names: string[][] = [];
  for await (const { name } of loader) names.push(name);
  assertEquals(names, [["sample 5", "sample 0"], ["sample 1"]]);
});
