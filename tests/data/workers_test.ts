import { assert, assertEquals, assertRejects } from "@std/assert";
import { data, memoryStats, type Tensor } from "../../mod.ts";
import { waitUntil } from "../_support/processes.ts";
import type Squares from "./_support/squares.ts";

const MODULE = new URL("./_support/squares.ts", import.meta.url);
type Square = Squares extends data.Dataset<infer Sample> ? Sample : never;

async function squares(length: number, fault = -1): Promise<data.Dataset<Square>> {
  return await data.datasetFromModule<Square>(MODULE, { args: [length, fault] });
}

/** Threads of this process: a worker is one. */
function threads(): number {
  return [...Deno.readDirSync("/proc/self/task")].length;
}

async function indices(loader: data.DataLoader<Square>): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const { square, index, name } of loader) {
    assertEquals([square.dtype, index.dtype], ["float32", "int64"]);
    assertEquals(square.toArray(), (index.toArray() as number[]).map(Number).map((i) => [i, i * i]));
    assertEquals(name, (index.toArray() as number[]).map((i) => `s${i}`));
    seen.push(...(index.toArray() as number[]).map(Number));
  }
  return seen;
}

Deno.test("workers give what this thread gives, in the same order, however many they are", async () => {
  const dataset = await squares(11);
  const options = { batchSize: 3, shuffle: true, seed: 5 };
  const expected = await indices(new data.DataLoader(dataset, options));
  for (const numWorkers of [1, 3]) {
    assertEquals(await indices(new data.DataLoader(dataset, { ...options, numWorkers })), expected);
  }
});

Deno.test("workers read a Subset, whole batches are collated by a function of the user's here, functions make data sets", async () => {
  const dataset = await data.datasetFromModule<Square>(MODULE, { export: "makeSquares", args: [{ count: 9 }] });
  const subset = new data.Subset(new data.Subset(dataset, [8, 6, 4, 2]), [3, 0, 1]);
  assertEquals(await indices(new data.DataLoader(subset, { batchSize: 2, numWorkers: 2 })), [2, 8, 6]);
  const collate = (samples: Square[]): number => samples.reduce((sum, { square }) => sum + square.sum().item(), 0);
  const sums: unknown[] = [];
  for await (const sum of new data.DataLoader<Square, number>(subset, { batchSize: 3, collate, numWorkers: 1 })) {
    sums.push(sum);
  }
  assertEquals(sums, [2 + 4 + 8 + 64 + 6 + 36]);
});

Deno.test("an error of get() comes at its batch with its name and message, and the workers end", async () => {
  const dataset = await squares(10, 5);
  const before = threads();
  const seen: number[] = [];
  const error = await assertRejects(
    async () => {
      for await (const { index } of new data.DataLoader(dataset, { batchSize: 2, numWorkers: 2 })) {
        seen.push(...(index.toArray() as number[]));
      }
    },
    Error,
    "sample 5 is broken",
  );
  assertEquals([error.name, seen.map(Number)], ["TypeError", [0, 1, 2, 3]]);
  assert(error.stack!.includes("squares.ts"), "the stack is that of the worker");
  await waitUntil(() => threads() <= before, () => `${threads()} threads, ${before} before`);
});

Deno.test("random numbers of a worker depend on seed, epoch and sample alone", async () => {
  const dataset = await data.datasetFromModule<Tensor>(MODULE, { export: "Noise" });
  const read = async (numWorkers: number, seed: number, epoch: number, batchSize: number): Promise<unknown[]> => {
    const loader = new data.DataLoader(dataset, { batchSize, numWorkers, seed });
    loader.setEpoch(epoch);
    const seen: unknown[] = [];
    for await (const x of loader) seen.push(...(x as Tensor).toArray() as unknown[]);
    return seen;
  };
  const noise = await read(1, 1, 0, 3);
  assertEquals(noise.length, 12);
  assertEquals(new Set(noise.map(String)).size, 12);
  assertEquals(await read(3, 1, 0, 4), noise);
  assert(String(await read(1, 1, 1, 3)) !== String(noise));
  assert(String(await read(1, 2, 0, 3)) !== String(noise));
});

Deno.test("leaving the loop, or never finishing it, leaks no worker and no tensor", async () => {
  const dataset = await squares(40);
  const before = threads();
  for (let round = 0; round < 3; round++) {
    for await (const _ of new data.DataLoader(dataset, { batchSize: 2, numWorkers: 2, prefetchFactor: 4 })) break;
  }
  await waitUntil(() => threads() <= before, () => `${threads()} threads, ${before} before`);
  const live = memoryStats().liveStorages;
  for await (const _ of new data.DataLoader(dataset, { batchSize: 2, numWorkers: 2 })) void 0;
  await waitUntil(() => threads() <= before, () => `${threads()} threads, ${before} before`);
  // Those that lived before may be collected meanwhile.
  assert(memoryStats().liveStorages <= live, `${memoryStats().liveStorages} storages, ${live} before`);
});

Deno.test("persistent workers make every epoch, and close() ends them", async () => {
  const before = threads();
  const loader = new data.DataLoader(await squares(6), { batchSize: 2, numWorkers: 2, persistentWorkers: true });
  assertEquals(await indices(loader), [0, 1, 2, 3, 4, 5]);
  const during = threads();
  assert(during > before);
  assertEquals(await indices(loader), [0, 1, 2, 3, 4, 5]);
  assertEquals(threads(), during);
  await loader.close();
  await waitUntil(() => threads() <= before, () => `${threads()} threads, ${before} before`);
});

Deno.test("a program that forgets persistent workers, or an iteration with workers, still ends", async () => {
  const mod = new URL("../../mod.ts", import.meta.url);
  const script = `
    import { data } from "${mod}";
    const dataset = await data.datasetFromModule("${MODULE}", { args: [20] });
    const kept = new data.DataLoader(dataset, { batchSize: 2, numWorkers: 1, persistentWorkers: true });
    for await (const _ of kept) break;
    const forgotten = new data.DataLoader(dataset, { batchSize: 2, numWorkers: 1 })[Symbol.asyncIterator]();
    await forgotten.next();
    console.log("end of the script");
  `;
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, script);
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", path],
      signal: AbortSignal.timeout(60_000),
    });
    const { code, stdout, stderr } = await command.output();
    assertEquals([code, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)], [
      0,
      "end of the script\n",
      "",
    ]);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a data set that fails in a worker, or that is none, is an error with its reason", async () => {
  const dataset = await data.datasetFromModule<Square>(MODULE, { export: "failsInWorker" });
  Deno.env.set("SQUARES_FAIL", "1");
  try {
    const loader = new data.DataLoader(dataset, { numWorkers: 1 });
    await assertRejects(() => indices(loader), Error, "no such folder");
  } finally {
    Deno.env.delete("SQUARES_FAIL");
  }
  const make = (name: string) => () => data.datasetFromModule(MODULE, { export: name });
  await assertRejects(make("notADataset"), TypeError, 'its export "notADataset" must be a Dataset class or a function');
  await assertRejects(make("givesNothing"), TypeError, 'its export "givesNothing" did not give a Dataset');
});
