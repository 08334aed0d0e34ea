// Accumulation of gradients: rows GA-6 to GA-13 of Accelerate's behaviour.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Accelerator, arange, data, memoryStats, nn, optim, type Tensor, tensor, zeros } from "../../mod.ts";
import { assertClose } from "../_support/close.ts";
import { shownOn } from "../_support/ranks.ts";
import "../_support/on_cpu.ts";

/** One weight, whose gradient is the loss's factor. */
class Weight extends nn.Module {
  readonly weight: nn.Parameter;

  constructor(value = 0) {
    super();
    this.weight = new nn.Parameter(tensor([value]));
  }

  override forward(x: Tensor): Tensor {
    return this.weight.mul(x);
  }
}

function sgd(model: nn.Module, lr = 1): optim.SGD {
  return new optim.SGD(model.parameters(), { lr });
}

const near = (a: unknown, b: number, tolerance: number): void => {
  assert(typeof a === "number" && Math.abs(a - b) <= tolerance, `${a}, expected ${b}`);
};

Deno.test("GA-6: four micro-batches make the step of the full batch", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 4 });
  const model = new Weight();
  const optimizer = sgd(model, 0.02);
  const x = arange(8).add(1);
  const loader = new data.DataLoader(new data.TensorDataset(x, x.mul(2)), { batchSize: 2 });
  await accelerator.prepare(model, optimizer, loader);
  for await (const [input, target] of loader) {
    accelerator.accumulate(model, () => {
      accelerator.backward(nn.functional.mseLoss(model.forward(input), target));
      optimizer.step();
      optimizer.zeroGrad();
    });
  }
  assertClose(model.weight, [2.04], { rtol: 1e-6 }); // float32 rounding
});

// B4.
Deno.test("GA-8, B4: a short last window is weighted by its real size", async () => {
  for (const style of ["step, then zeroGrad", "zeroGrad first", "using"]) {
    const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 4 });
    const model = new Weight();
    const optimizer = sgd(model);
    const loader = new data.DataLoader(new data.TensorDataset(arange(6)), { batchSize: 1 });
    await accelerator.prepare(model, optimizer, loader);
    const weights: number[] = [];
    const step = (): void => {
      if (style === "zeroGrad first") optimizer.zeroGrad();
      accelerator.backward(model.forward(tensor([1])).sum());
      optimizer.step();
      if (style !== "zeroGrad first") optimizer.zeroGrad();
      weights.push(model.weight.data()[0] as number);
    };
    for (let epoch = 0; epoch < 2; epoch++) {
      for await (const _ of loader) {
        if (style === "using") {
          using _region = accelerator.accumulate(optimizer);
          step();
        } else {
          accelerator.accumulate(model, step);
        }
      }
    }
    assertEquals(weights, [0, 0, 0, -1, -1, -2, -2, -2, -2, -3, -3, -4], style);
  }
});

// B5.
Deno.test("GA-9, B5: leaving a nested loop, or forgetting its iterator, does not change when gradients are complete", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 4 });
  const model = new Weight();
  const optimizer = sgd(model);
  const loader = new data.DataLoader(new data.TensorDataset(arange(6)), { batchSize: 1 });
  const evaluation = new data.DataLoader(new data.TensorDataset(arange(6)), { batchSize: 2 });
  await accelerator.prepare(model, optimizer, loader, evaluation);
  const flags: boolean[][] = [];
  for (let epoch = 0; epoch < 3; epoch++) {
    const own: boolean[] = [];
    let i = 0;
    for await (const _ of loader) {
      accelerator.accumulate(model, () => {
        accelerator.backward(model.forward(tensor([1])).sum());
        optimizer.step();
        optimizer.zeroGrad();
      });
      own.push(accelerator.syncGradients);
      if (i++ !== 2) continue;
      if (epoch === 0) { for await (const _ of evaluation) break; }
      else if (epoch === 1) { for await (const _ of evaluation) void 0; }
      else await evaluation[Symbol.asyncIterator]().next();
    }
    flags.push(own);
  }
  const expected = [false, false, false, true, false, true];
  assertEquals(flags, [expected, expected, expected]);
  assertEquals(model.weight.toArray(), [-6]);
});

// B6.
Deno.test("GA-10, B6: two models that are trained in turns each have their own window", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 2 });
  const [d, g] = [new Weight(), new Weight()];
  const [optimizerD, optimizerG] = [sgd(d), sgd(g)];
  const loader = new data.DataLoader(new data.TensorDataset(arange(8)), { batchSize: 1 });
  await accelerator.prepare(d, g, optimizerD, optimizerG, loader);
  const flags: [boolean[], boolean[]] = [[], []];
  for await (const _ of loader) {
    [[d, optimizerD] as const, [g, optimizerG] as const].forEach(([model, optimizer], which) => {
      accelerator.accumulate(model, () => {
        accelerator.backward(model.forward(tensor([1])).sum());
        flags[which].push(accelerator.syncGradients);
        optimizer.step();
        optimizer.zeroGrad();
      });
    });
  }
  const every = [false, true, false, true, false, true, false, true];
  assertEquals(flags, [every, every]);
  assertEquals([d.weight.toArray(), g.weight.toArray()], [[-4], [-4]]);
});

Deno.test("GA-11: while gradients are accumulated, step() and zeroGrad() do nothing and clipping only measures", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 2 });
  const model = new Weight(5);
  const optimizer = sgd(model);
  await accelerator.prepare(model, optimizer);
  const norms: number[] = [];
  const micro = (): void => {
    accelerator.backward(model.forward(tensor([3])).sum());
    norms.push(accelerator.clipGradNorm(model.parameters(), 1).item());
    accelerator.clipGradValue(model.parameters(), 0.25);
    optimizer.step();
  };
  accelerator.accumulate(model, () => {
    micro();
    optimizer.zeroGrad();
    assert(model.weight.grad !== null);
    assertEquals([model.weight.toArray(), model.weight.grad.toArray()], [[5], [3]]);
  });
  accelerator.accumulate(model, () => {
    micro();
    assertEquals(model.weight.toArray(), [4.75]);
    optimizer.zeroGrad();
    assert(model.weight.grad === null);
  });
  assertEquals(norms, [3, 3]);
});

// B8.
Deno.test("GA-13, B8: the number of steps may change, and two Accelerators do not disturb each other", async () => {
  const [first, second] = [
    new Accelerator({ cpu: true, gradientAccumulationSteps: 4 }),
    new Accelerator({ cpu: true }),
  ];
  assertEquals([first.gradientAccumulationSteps, second.gradientAccumulationSteps], [4, 1]);
  const [a, b] = [new Weight(), new Weight()];
  const [optimizerA, optimizerB] = [sgd(a), sgd(b)];
  await first.prepare(a, optimizerA);
  await second.prepare(b, optimizerB);
  const flags: boolean[] = [];
  for (let i = 0; i < 3; i++) {
    if (i === 1) first.gradientAccumulationSteps = 2;
    using _a = first.accumulate(a);
    using _b = second.accumulate(b);
    first.backward(a.forward(tensor([1])).sum());
    second.backward(b.forward(tensor([1])).sum());
    flags.push(first.syncGradients, second.syncGradients);
    for (const optimizer of [optimizerA, optimizerB]) {
      optimizer.step();
      optimizer.zeroGrad();
    }
  }
  assertEquals(flags, [false, true, true, true, false, true]);
  assertEquals([a.weight.toArray(), b.weight.toArray()], [[-1], [-3]]);
  await first.end();
  second.backward(b.forward(tensor([1])).sum());
  optimizerB.step();
  assertEquals(b.weight.toArray(), [-4]);
  assertThrows(() => first.gradientAccumulationSteps = 0, RangeError, "must be a positive integer");
  assertThrows(() => second.accumulate(new Weight()), Error, "prepare() the model and its optimizer first");
});

Deno.test("several losses in a micro-batch, a micro-batch without one, and windows of async functions", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 2 });
  const model = new Weight();
  const optimizer = sgd(model);
  await accelerator.prepare(model, optimizer);
  const backward = (factor: number): void => accelerator.backward(model.forward(tensor([factor])).sum());
  const end = (): void => {
    optimizer.step();
    optimizer.zeroGrad();
  };
  for (const factor of [1, 3]) {
    await accelerator.accumulate(model, async () => {
      backward(factor);
      await Promise.resolve();
      backward(10 * factor);
      end();
    });
  }
  // The mean of 11 and 33.
  assertEquals(model.weight.toArray(), [-22]);
  accelerator.accumulate(model, () => (backward(4), end()));
  // The loss of the second was not finite, so the program left it out: the step still has the first.
  accelerator.accumulate(model, end);
  assertEquals(model.weight.toArray(), [-24]);
  // A function that throws ends its region.
  assertThrows(() => accelerator.accumulate(model, () => assert(false)));
  accelerator.accumulate(model, () => (backward(8), end()));
  assertEquals(model.weight.toArray(), [-28]);
});

Deno.test("clipping through the Accelerator gives the reference's values", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const x = new nn.Parameter(zeros([2]));
  const model = Object.assign(new Weight(), { x });
  await accelerator.prepare(model);
  const clipped = (gradient: number[], clip: () => number | void): [number | void, Tensor] => {
    model.zeroGrad();
    accelerator.backward(x.mul(tensor(gradient)).sum());
    return [clip(), x.grad!];
  };
  const [norm, scaled] = clipped([3, 4], () => accelerator.clipGradNorm([x], 1).item());
  assertEquals(norm, 5);
  assertClose(scaled, [0.5999999, 0.7999998], { atol: 1e-7 });
  const [largest, byLargest] = clipped([3, 4], () => accelerator.clipGradNorm([x], 3, { normType: Infinity }).item());
  assertEquals(largest, 4);
  assertClose(byLargest, [2.2499994, 2.9999993], { atol: 5e-7 });
  const [, limited] = clipped([3, -4], () => accelerator.clipGradValue([x], 3.5));
  assertEquals(limited.toArray(), [3, -3.5]);
});

Deno.test("PR-1: what prepare() does not know passes through, twice is as once, and freeMemory forgets all", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const model = new Weight();
  const optimizer = sgd(model);
  const loader = new data.DataLoader(new data.TensorDataset(arange(4)));
  const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 1 });
  const list = [1, 2];
  const prepared = await accelerator.prepare(null, list, model, 5, optimizer, loader, scheduler, undefined);
  assertEquals(prepared[1] === list, true);
  assertEquals(prepared, [null, list, model, 5, optimizer, loader, scheduler, undefined]);
  await accelerator.prepare(model, optimizer, loader, scheduler);
  const { models, gradients, loaders, schedulers } = accelerator.parts;
  const counts = (): number[] => [models.size, gradients.links.size, loaders.prepared.size, schedulers.prepared.size];
  assertEquals(counts(), [1, 1, 1, 1]);
  optimizer.step();
  scheduler.step();
  assertClose(tensor(scheduler.getLastLr()), [0.1], { rtol: 1e-6 });
  assertEquals(await accelerator.freeMemory(), []);
  assertEquals(counts(), [0, 0, 0, 0]);
  assertEquals(model.weight.toArray(), [0]);
});

Deno.test("a loop that accumulates leaves nothing behind", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 2 });
  const model = new nn.Linear(4, 4);
  const optimizer = sgd(model, 1e-3);
  const loader = new data.DataLoader(new data.TensorDataset(zeros([12, 4])), { batchSize: 2, shuffle: true });
  await accelerator.prepare(model, optimizer, loader);
  const epoch = async (): Promise<number> => {
    for await (const [x] of loader) {
      accelerator.accumulate(model, () => {
        const lossSum = model.forward(x).square().sum();
        accelerator.backward(lossSum, { normalizer: accelerator.sampleWeights().sum() });
        accelerator.clipGradNorm(model.parameters(), 1);
        optimizer.step();
        optimizer.zeroGrad();
      });
      await accelerator.gatherForMetrics(x);
    }
    return memoryStats().liveStorages;
  };
  const before = await epoch();
  const after = [await epoch(), await epoch()];
  // Garbage of earlier tests may be collected meanwhile.
  assert(after.every((count) => count <= before), `${after} storages, ${before} before`);
});

Deno.test("without accumulate(), backward divides by the number of steps, as Accelerate does", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 4 });
  const model = new Weight();
  await accelerator.prepare(model);
  accelerator.backward(model.forward(tensor([2])).sum());
  assertEquals(model.weight.grad!.toArray(), [0.5]);
  const frozen = new Accelerator({
    cpu: true,
    gradientAccumulation: { syncWithDataLoader: false },
    gradientAccumulationSteps: 4,
  });
  const other = new Weight();
  const loader = new data.DataLoader(new data.TensorDataset(arange(6)), { batchSize: 1 });
  await frozen.prepare(other, loader);
  const flags: boolean[] = [];
  for (let epoch = 0; epoch < 2; epoch++) {
    for await (const _ of loader) frozen.accumulate(other, () => flags.push(frozen.syncGradients));
  }
  assertEquals(flags, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((count) => count % 4 === 0));
});

const TOKENS = `
  const [size, steps] = Deno.args.map(Number);
  const accelerator = new Accelerator({ gradientAccumulationSteps: steps });
  class Tokens extends data.Dataset {
    length = 8;
    get(index) { return index; }
  }
  const collate = (samples) => {
    const ids = samples.flatMap((i) => Array.from({ length: i + 1 }, (_, k) => k + 1));
    return [tensor(ids).unsqueeze(1), tensor(ids.map((id) => id % 2), { dtype: "int64" }), ids.length];
  };
  const model = new nn.Linear(1, 2, { bias: false });
  model.loadStateDict({ weight: tensor([[0.1], [-0.2]]) });
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.08 });
  const loader = new data.DataLoader(new Tokens(), { batchSize: size, collate });
  await accelerator.prepare(model, optimizer, loader);
  let updates = 0;
  for await (const [x, y, count] of loader) {
    accelerator.accumulate(model, () => {
      const normalizer = updates % 2 === 0 ? count : tensor(count);
      accelerator.backward(nn.functional.crossEntropy(model.forward(x), y, { reduction: "sum" }), { normalizer });
      optimizer.step();
      optimizer.zeroGrad();
    });
    if (accelerator.syncGradients) updates++;
  }
  show([updates, model.weight.reshape([-1])]);
  await accelerator.end();
`;

for (const [world, size, steps] of [[1, 4, 2], [1, 2, 4], [2, 2, 2], [2, 4, 1], [2, 1, 4], [1, 8, 1]]) {
  Deno.test(`GA-7: the token-weighted gradient is exact with ${world} ranks, batches of ${size}, ${steps} steps`, async () => {
    const shown = await shownOn(world, TOKENS.replace("Deno.args.map(Number)", `[${size}, ${steps}]`));
    assertEquals(shown.length, world);
    for (const [[updates, [a, b]]] of shown as [number, [number, number]][][]) {
      assertEquals(updates, 1);
      // Seven digits are given.
      near(a, 0.0257606, 2e-7);
      near(b, -0.1257606, 2e-7);
    }
  });
}

Deno.test("a normalizer works without accumulate(), of no tokens at all, and not beside losses without one", async () => {
  const accelerator = new Accelerator({ cpu: true, gradientAccumulationSteps: 2 });
  const model = new Weight();
  const optimizer = sgd(model);
  await accelerator.prepare(model, optimizer);
  const alone = new Accelerator({ cpu: true });
  const other = new Weight();
  await alone.prepare(other);
  alone.backward(other.forward(tensor([6])).sum(), { normalizer: 3 });
  assertEquals(other.weight.grad!.toArray(), [2]);
  for (let i = 0; i < 2; i++) {
    accelerator.accumulate(model, () => {
      accelerator.backward(model.forward(zeros([1])).sum(), { normalizer: 0 });
      optimizer.step();
      optimizer.zeroGrad();
    });
  }
  assertEquals(model.weight.toArray(), [0]);
  assertThrows(() => alone.backward(other.forward(tensor([1])).sum(), { normalizer: -1 }), RangeError, "at least 0");
  accelerator.accumulate(model, () => accelerator.backward(model.forward(tensor([1])).sum(), { normalizer: 2 }));
  assertThrows(
    () => accelerator.accumulate(model, () => accelerator.backward(model.forward(tensor([1])).sum())),
    Error,
    "give one to every backward() or to none",
  );
});
