import { assert, assertEquals, assertThrows } from "@std/assert";
import { data, DTypeError, ReleasedError, ShapeError, type Tensor, tensor } from "../../mod.ts";
import { cpuDevice } from "../../src/core/device.ts";
import { currentScope } from "../../src/core/scope.ts";
import { readMemoryStats } from "../../src/core/memory.ts";

class Records extends data.Dataset<{ x: Tensor; label: number; name: string }> {
  override readonly length = 5;
  override get(index: number): { x: Tensor; label: number; name: string } {
    return { x: tensor([index, 10 * index]), label: index, name: `n${index}` };
  }
}

class Numbers extends data.IterableDataset<number> {
  override *[Symbol.iterator](): Generator<number> {
    yield* [0.5, 1.5, 2.5];
  }
}

const numbers = (count: number): Tensor => tensor(Array.from({ length: count }, (_, i) => i), { dtype: "float32" });

Deno.test("DataLoader yields every sample once, in order, and a shorter last batch", async () => {
  const seen: unknown[] = [];
  const loader = new data.DataLoader(new data.TensorDataset(numbers(5)), { batchSize: 2 });
  for await (const [x] of loader) seen.push(x.toArray());
  assertEquals(seen, [[0, 1], [2, 3], [4]]);
  assertEquals(loader.length, 3);
});

Deno.test("DataLoader with dropLast leaves the shorter batch out", async () => {
  const loader = new data.DataLoader(new data.TensorDataset(numbers(5)), { batchSize: 2, dropLast: true });
  let count = 0;
  for await (const [x] of loader) count += x.length;
  assertEquals([count, loader.length], [4, 2]);
});

Deno.test("DataLoader with shuffle has another order each epoch, and setEpoch repeats one", async () => {
  const loader = new data.DataLoader(new data.TensorDataset(numbers(50)), { batchSize: 50, shuffle: true, seed: 1 });
  const epoch = async (): Promise<string> => {
    for await (const [x] of loader) return String(x.toArray());
    return "";
  };
  const [first, second] = [await epoch(), await epoch()];
  assert(first !== second);
  loader.setEpoch(0);
  assertEquals(await epoch(), first);
  assertEquals(first.split(",").map(Number).sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("DataLoader collates records of tensors, numbers and strings", async () => {
  const batches: unknown[] = [];
  for await (const { x, label, name } of new data.DataLoader(new Records(), { batchSize: 3 })) {
    assertEquals(label.dtype, "int64");
    batches.push([x.toArray(), label.toArray(), name]);
  }
  assertEquals(batches, [[[[0, 0], [1, 10], [2, 20]], [0, 1, 2], ["n0", "n1", "n2"]], [[[3, 30], [4, 40]], [3, 4], [
    "n3",
    "n4",
  ]]]);
});

Deno.test("DataLoader reads an IterableDataset", async () => {
  const seen: unknown[] = [];
  for await (const x of new data.DataLoader(new Numbers(), { batchSize: 2 })) seen.push(x.toArray());
  assertEquals(seen, [[0.5, 1.5], [2.5]]);
});

Deno.test("an iteration of DataLoader releases what it made, except scalars and kept tensors", async () => {
  const loader = new data.DataLoader(new data.TensorDataset(numbers(60)), { batchSize: 2 });
  const scalars: Tensor[] = [];
  let kept: Tensor | undefined;
  let temporary: Tensor | undefined;
  let before = 0;
  for await (const [x] of loader) {
    temporary = x.mul(2).add(1);
    scalars.push(temporary.sum());
    kept ??= x.clone().keep();
    if (scalars.length === 2) before = readMemoryStats(cpuDevice()).liveStorages;
    if (scalars.length === 29) assertEquals(readMemoryStats(cpuDevice()).liveStorages, before);
  }
  assertEquals(scalars[0].item(), 4);
  assertEquals(kept!.toArray(), [0, 1]);
  assertThrows(() => temporary!.item(), ReleasedError, "the end of the training step");
  kept!.dispose();
});

Deno.test("DataLoader refuses batches of 0 and empty data sets", () => {
  const dataset = new data.TensorDataset(numbers(2));
  assertThrows(
    () => new data.DataLoader(dataset, { batchSize: 0 }),
    RangeError,
    "batchSize must be a positive integer",
  );
  assertThrows(() => new data.DataLoader(new data.TensorDataset(numbers(0))), RangeError, "the data set is empty");
  assertThrows(() => new data.TensorDataset(numbers(2), numbers(3)), ShapeError, "first sizes must be equal");
  assertThrows(() => data.collate([null]), DTypeError, "give the DataLoader a collate function");
});

Deno.test("an IterableDataset is sharded: each rank keeps its slice of every round, and the last round is filled from the first", async () => {
  class Ten extends data.IterableDataset<number> {
    override async *[Symbol.asyncIterator](): AsyncGenerator<number> {
      for (let i = 0; i < 10; i++) yield await Promise.resolve(i + 0.5);
    }
  }
  const read = async (rank: number, dropLast: boolean): Promise<unknown[]> => {
    const loader = new data.DataLoader(new Ten(), { batchSize: 2, dropLast });
    loader.prepare({ rank, worldSize: 3 }, cpuDevice());
    const seen: unknown[] = [];
    for await (const x of loader) seen.push((x as Tensor).toArray());
    return seen;
  };
  assertEquals(await read(0, false), [[0.5, 1.5], [6.5, 7.5]]);
  assertEquals(await read(1, false), [[2.5, 3.5], [8.5, 9.5]]);
  assertEquals(await read(2, false), [[4.5, 5.5], [0.5, 1.5]]);
  assertEquals(await read(2, true), [[4.5, 5.5]]);
});

Deno.test("breaking out of a loop ends its scope", async () => {
  const loader = new data.DataLoader(new data.TensorDataset(numbers(20)), { batchSize: 2 });
  const before = readMemoryStats(cpuDevice()).liveStorages;
  for await (const [x] of loader) {
    x.add(1);
    break;
  }
  assertEquals(currentScope(), undefined);
  // Garbage of earlier tests may be collected meanwhile.
  assert(readMemoryStats(cpuDevice()).liveStorages <= before);
});
