// What ranks say to each other: rows OP-1 to OP-9, SP-1 and PE-1 of Accelerate's behaviour.
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Accelerator, arange, CollectiveError, memoryStats, nn, optim, ShapeError, tensor, zeros } from "../../mod.ts";
import { splitBetween } from "../../src/accelerator/split.ts";
import { runCli, ScriptFolder } from "../_support/processes.ts";
import { onRanks, shownOn } from "../_support/ranks.ts";
import "../_support/on_cpu.ts";

const BEGIN =
  "const accelerator = new Accelerator({ cpu: true }); const r = accelerator.processIndex, W = accelerator.numProcesses;\n";
const END = "\nawait accelerator.end();";
const everywhere = async (world: number, script: string, expected: unknown[]): Promise<void> => {
  for (const shown of await shownOn(world, BEGIN + script + END)) assertEquals(shown, expected);
};

Deno.test("OP-1: gather of tensors, scalars, nested values and what is not contiguous", async () => {
  for (const world of [2, 3]) {
    await everywhere(
      world,
      `
      show(await accelerator.gather(arange(W).add(1 + W * r)));
      show(await accelerator.gather(tensor(r)));
      show(await accelerator.gather({ a: [tensor([r])], b: tensor([[r, 1]]) }));
      show(await accelerator.gather(tensor([[1, 2], [3, 4]]).add(10 * r).transpose(0, 1)));
      try { await accelerator.gather([1, 2]); } catch (error) { show([error instanceof TypeError, error.name]); }
    `,
      [
        Array.from({ length: world * world }, (_, i) => i + 1),
        Array.from({ length: world }, (_, rank) => rank),
        {
          a: [Array.from({ length: world }, (_, rank) => rank)],
          b: Array.from({ length: world }, (_, rank) => [rank, 1]),
        },
        Array.from({ length: world }, (_, rank) => [[1 + 10 * rank, 3 + 10 * rank], [2 + 10 * rank, 4 + 10 * rank]])
          .flat(),
        [true, "DTypeError"],
      ],
    );
  }
});

Deno.test("OP-2, B13: gatherObject joins lists, and keeps a string whole", async () => {
  await everywhere(
    2,
    `
    show(await accelerator.gatherObject([r]));
    show(await accelerator.gatherObject(["r" + r, r]));
    show(await accelerator.gatherObject("ab" + r));
    show(await accelerator.gatherObject({ big: 2n ** 70n, at: new Date(r), set: new Set([r]), t: tensor([r, 0.5]) })
      .then((all) => all.map(({ big, at, set, t }) => [String(big), at.getTime(), [...set], t, t.dtype])));
    show(await accelerator.gatherObject(r === 0 ? [] : [undefined, null]).then((all) => all.map(String)));
    try { await accelerator.gatherObject(() => 1); } catch (error) { show(error.message.includes("could not be cloned")); }
  `,
    [
      [0, 1],
      ["r0", 0, "r1", 1],
      ["ab0", "ab1"],
      [0, 1].map((rank) => ["1180591620717411303424", rank, [rank], [rank, 0.5], "float32"]),
      ["undefined", "null"],
      true,
    ],
  );
});

Deno.test("OP-3, OP-7: broadcast of tensors and objects from any rank", async () => {
  await everywhere(
    2,
    `
    show(await accelerator.broadcast(tensor([r + 1])));
    show(await accelerator.broadcast({ x: tensor([r + 1]) }, 1));
    show(await accelerator.broadcastObject({ x: r }, 1));
    show(await accelerator.broadcastObject(r === 0 ? tensor([1, 2, 3]) : undefined));
    try { await accelerator.broadcast(tensor([1]), 2); } catch (error) { show(error.name); }
  `,
    [[1], { x: [2] }, { x: 1 }, [1, 2, 3], "RangeError"],
  );
});

Deno.test("OP-4: padAcrossProcesses fills to the longest, behind or in front, in any dimension", async () => {
  const [first, second] = await shownOn(
    2,
    `${BEGIN}
    show(await accelerator.padAcrossProcesses(arange(W + 1 - r).add(1)));
    show(await accelerator.padAcrossProcesses(arange(r + 1).add(1), { padIndex: 9 }));
    show(await accelerator.padAcrossProcesses(arange(r + 1).add(1), { padIndex: 9, padFirst: true }));
    show(await accelerator.padAcrossProcesses({ x: tensor([[1], [1]]).expand([2, r + 1]) }, { dim: 1 }));
    show(await accelerator.padAcrossProcesses(tensor([[1], [1]]).expand([2, r + 1]), { dim: -1 }));
    const cube = zeros([1, 1, 1]);
    show(await accelerator.padAcrossProcesses(cube, { dim: -4 }) === cube);
    show(await accelerator.padAcrossProcesses(cube, { dim: 3 }) === cube);${END}`,
  );
  assertEquals(first, [[1, 2, 3], [1, 9], [9, 1], { x: [[1, 0], [1, 0]] }, [[1, 0], [1, 0]], true, true]);
  assertEquals(second, [[1, 2, 0], [1, 2], [1, 2], { x: [[1, 1], [1, 1]] }, [[1, 1], [1, 1]], true, true]);
});

Deno.test("OP-5, B12: reduce by sum, mean, max, min, and none", async () => {
  const [first, second] = await shownOn(
    2,
    `${BEGIN}
    const x = arange(2, { dtype: "float32" }).add(1 + 2 * r), y = tensor([1, 2]).mul(r + 1);
    for (const reduction of ["sum", "mean", "max", "min", "none"]) {
      show([await accelerator.reduce(x, reduction), await accelerator.reduce(y, reduction)]);
    }
    show(x);
    try { accelerator.reduce(x, "median"); } catch (error) { show(error.name); }${END}`,
  );
  const shared = [[[4, 6], [3, 6]], [[2, 3], [1.5, 3]], [[3, 4], [2, 4]], [[1, 2], [1, 2]]];
  assertEquals(first, [...shared, [[1, 2], [1, 2]], [1, 2], "RangeError"]);
  assertEquals(second, [...shared, [[3, 4], [2, 4]], [3, 4], "RangeError"]);
});

Deno.test("OP-8: the trigger of one rank is seen by all, once", async () => {
  await everywhere(
    3,
    `
    show(await accelerator.checkTrigger());
    if (r === 1) accelerator.setTrigger();
    show(await accelerator.checkTrigger());
    show(await accelerator.checkTrigger());
  `,
    [false, true, false],
  );
});

Deno.test("SP-1: lists, tensors and objects are split between processes", () => {
  const parts = (n: number, world: number, applyPadding = false): number[][] =>
    Array.from({ length: world }, (_, rank) => {
      const list = Array.from({ length: n }, (_, i) => i);
      const own = splitBetween(list, rank, world, { applyPadding });
      const rows = splitBetween(arange(n), rank, world, { applyPadding });
      assertEquals(Array.from(rows.data(), Number), own);
      assertEquals(splitBetween({ a: list, b: list }, rank, world, { applyPadding }), { a: own, b: own });
      return own;
    });
  assertEquals(parts(17, 4).map((part) => [part[0], part.length]), [[0, 5], [5, 4], [9, 4], [13, 4]]);
  assertEquals(parts(5, 2), [[0, 1, 2], [3, 4]]);
  assertEquals(parts(5, 2, true), [[0, 1, 2], [3, 4, 4]]);
  assertEquals(parts(3, 4), [[0], [1], [2], []]);
  assertEquals(parts(3, 4, true), [[0], [1], [2], [2]]);
  assertEquals(parts(8, 3), [[0, 1, 2], [3, 4, 5], [6, 7]]);
  assertEquals(parts(8, 3, true), [[0, 1, 2], [3, 4, 5], [6, 7, 7]]);
  assertEquals(parts(7, 8, true).at(-1), [6]);
  assertEquals(parts(2, 3), [[0], [1], []]);
  assertEquals(parts(2, 3, true), [[0], [1], [1]]);
  assertEquals(parts(4, 1), [[0, 1, 2, 3]]);
  assertThrows(
    () => splitBetween({ a: [1], b: [1, 2] }, 0, 2, {}),
    ShapeError,
    "a of length 1 and b of length 2 between processes: all must have the same length",
  );
  assertThrows(() => splitBetween(5, 0, 2, {}), ShapeError, "give arrays, or tensors");
});

Deno.test("SP-1: the parts of all ranks, padded and gathered, begin with the whole", async () => {
  const all = await shownOn(
    3,
    `${BEGIN}
    show(accelerator.splitBetweenProcesses(["a", "b"], (part) => part));
    const padded = accelerator.splitBetweenProcesses(arange(8), (part) => part, { applyPadding: true });
    show((await accelerator.gather(padded)).narrow(0, 0, 8));${END}`,
  );
  assertEquals(all.map(([part]) => part), [["a"], ["b"], []]);
  for (const [, whole] of all) assertEquals(whole, [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("PE-1: the main process is first, and regions run exactly where they belong", async () => {
  using folder = new ScriptFolder();
  const path = `${folder.path}/order.txt`;
  const output = await onRanks(
    3,
    `${BEGIN}
    const path = ${JSON.stringify(path)};
    const value = await accelerator.mainProcessFirst(async () => {
      if (r === 0) await new Promise((resolve) => setTimeout(resolve, 200));
      Deno.writeTextFileSync(path, (r === 0 ? "main" : "other") + "\\n", { append: true });
      return 10 * r;
    });
    show(value);
    await accelerator.localMainProcessFirst(() => {});
    const seen = [];
    accelerator.onMainProcess(() => seen.push("main"));
    accelerator.onLocalMainProcess(() => seen.push("local main"));
    accelerator.onLastProcess(() => seen.push("last"));
    accelerator.onProcess(1, () => seen.push("one"));
    accelerator.onLocalProcess(2, () => seen.push("local two"));
    show(seen);
    show([accelerator.onProcess(1, () => 5) ?? null, await accelerator.onProcess(2, async () => 6) ?? null]);
    accelerator.print("once");${END}`,
  );
  assertEquals(output.map(({ shown }) => shown), [
    [0, ["main", "local main"], [null, null]],
    [10, ["one"], [5, null]],
    [20, ["last", "local two"], [null, 6]],
  ]);
  assertEquals(output.map(({ lines }) => lines), [["once"], [], []]);
  assertEquals(Deno.readTextFileSync(path), "main\nother\nother\n");
});

Deno.test("B18: an exception in mainProcessFirst() reaches all ranks at once, and the job can go on", async () => {
  await everywhere(
    3,
    `
    const names = await accelerator.gatherObject(await accelerator.mainProcessFirst(() => {
      if (r === 0) throw new TypeError("no such file");
      return "never";
    }).catch((error) => error.name + ": " + error.message));
    show(names);
  `,
    [[
      "TypeError: no such file",
      ...[1, 2].map(() =>
        "CollectiveError: Cannot go on: process 0 failed in mainProcessFirst() with TypeError: no such file"
      ),
    ]],
  );
});

Deno.test("a collective inside of a region of some ranks throws at once, whatever it awaited before", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const model = new nn.Linear(1, 1);
  await accelerator.prepare(model);
  const loss = (): ReturnType<typeof tensor> => model.forward(tensor([[1]])).sum();
  const calls: [string, () => unknown][] = [
    ["gather", () => accelerator.gather(tensor([1]))],
    ["reduce", () => accelerator.reduce(tensor([1]))],
    ["reduce", () => accelerator.reduce(tensor([1]), "none")],
    ["broadcast", () => accelerator.broadcast(tensor([1]))],
    ["gatherObject", () => accelerator.gatherObject(1)],
    ["broadcastObject", () => accelerator.broadcastObject(1)],
    ["padAcrossProcesses", () => accelerator.padAcrossProcesses(tensor([1]))],
    ["waitForEveryone", () => accelerator.waitForEveryone()],
    ["checkTrigger", () => accelerator.checkTrigger()],
    ["mainProcessFirst", () => accelerator.mainProcessFirst(() => 1)],
    ["prepare", () => accelerator.prepare(model)],
    ["backward", () => accelerator.backward(loss())],
    ["joinUnevenInputs", () => accelerator.joinUnevenInputs(model, () => 1)],
    ["findExecutableBatchSize", () => accelerator.findExecutableBatchSize(() => 1)],
  ];
  for (const [name, call] of calls) {
    const message =
      `Cannot call ${name} inside onMainProcess(): every rank must take part, and only some run this code`;
    await assertRejects(
      async () => await accelerator.onMainProcess(async () => await call()),
      CollectiveError,
      message,
    );
    const later = async (): Promise<unknown> => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return await call();
    };
    await assertRejects(async () => await accelerator.onMainProcess(later), CollectiveError, message);
  }
  // Code beside a region that still runs is not inside of it.
  const { promise, resolve } = Promise.withResolvers<void>();
  const region = accelerator.onMainProcess(() => promise);
  assertEquals((await accelerator.gather(tensor([7]))).toArray(), [7]);
  resolve();
  await region;
  assertThrows(() => accelerator.onMainProcess(() => assert(false)));
  accelerator.backward(loss());
});

Deno.test("a collective inside of a region ends the job with its sentence instead of a hang", async () => {
  using folder = new ScriptFolder({
    "a.ts": `import { Accelerator, tensor } from "${new URL("../../mod.ts", import.meta.url)}";
      const accelerator = new Accelerator();
      await accelerator.onMainProcess(() => accelerator.reduce(tensor([1])));
      await accelerator.end();`,
  });
  const args = ["launch", "--cpu", "--num-processes", "2", "a.ts"];
  const { code, stderr } = await runCli(args, folder, { env: { ACCELERATE_LIBRARY_DIR: "" } });
  assertEquals(code, 1);
  assertMatch(stderr, /CollectiveError: Cannot call reduce inside onMainProcess\(\): every rank must take part/);
});

Deno.test("collectives that are not awaited keep the order of their calls, and backward waits for none of them silently", async () => {
  await everywhere(
    2,
    `
    const [a, b, c] = [accelerator.gather(tensor([r])), accelerator.gatherObject("o" + r), accelerator.reduce(tensor([1]))];
    const model = new nn.Linear(1, 1);
    show([await c, await b, await a]);
    await accelerator.prepare(model);
    const pending = accelerator.gather(tensor([r]));
    try { accelerator.backward(model.forward(tensor([[1]])).sum()); } catch (error) { show(error.message); }
    await pending;
    accelerator.backward(model.forward(tensor([[1]])).sum());
  `,
    [
      [[2], ["o0", "o1"], [0, 1]],
      "Cannot call backward now: another operation between ranks has not ended. Await every promise of the Accelerator first",
    ],
  );
});

Deno.test("two Accelerators on two ranks do not disturb each other", async () => {
  await everywhere(
    2,
    `
    const other = new Accelerator({ gradientAccumulationSteps: 2 });
    show([await other.gather(tensor([r])), await accelerator.gather(tensor([r + 5]))]);
    await other.end();
    show(await accelerator.reduce(tensor([1])));
    const third = new Accelerator();
    show(await third.reduce(tensor([2])));
    await third.end();
  `,
    [[[0, 1], [5, 6]], [2], [4]],
  );
});

Deno.test("setSeed gives all ranks the same numbers, or each its own", async () => {
  const shown = await shownOn(
    2,
    `${BEGIN}
    setSeed(3);
    const same = rand([2]).toArray();
    setSeed(3, { deviceSpecific: true });
    show([same, rand([2])]);${END}`,
  ) as [number[], number[]][][];
  const [[[same0, own0]], [[same1, own1]]] = shown;
  assertEquals(same0, same1);
  assertEquals(own0, same0);
  assert(own1.join() !== own0.join());
});

Deno.test("ME-2: freeMemory releases what it is given, and end() gives objects back", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const bytes = (): number[] => {
    const { categories: { parameter, gradient, optimizer } } = memoryStats();
    return [parameter.bytes, gradient.bytes, optimizer.bytes];
  };
  let model: nn.Linear | null = new nn.Linear(64, 64);
  const before = bytes();
  let optimizer: optim.AdamW | null = new optim.AdamW(model.parameters());
  await accelerator.prepare(model, optimizer);
  accelerator.backward(model.forward(zeros([1, 64])).sum());
  optimizer.step();
  bytes().forEach((now, i) => assert(now > before[i]));
  [model, optimizer] = await accelerator.freeMemory(model, optimizer);
  assertEquals([model, optimizer], [null, null]);
  // Garbage of earlier tests may be collected meanwhile.
  bytes().forEach((now, i) => assert(now <= before[i], `${now}, ${before[i]} before`));
  const kept = new nn.Linear(1, 1);
  await accelerator.prepare(kept);
  assert(accelerator.unwrapModel(kept) === kept);
  await accelerator.end();
  kept.forward(tensor([[1]])).sum().backward();
});
