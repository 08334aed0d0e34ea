import { assert, assertEquals } from "@std/assert";
import { philoxWords } from "../../src/core/philox.ts";
import { PhiloxSource } from "../../src/data/random_order.ts";
import { batches } from "../../src/data/sampler.ts";
import { shardBatches } from "../../src/data/shard.ts";

const permutation = (count: number, seed: number, epoch: number): number[] =>
  new PhiloxSource(seed, epoch).randperm(count);

function shard(count: number, batchSize: number, dropLast: boolean, rank: number): number[][] {
  const order = Array.from({ length: count }, (_, i) => i);
  return shardBatches(batches(order, batchSize, dropLast), batchSize, dropLast, { rank, worldSize: 2 });
}

// The reference's values with even_batches, two processes (Accelerate 1.15): count, batch size, dropLast, rank 0, rank 1.
const CASES: [string, number, boolean, number[][], number[][]][] = [
  ["24", 24, false, [[0, 1, 2], [6, 7, 8], [12, 13, 14], [18, 19, 20]], [[3, 4, 5], [9, 10, 11], [15, 16, 17], [
    21,
    22,
    23,
  ]]],
  ["21", 21, false, [[0, 1, 2], [6, 7, 8], [12, 13, 14], [18, 19, 20]], [[3, 4, 5], [9, 10, 11], [15, 16, 17], [
    0,
    1,
    2,
  ]]],
  ["21, dropped", 21, true, [[0, 1, 2], [6, 7, 8], [12, 13, 14]], [[3, 4, 5], [9, 10, 11], [15, 16, 17]]],
  ["22", 22, false, [[0, 1, 2], [6, 7, 8], [12, 13, 14], [18, 19, 20]], [[3, 4, 5], [9, 10, 11], [15, 16, 17], [
    21,
    0,
    1,
  ]]],
  ["20", 20, false, [[0, 1, 2], [6, 7, 8], [12, 13, 14], [18, 19, 0]], [[3, 4, 5], [9, 10, 11], [15, 16, 17], [
    1,
    2,
    3,
  ]]],
  ["22, dropped", 22, true, [[0, 1, 2], [6, 7, 8], [12, 13, 14]], [[3, 4, 5], [9, 10, 11], [15, 16, 17]]],
  ["20, dropped", 20, true, [[0, 1, 2], [6, 7, 8], [12, 13, 14]], [[3, 4, 5], [9, 10, 11], [15, 16, 17]]],
  ["2", 2, false, [[0, 1, 0]], [[1, 0, 1]]],
  ["2, dropped", 2, true, [], []],
];

for (const [name, count, dropLast, rank0, rank1] of CASES) {
  Deno.test(`shardBatches() of ${name} samples in batches of 3 is Accelerate's`, () => {
    assertEquals(shard(count, 3, dropLast, 0), rank0);
    assertEquals(shard(count, 3, dropLast, 1), rank1);
  });
}

Deno.test("philoxWords() gives the known answers of the paper's reference for key and counter zero and all ones", () => {
  assertEquals(philoxWords(0, 0, 0).map((word) => word.toString(16)), ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
});

Deno.test("PhiloxSource.randperm() holds every index once and differs by seed and epoch", () => {
  const order = permutation(1000, 5, 0);
  assertEquals([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
  assertEquals(permutation(1000, 5, 0), order);
  assert(permutation(1000, 5, 1).join() !== order.join());
  assert(permutation(1000, 6, 0).join() !== order.join());
});
