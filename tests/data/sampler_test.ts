import { assert, assertEquals } from "@std/assert";
import { philoxWords } from "../../src/core/philox.ts";
import { PhiloxSource } from "../../src/data/random_order.ts";

const permutation = (count: number, seed: number, epoch: number): number[] =>
  new PhiloxSource(seed, epoch).randperm(count);

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
