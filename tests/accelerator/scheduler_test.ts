// Learning-rate schedules: rows SC-1 to SC-4 and GA-5 of Accelerate's behaviour, and what is the default here.
import { assertEquals, assertThrows } from "@std/assert";
import { Accelerator, nn, optim, tensor } from "../../mod.ts";
import { onRanks, shownOn } from "../_support/ranks.ts";
import "../_support/on_cpu.ts";

interface Row {
  world: number;
  stepping: "true" | "false" | '"numProcesses"';
  steps?: number;
  split?: boolean;
  schedule: string;
  iterations: number;
}

async function rates({ world, stepping, steps = 1, split = false, schedule, iterations }: Row): Promise<number[]> {
  const shown = await shownOn(
    world,
    `
    const accelerator = new Accelerator({ stepSchedulerWithOptimizer: ${stepping}, gradientAccumulationSteps: ${steps},
      dataLoader: { splitBatches: ${split} } });
    const model = new nn.Linear(1, 1);
    const optimizer = new optim.SGD(model.parameters(), { lr: 1 });
    const scheduler = ${schedule};
    await accelerator.prepare(model, optimizer, scheduler);
    const rates = [];
    for (let i = 0; i < ${iterations}; i++) {
      accelerator.accumulate(model, () => {
        accelerator.backward(model.forward(tensor([[1]])).sum());
        optimizer.step();
        scheduler.step();
        optimizer.zeroGrad();
      });
      rates.push(Math.round(scheduler.getLastLr()[0] * 1e4) / 1e4);
    }
    show(rates);
    await accelerator.end();
  `,
  ) as number[][][];
  for (const own of shown) assertEquals(own, shown[0]);
  return shown[0][0];
}

const HUNDRED = "new optim.lrScheduler.LambdaLR(optimizer, (n) => 1 - n / 100)";

const ROWS: [string, Omit<Row, "schedule" | "iterations">, number[]][] = [
  ["SC-2, reference", { world: 2, stepping: '"numProcesses"' }, [0.98, 0.96, 0.94, 0.92, 0.9, 0.88]],
  ["SC-2, reference, split", { world: 2, stepping: '"numProcesses"', split: true }, [
    0.99,
    0.98,
    0.97,
    0.96,
    0.95,
    0.94,
  ]],
  ["SC-2, reference, accumulation", { world: 2, stepping: '"numProcesses"', steps: 2 }, [
    1,
    0.98,
    0.98,
    0.96,
    0.96,
    0.94,
  ]],
  [
    "SC-2, reference, accumulation and split",
    { world: 2, stepping: '"numProcesses"', steps: 2, split: true },
    [1, 0.99, 0.99, 0.98, 0.98, 0.97],
  ],
  ["SC-2, unlinked", { world: 2, stepping: "false", steps: 2 }, [0.99, 0.98, 0.97, 0.96, 0.95, 0.94]],
  ["the default counts optimizer steps", { world: 2, stepping: "true" }, [0.99, 0.98, 0.97, 0.96, 0.95, 0.94]],
  ["B7: the default, accumulation", { world: 2, stepping: "true", steps: 2 }, [1, 0.99, 0.99, 0.98, 0.98, 0.97]],
];

for (const [id, row, expected] of ROWS) {
  Deno.test(`${id}: ${JSON.stringify(row)}`, async () => {
    assertEquals(await rates({ ...row, schedule: HUNDRED, iterations: 6 }), expected);
  });
}

Deno.test("SC-1: the first step of a linked schedule", async () => {
  const schedule = "new optim.lrScheduler.LambdaLR(optimizer, (n) => 1 - n / 10)";
  const first = async (row: Omit<Row, "schedule" | "iterations">): Promise<number> =>
    (await rates({ ...row, schedule, iterations: 1 }))[0];
  assertEquals(await first({ world: 2, stepping: '"numProcesses"' }), 0.8);
  assertEquals(await first({ world: 2, stepping: '"numProcesses"', split: true }), 0.9);
  assertEquals(await first({ world: 1, stepping: '"numProcesses"' }), 0.9);
  assertEquals(await first({ world: 2, stepping: "false" }), 0.9);
  assertEquals(await first({ world: 3, stepping: "true" }), 0.9);
});

Deno.test("SC-4: a linear schedule reaches exactly 0 with the last micro-batch, whatever is accumulated", async () => {
  for (const steps of [1, 2, 4]) {
    const planned = 20;
    const linear = (total: number): string =>
      `new optim.lrScheduler.LambdaLR(optimizer, (n) => Math.max(0, (${total} - n) / ${total}))`;
    const own = await rates({
      world: 2,
      stepping: "true",
      steps,
      schedule: linear(planned),
      iterations: planned * steps,
    });
    assertEquals(own.at(-1), 0);
    assertEquals(own.at(-1 - steps), 0.05);
    const reference = await rates({
      world: 2,
      stepping: '"numProcesses"',
      steps,
      schedule: linear(2 * planned),
      iterations: planned * steps,
    });
    assertEquals([reference.at(-1), reference.at(-1 - steps)], [0, 0.05]);
  }
});

Deno.test("GA-5: with AdamW and a decaying schedule, the rates are those of a loop that steps the schedule by hand", async () => {
  const decay = "new optim.lrScheduler.LambdaLR(optimizer, (e) => e ** 0.65)";
  const hand = (world: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => Math.round(1e4 * ((i + 1) * world) ** 0.65) / 1e4);
  const run = (stepping: Row["stepping"], split: boolean): Promise<number[]> =>
    rates({ world: 2, stepping, split, schedule: decay, iterations: 4 });
  assertEquals(await run('"numProcesses"', false), hand(2, 4));
  assertEquals(await run('"numProcesses"', true), hand(1, 4));
  assertEquals(await run("true", false), hand(1, 4));
});

Deno.test("SC-3: one cycle never steps beyond its end, and the program is told once that its plan is over", async () => {
  const output = await onRanks(
    2,
    `
    const accelerator = new Accelerator({ stepSchedulerWithOptimizer: "numProcesses" });
    const model = new nn.Linear(1, 1);
    const optimizer = new optim.SGD(model.parameters(), { lr: 1, momentum: 0.9 });
    const scheduler = new optim.lrScheduler.OneCycleLR(optimizer, { maxLr: 0.01, stepsPerEpoch: 2, epochs: 1 });
    await accelerator.prepare(model, optimizer, scheduler);
    console.warn = (message) => console.log("warned", message);
    const epochs = [];
    for (let i = 0; i < 3; i++) {
      accelerator.backward(model.forward(tensor([[1]])).sum());
      optimizer.step();
      scheduler.step();
      epochs.push(scheduler.lastEpoch);
    }
    show(epochs);
    await accelerator.end();
  `,
  );
  for (const { shown } of output) assertEquals(shown, [[2, 2, 2]]);
  assertEquals(output.map(({ lines }) => lines), [[
    "warned The learning-rate schedule was planned for 2 steps, and training takes more. A step is one of the optimizer: plan " +
    "epochs * ceil(batches of a rank / gradientAccumulationSteps) of them",
  ], []]);
});

Deno.test("every schedule with an end warns after it, and none without", async () => {
  const { lrScheduler } = optim;
  const warnings: number[] = [];
  const before = console.warn;
  console.warn = (message: string) => warnings.push(Number(/planned for (\d+) steps/.exec(message)![1]));
  try {
    const make: ((optimizer: optim.SGD) => { step(): void })[] = [
      (optimizer) => new lrScheduler.CosineAnnealingLR(optimizer, { tMax: 3 }),
      (optimizer) => new lrScheduler.PolynomialLR(optimizer, { totalIters: 3 }),
      (optimizer) => optim.cosineWithWarmup(optimizer, { warmupSteps: 1, totalSteps: 3 }),
      (optimizer) => new lrScheduler.LambdaLR(optimizer, () => 1, { plannedSteps: 3 }),
      (optimizer) => {
        const schedulers = [
          new lrScheduler.LinearLR(optimizer, { totalIters: 1 }),
          new lrScheduler.CosineAnnealingLR(optimizer, { tMax: 2 }),
        ];
        return new lrScheduler.SequentialLR(optimizer, { schedulers, milestones: [1] });
      },
      (optimizer) => new lrScheduler.ExponentialLR(optimizer, { gamma: 0.9 }),
      (optimizer) => new lrScheduler.LinearLR(optimizer, { totalIters: 2 }),
    ];
    for (const [i, makeOne] of make.entries()) {
      const accelerator = new Accelerator({ cpu: true });
      const model = new nn.Linear(1, 1);
      const optimizer = new optim.SGD(model.parameters(), { lr: 1 });
      const [, , scheduler] = await accelerator.prepare(model, optimizer, makeOne(optimizer));
      const count = (): number => warnings.length;
      const start = count();
      const counts: number[] = [];
      for (let step = 0; step < 5; step++) {
        optimizer.step();
        scheduler.step();
        counts.push(count() - start);
      }
      assertEquals(counts, i < 5 ? [0, 0, 0, 1, 1] : [0, 0, 0, 0, 0], `number ${i}`);
    }
    assertEquals(warnings, [3, 3, 3, 3, 3]);
  } finally {
    console.warn = before;
  }
});

Deno.test("a prepared schedule is the same object, and freeMemory gives its step back", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 2 });
  const model = new nn.Linear(1, 1);
  const optimizer = new optim.SGD(model.parameters(), { lr: 1 });
  const scheduler = new optim.lrScheduler.ReduceLROnPlateau(optimizer, { patience: 0 });
  const [net, opt, sched] = await accelerator.prepare(model, optimizer, scheduler);
  assertEquals([net === model, opt === optimizer, sched === scheduler], [true, true, true]);
  await accelerator.prepare(scheduler);
  for (const metric of [1, 2, 3, 4]) {
    accelerator.accumulate(model, () => {
      accelerator.backward(model.forward(tensor([[1]])).sum());
      optimizer.step();
      scheduler.step(metric);
    });
  }
  // Only 2 and 4 counted: one bad step after the best.
  assertEquals(scheduler.getLastLr(), [0.1]);
  await accelerator.freeMemory();
  assertEquals(Object.hasOwn(scheduler, "step"), false);
  assertThrows(() => accelerator.accumulate(model), Error, "prepare()");
});
