// The largest batch that fits: row ME-1 of Accelerate's behaviour.
import { assertEquals, assertRejects } from "@std/assert";
import { Accelerator, findExecutableBatchSize, OutOfMemoryError } from "../../mod.ts";
import { isOutOfMemory } from "../../src/accelerator/batch_size.ts";
import { shownOn } from "../_support/ranks.ts";
import "../_support/on_cpu.ts";

const noMemory = (): OutOfMemoryError => new OutOfMemoryError("no memory", { symbol: "ax_storage_create", code: 1 });

Deno.test("ME-1: sizes from 128 to 8, with the function's result", async () => {
  const tried: number[] = [];
  const result = await findExecutableBatchSize(async (batchSize) => {
    tried.push(batchSize);
    await Promise.resolve();
    if (batchSize > 8) throw noMemory();
    return `fits ${batchSize}`;
  });
  assertEquals(result, "fits 8");
  const expected = [128, 115, 103, 92, 82, 73, 65, 58, 52, 46, 41, 36, 32, 28, 25, 22, 19, 17, 15, 13, 11, 9, 8];
  assertEquals(tried, expected);
});

Deno.test("ME-1: nothing fits, start at 0, other errors, and a rule of one's own", async () => {
  const tried: number[] = [];
  const fail = (batchSize: number): never => {
    tried.push(batchSize);
    throw new Error("wrapped", { cause: noMemory() });
  };
  await assertRejects(() => findExecutableBatchSize(fail, { starting: 16 }), Error, "reached zero");
  assertEquals(tried, [16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  await assertRejects(() => findExecutableBatchSize(fail, { starting: 0 }), Error, "reached zero");
  await assertRejects(
    () => findExecutableBatchSize(() => Promise.reject(new SyntaxError("oops"))),
    SyntaxError,
    "oops",
  );
  tried.length = 0;
  await assertRejects(() => findExecutableBatchSize(fail, { starting: 12, reduce: (n) => n >> 1 }), Error, "zero");
  assertEquals(tried, [12, 6, 3, 1]);
  await assertRejects(() => findExecutableBatchSize(fail, { starting: 12, reduce: (n) => n }), RangeError, "smaller");
  await assertRejects(() => findExecutableBatchSize(fail, { starting: 1.5 }), RangeError, "non-negative integer");
  assertEquals(isOutOfMemory(new RangeError("Array buffer allocation failed")), true);
  assertEquals(isOutOfMemory(new RangeError("index")), false);
  assertEquals(await new Accelerator({ cpu: true }).findExecutableBatchSize((size) => size), 128);
});

Deno.test("ME-1: ranks agree, also when one of them has no memory left in the middle of a step of all", async () => {
  const shown = await shownOn(
    3,
    `
    const accelerator = new Accelerator();
    const r = accelerator.processIndex;
    const tried = [];
    const found = await findExecutableBatchSize(async (batchSize) => {
      await accelerator.freeMemory();
      tried.push(batchSize);
      const model = new nn.Linear(1, 1);
      await accelerator.prepare(model);
      await accelerator.reduce(tensor([1]));
      if (batchSize > 100 + 2 * r) throw new OutOfMemoryError("no memory", { symbol: "x", code: 1 });
      // The others wait here for the rank that has failed.
      accelerator.backward(model.forward(tensor([[batchSize]])).sum());
      return model.weight.grad.item();
    }, { accelerator });
    show([tried, found, await accelerator.gather(tensor([r]))]);
    try { findExecutableBatchSize(() => 1); } catch (error) { show(error.message); }
    const error = await findExecutableBatchSize(async () => {
      if (r === 1) throw new TypeError("wrong");
      await accelerator.reduce(tensor([1]));
    }, { accelerator }).catch((error) => error);
    show(error.name + ": " + error.message);
    // Rank 1 has left the collectives for good.
    Deno.exit(0);
  `,
  );
  shown.forEach((own, rank) => {
    assertEquals(own, [
      [[128, 115, 103, 92], 92, [0, 1, 2]],
      "Cannot find a batch size on 3 ranks that know nothing of each other: pass { accelerator }",
      rank === 1
        ? "TypeError: wrong"
        : "CollectiveError: Cannot find a batch size: process 1 failed with TypeError: wrong",
    ]);
  });
});
