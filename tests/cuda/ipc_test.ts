/**
 * The protocol of the collectives over mapped memory, with the ranks of one process: emulated blocks are held back at random, so that
 * ranks get as far ahead of each other as the protocol lets them.
 */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AX } from "../../ffi/constants.ts";
import { cudaCount, device } from "../../src/core/device.ts";
import { availableGpus } from "../../src/core/gpus.ts";
import type { DType } from "../../src/core/dtype.ts";
import { CollectiveError } from "../../src/core/errors.ts";
import { createCommunicator } from "../../src/distributed/native_group.ts";
import { readDistributedEnvironment } from "../../src/distributed/environment.ts";
import { type Tensor, tensor, tidy, zeros } from "../../mod.ts";
import { LocalRanks, uniqueName } from "../_support/local_ranks.ts";

const isPossible = availableGpus() > 0 && cudaCount() > 0;
const note = isPossible ? "" : " (skipped: no GPU, and ACCELERATE_CUDA_LIBRARY names no emulated one)";

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name: `${name}${note}`, ignore: !isPossible, fn: run });
}

/** Deterministic numbers in [0, 1). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

const INTEGERS = new Set<DType>(["int32", "int64"]);
const DTYPES: readonly DType[] = ["float32", "float64", "bfloat16", "float16", "int32", "int64"];

/** Small whole numbers: sums of a few of them, halved, are exact in every dtype. */
const valueAt = (rank: number, i: number): number => (i * 7 + rank * 13) % 23 - 11;

for (const count of [2, 3, 5]) {
  test(`${count} ranks: random collectives in flight one after the other give what they should, on all ranks`, async () => {
    using ranks = await LocalRanks.join(count);
    const random = generator(count);
    for (let round = 0; round < 80 / count; round++) {
      tidy(() => {
        // Several are enqueued before anything runs: a fast rank may be in the last of them while a slow one is in the first.
        const checks = Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
          const dtype = DTYPES[Math.floor(random() * DTYPES.length)], offset = Math.floor(random() * 4);
          const size = 1 + Math.floor(random() < 0.1 ? random() * 200_000 : 10 ** (random() * 3.5));
          const all = (length: number): Tensor[] =>
            Array.from(
              { length: count },
              (_, rank) =>
                tensor(Array.from({ length: length + offset }, (_, i) => valueAt(rank, i - offset)), {
                  dtype,
                  device: "cuda",
                }).narrow(0, offset, length),
            );
          const kind = Math.floor(random() * 4);
          const op = Math.floor(random() * 3);
          const scale = INTEGERS.has(dtype) ? 1 : 0.5;
          const each = Array.from({ length: count }, (_, rank) => rank);
          const expected = (i: number): number => {
            const values = each.map((rank) => valueAt(rank, i));
            return scale *
              (op === 0 ? values.reduce((a, b) => a + b) : op === 1 ? Math.max(...values) : Math.min(...values));
          };
          if (kind === 0) {
            const values = all(size);
            ranks.allReduce(values, op, scale);
            return () => each.forEach((rank) => assertSame(values[rank], size, expected));
          }
          if (kind === 1) {
            const values = all(size * count);
            const outs = each.map(() => zeros([size], { dtype, device: "cuda" }));
            ranks.reduceScatter(outs, values, op, scale);
            return () => each.forEach((rank) => assertSame(outs[rank], size, (i) => expected(rank * size + i)));
          }
          const values = all(size);
          if (kind === 2) {
            const root = Math.floor(random() * count);
            ranks.broadcast(values, root);
            return () => each.forEach((rank) => assertSame(values[rank], size, (i) => valueAt(root, i)));
          }
          const outs = each.map(() => zeros([count * size], { dtype, device: "cuda" }));
          ranks.allGather(outs, values);
          return () =>
            each.forEach((rank) =>
              assertSame(outs[rank], count * size, (i) => valueAt(Math.floor(i / size), i % size))
            );
        });
        ranks.finish();
        for (const check of checks) check();
      });
    }
  });
}

function assertSame(values: Tensor, size: number, expected: (i: number) => number): void {
  const actual = Array.from(values.to({ dtype: "float64" }).data(), Number);
  assertEquals(actual.length, size);
  const wrong = actual.findIndex((value, i) => !Object.is(value + 0, expected(i) + 0));
  assertEquals(wrong < 0 ? "" : `element ${wrong} is ${actual[wrong]}, want ${expected(wrong)}`, "");
}

test("sums of arbitrary values are bitwise equal on all ranks, and a NaN comes through", async () => {
  using ranks = await LocalRanks.join(3);
  for (const size of [1000, 400_000]) {
    tidy(() => {
      const values = [0, 1, 2].map((rank) =>
        tensor(
          Float32Array.from({ length: size }, (_, i) => i === 77 && rank === 1 ? NaN : Math.sin(i * (rank + 0.3))),
          {
            device: "cuda",
          },
        )
      );
      ranks.allReduce(values, AX.COMM_SUM, 1 / 3);
      ranks.finish();
      const [first, ...others] = values.map((value) =>
        new Uint32Array((value.data() as Float32Array<ArrayBuffer>).slice().buffer)
      );
      for (const other of others) assertEquals(other, first);
      const sum = [0, 1, 2].map((rank) => Math.fround(Math.sin(5 * (rank + 0.3)))).reduce((a, b) => Math.fround(a + b));
      const result = values[0].data();
      assertEquals([result[5], result[77]], [Math.fround(sum * Math.fround(1 / 3)), NaN]);
    });
  }
});

test("a kernel whose peer does not come gives up at the time limit, and says who", async () => {
  using ranks = await LocalRanks.join(3, 500);
  const value = tensor([1, 2], { device: "cuda" });
  const start = (comm: number): number =>
    ranks.library.ax_comm_all_reduce(comm, AX.COMM_SUM, AX.FLOAT32, value.storage.id, 0, 2, 1);
  ranks.start(start, [0, 2].values());
  ranks.finish();
  const error = assertThrows(() => value.toArray(), CollectiveError, "waited 500 ms for rank 1");
  assertEquals(error.rank, 1);
  // The communicator is of no use from here on.
  assertThrows(() => ranks.start(start), CollectiveError, "rank 1");
});

test("joining with ranks that are missing ends at the time limit and names one", async () => {
  const environment = { ...readDistributedEnvironment(() => undefined), rank: 0, worldSize: 2 };
  const options = { backend: AX.COMM_IPC, name: uniqueName(), timeoutMs: 200 };
  const error = await assertRejects(
    () => createCommunicator(environment, device("cuda"), options),
    CollectiveError,
    "rank 1 did not join",
  );
  assertEquals(error.rank, 1);
});
