// gatherForMetrics: rows GM-1 to GM-10 of Accelerate's behaviour, and what it does beyond.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Accelerator, arange, data, ShapeError, type Tensor, tensor } from "../../mod.ts";
import { shownOn } from "../_support/ranks.ts";
import "../_support/on_cpu.ts";

interface Row {
  world: number;
  n: number;
  size: number;
  drop?: boolean;
  split?: boolean;
  dispatch?: boolean;
  stream?: boolean;
  even?: boolean;
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Reads a loader twice: the batches of each rank and the metrics, which must be the same on all ranks. */
async function run({ world, n, size, drop, split, dispatch, stream, even }: Row): Promise<
  { batches: unknown[]; metrics: unknown }
> {
  const shown = await shownOn(
    world,
    `
    const accelerator = new Accelerator({
      dataLoader: { splitBatches: ${split ?? false}, dispatchBatches: ${dispatch ?? false}, evenBatches: ${
      even ?? true
    } },
    });
    class Stream extends data.IterableDataset {
      *[Symbol.iterator]() { for (let i = 0; i < ${n}; i++) yield [i]; }
    }
    const dataset = ${stream === true ? "new Stream()" : `new data.TensorDataset(arange(${n}))`};
    const loader = new data.DataLoader(dataset, { batchSize: ${size}, dropLast: ${drop ?? false} });
    await accelerator.prepare(loader);
    for (let pass = 0; pass < 2; pass++) {
      const batches = [], metrics = [];
      for await (const [x] of loader) {
        batches.push(x.toArray());
        metrics.push(...(await accelerator.gatherForMetrics(x)).toArray());
      }
      show([batches, metrics]);
    }
    await accelerator.end();
  `,
  ) as [unknown, unknown][][];
  for (const own of shown) assertEquals(own, [own[0], own[0]], "the second pass is as the first");
  for (const [[, metrics]] of shown) assertEquals(metrics, shown[0][0][1], "all ranks have the same");
  return { batches: shown.map(([[batches]]) => batches), metrics: shown[0][0][1] };
}

const NINE = [[[0, 1], [4, 5], [8, 0]], [[2, 3], [6, 7], [1, 2]]];
const ROWS: [string, Row, unknown[] | null, number[]][] = [
  ["GM-1", { world: 2, n: 9, size: 2 }, NINE, upTo(9)],
  ["GM-2", { world: 2, n: 9, size: 2, drop: true }, [[[0, 1], [4, 5]], [[2, 3], [6, 7]]], upTo(8)],
  ["GM-3", { world: 2, n: 9, size: 4, split: true }, NINE, upTo(9)],
  ["GM-4", { world: 2, n: 9, size: 2, dispatch: true }, [[[0, 1], [4, 5], [8]], [[2, 3], [6, 7], [0]]], upTo(9)],
  ["GM-5", { world: 2, n: 3, size: 2 }, [[[0, 1]], [[2, 0]]], upTo(3)],
  ["GM-6", { world: 2, n: 1, size: 2 }, [[[0, 0]], [[0, 0]]], [0]],
  ["GM-7", { world: 2, n: 10, size: 2 }, [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [0, 1]]], upTo(10)],
  ["GM-8", { world: 2, n: 5, size: 2, dispatch: true }, [[[0, 1], [4]], [[2, 3], [0]]], upTo(5)],
  ["GM-9 of 9", { world: 3, n: 9, size: 2 }, null, upTo(9)],
  ["GM-9 of 8", { world: 3, n: 8, size: 2 }, [[[0, 1], [6, 7]], [[2, 3], [0, 1]], [[4, 5], [2, 3]]], upTo(8)],
  ["GM-9 of 10", { world: 3, n: 10, size: 2 }, null, upTo(10)],
  ["GM-9 of 5", { world: 3, n: 5, size: 2, dispatch: true }, [[[0, 1]], [[2, 3]], [[4, 0]]], upTo(5)],
  ["GM-10, B14", { world: 2, n: 9, size: 2, stream: true }, NINE, upTo(9)],
  ["a dispatched stream", { world: 2, n: 9, size: 2, stream: true, dispatch: true }, null, upTo(9)],
  ["a stream of 30", { world: 2, n: 30, size: 4, stream: true }, null, upTo(30)],
  ["82 samples", { world: 2, n: 82, size: 16 }, null, upTo(82)],
  ["99 samples, split and dispatched", { world: 2, n: 99, size: 16, split: true, dispatch: true }, null, upTo(99)],
  ["one process", { world: 1, n: 9, size: 2, stream: true }, null, upTo(9)],
];

for (const [id, row, batches, metrics] of ROWS) {
  Deno.test(`${id}: ${JSON.stringify(row)}: every sample once and in order`, async () => {
    const got = await run(row);
    if (batches !== null) assertEquals(got.batches, batches);
    assertEquals(got.metrics, metrics);
  });
}

Deno.test("objects, ragged outputs, nested values and scalars are gathered sample by sample, shuffled or not", async () => {
  const [[first], [second]] = await shownOn(
    2,
    `
    const accelerator = new Accelerator();
    const loader = new data.DataLoader(new data.TensorDataset(arange(9)), { batchSize: 2, shuffle: true, seed: 1 });
    const plainLoader = new data.DataLoader(new data.TensorDataset(arange(9)), { batchSize: 1, shuffle: true, seed: 1 });
    await accelerator.prepare(loader);
    const order = [];
    for await (const [x] of plainLoader) order.push(x.item());
    const seen = { order, names: [], ragged: [], logits: [], classes: [], losses: 0 };
    for await (const [x] of loader) {
      const ids = Array.from(x.data(), Number);
      const all = await accelerator.gatherForMetrics({
        names: ids.map((id) => "sample " + id),
        // As many values as the id, as boxes of a detector.
        ragged: ids.map((id) => zeros([id]).add(id)),
        outputs: [stack([x, x.mul(2)], { dim: 1 }), { classes: x.to({ dtype: "float64" }) }],
        loss: x.sum(),
      });
      seen.names.push(...all.names);
      seen.ragged.push(...all.ragged.map((t) => [t.size, t.size === 0 ? 0 : t.data()[0]]));
      seen.logits.push(...all.outputs[0].toArray());
      seen.classes.push(...all.outputs[1].classes.toArray());
      seen.losses += all.loss.size;
    }
    show(seen);
    show(await accelerator.gatherForMetrics(["s" + accelerator.processIndex]));
    show(await accelerator.gatherForMetrics(tensor([accelerator.processIndex])));
    await accelerator.end();
  `,
  ).then((shown) => shown.map(([seen, ...rest]) => [seen, rest])) as [[Record<string, unknown[]>, unknown], [unknown]];
  assertEquals(second, first);
  const order = first.order as number[];
  assertEquals(order.length, 9);
  assertEquals(first.names, order.map((id) => `sample ${id}`));
  assertEquals(first.ragged, order.map((id) => [id, id]));
  assertEquals(first.logits, order.map((id) => [id, 2 * id]));
  assertEquals(first.classes, order);
  assertEquals(first.losses as unknown, 6, "a scalar of each rank for each of three batches");
});

Deno.test("gatherForMetrics works in the middle of an epoch, after a resume, and in a loop inside of another", async () => {
  const shown = await shownOn(
    2,
    `
    const accelerator = new Accelerator();
    const make = () => new data.DataLoader(new data.TensorDataset(arange(9)), { batchSize: 2 });
    const [train, evaluation] = await accelerator.prepare(make(), make());
    train.loadStateDict({ ...train.stateDict(), position: 4 });
    const outer = [], inner = [];
    for await (const [x] of train) {
      for await (const [y] of evaluation) {
        inner.push(...(await accelerator.gatherForMetrics(y)).toArray());
        if (inner.length % 8 === 0) break;
      }
      outer.push(...(await accelerator.gatherForMetrics(x)).toArray());
    }
    show([outer, inner]);
    await accelerator.end();
  `,
  );
  const expected = [[upTo(9).slice(4), [...upTo(8), ...upTo(8)]]];
  assertEquals(shown, [expected, expected]);
});

Deno.test("what does not count the samples is refused, with what to do", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const loader = new data.DataLoader(new data.TensorDataset(arange(6)), { batchSize: 3 });
  await accelerator.prepare(loader);
  for await (const [x] of loader) {
    const bad: [unknown, string][] = [
      [x.narrow(0, 0, 2), "its first dimension must count the 3 samples"],
      [["a", "b"], "it must have one item for each of the 3 samples"],
      [{ name: "a" }, "Cannot gather string for metrics"],
    ];
    for (const [value, message] of bad) {
      await assertRejects(() => accelerator.gatherForMetrics(value), ShapeError, message);
    }
    assertEquals((await accelerator.gatherForMetrics([x, [tensor(1)]]))[0], x);
  }
  assertThrows(() => accelerator.sampleWeights(), RangeError, "there is no batch");
});

Deno.test("sampleWeights() make losses and gradients exact although the last batches are filled", async () => {
  const script = (options: string): string => `
    const accelerator = new Accelerator({ dataLoader: ${options} });
    const model = new nn.Linear(1, 1);
    model.loadStateDict({ weight: tensor([[0.5]]), bias: tensor([0.25]) });
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01 });
    const x = arange(11, { dtype: "float32" }).unsqueeze(1);
    const loader = new data.DataLoader(new data.TensorDataset(x, x.mul(3)), { batchSize: 12 / accelerator.numProcesses });
    await accelerator.prepare(model, optimizer, loader);
    const weights = [];
    for (let epoch = 0; epoch < 2; epoch++) {
      for await (const [input, target] of loader) {
        const w = accelerator.sampleWeights();
        weights.push(w.toArray());
        const loss = model.forward(input).sub(target).square().squeeze(1).mul(w).sum();
        optimizer.zeroGrad();
        accelerator.backward(loss, { normalizer: w.sum() });
        optimizer.step();
      }
    }
    show([model.weight.item(), model.bias.item(), weights]);
    await accelerator.end();
  `;
  const [[[a, b]]] = await shownOn(1, script("{}")) as [number, number, unknown][][];
  for (const [world, options] of [[2, "{}"], [3, "{}"], [2, "{ dispatchBatches: true }"]] as const) {
    const shown = await shownOn(world, script(options)) as [number, number, number[][]][][];
    for (const [[ownA, ownB]] of shown) {
      // The sums are taken in another order.
      for (const [own, expected] of [[ownA, a], [ownB, b]]) {
        if (!(Math.abs(own - expected) <= 2e-6 * Math.abs(expected))) {
          throw new Error(`${own}, one process ${expected}`);
        }
      }
    }
    const last = shown[world - 1][0][2];
    assertEquals(last[0].filter((weight) => weight === 0).length, 1);
    assertEquals(shown[0][0][2][0].includes(0), false);
  }
});

Deno.test("DL-28: the batch that is used is that of the inner loop, then of the outer one, then none", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const make = (n: number): data.DataLoader<Tensor[]> =>
    new data.DataLoader<Tensor[]>(new data.TensorDataset(arange(n)), { batchSize: 2 });
  const [outer, inner] = await accelerator.prepare(make(4), make(6));
  const current = (): number[] | null => accelerator.parts.loaders.current?.places(0) ?? null;
  const seen: unknown[] = [];
  for await (const _ of outer) {
    seen.push(current());
    for await (const _ of inner) seen.push(current());
    seen.push(current());
  }
  seen.push(current());
  const once = [[0, 1], [2, 3], [4, 5]];
  assertEquals(seen, [[0, 1], ...once, [0, 1], [2, 3], ...once, [2, 3], null]);
});

Deno.test("DL-25: the last batch that rank 0 hands out is known on every rank, each time", async () => {
  for (const dataset of ["new data.TensorDataset(arange(16))", "new Stream()"]) {
    const shown = await shownOn(
      2,
      `
      class Stream extends data.IterableDataset {
        *[Symbol.iterator]() { for (let i = 0; i < 16; i++) yield [i]; }
      }
      const accelerator = new Accelerator({ dataLoader: { dispatchBatches: true, splitBatches: true } });
      const loader = new data.DataLoader(${dataset}, { batchSize: 4, prefetch: 2 });
      await accelerator.prepare(loader);
      for (let pass = 0; pass < 2; pass++) {
        const flags = [];
        for await (const _ of loader) flags.push(accelerator.parts.loaders.current.isLast);
        show(flags);
      }
      await accelerator.end();
    `,
    );
    const flags = [false, false, false, true];
    assertEquals(shown, [[flags, flags], [flags, flags]]);
  }
});

Deno.test("a reader that fails on rank 0 fails on all ranks, with its reason", async () => {
  const shown = await shownOn(
    2,
    `
    class Broken extends data.Dataset {
      length = 8;
      get(index) { if (index === 5) throw new TypeError("sample 5 is broken"); return index; }
    }
    const accelerator = new Accelerator({ dataLoader: { dispatchBatches: true } });
    const loader = new data.DataLoader(new Broken(), { batchSize: 2 });
    await accelerator.prepare(loader);
    const seen = [];
    try {
      for await (const x of loader) seen.push(...x.toArray());
    } catch (error) {
      show([seen, error.message]);
    }
    show(await accelerator.gather(tensor([accelerator.processIndex])));
    await accelerator.end();
  `,
  );
  const reason = "Cannot load: rank 0, which reads for all, failed with: TypeError: sample 5 is broken";
  assertEquals(shown, [[[[0, 1], "sample 5 is broken"], [0, 1]], [[[2, 3], reason], [0, 1]]]);
});
