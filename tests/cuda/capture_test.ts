import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  Accelerator,
  arange,
  CaptureError,
  data,
  manualSeed,
  memoryStats,
  nn,
  ones,
  optim,
  rand,
  randn,
  ReleasedError,
  type Tensor,
  tensor,
  tidy,
} from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";

/** The captured step runs the kernels of the eager one, so only memory and numbers could differ: the losses are the same to the last bit. */
const gpus = testDevices(import.meta.url).filter((device) => device !== "cpu");

// deno-lint-ignore no-explicit-any
type AnyOptimizer = optim.Optimizer<any>;

interface Setup {
  model?: () => nn.Module;
  optimizer?: (parameters: Tensor[]) => AnyOptimizer;
  clip?: boolean;
  schedule?: boolean;
}

const mlp = (): nn.Module =>
  new nn.Sequential(
    new nn.Linear(6, 16),
    new nn.GELU(),
    new nn.Dropout(0.3),
    new nn.LayerNorm(16),
    new nn.Linear(16, 3),
  );

/** The losses of a few epochs over 20 samples in batches of 8, and the parameters afterwards. */
async function train(captured: boolean, { model = mlp, optimizer: make, clip, schedule }: Setup = {}) {
  manualSeed(5);
  const accelerator = new Accelerator();
  const net = model();
  const optimizer = make?.(net.parameters()) ?? new optim.AdamW(net.parameters(), { lr: 1e-2 });
  const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 4, gamma: 0.5 });
  const dataset = new data.TensorDataset(randn([20, 6]), arange(20, { dtype: "int64" }).remainder(3));
  const loader = new data.DataLoader(dataset, { batchSize: 8 });
  await accelerator.prepare(net, optimizer, loader);
  const step = (x: Tensor, y: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = nn.functional.crossEntropy(net.forward(x), y);
    accelerator.backward(loss);
    if (clip) nn.utils.clipGradNorm(net.parameters(), 0.1);
    optimizer.step();
    if (schedule) scheduler.step();
    return loss;
  };
  const run = captured ? accelerator.capture(step) : step;
  const losses: Tensor[] = [];
  for (let epoch = 0; epoch < 4; epoch++) for await (const [x, y] of loader) losses.push(run(x, y));
  const after = randn([3]).toArray();
  const parameters = net.parameters().map((parameter) => [...parameter.data()]);
  const result = { losses: losses.map((loss) => loss.item()), parameters, after, lr: optimizer.paramGroups[0].lr };
  await accelerator.end();
  return result;
}

const OPTIMIZERS: Record<string, (parameters: Tensor[]) => AnyOptimizer> = {
  SGD: (parameters) => new optim.SGD(parameters, { lr: 0.1 }),
  "SGD with momentum": (parameters) => new optim.SGD(parameters, { lr: 0.1, momentum: 0.9, nesterov: true }),
  AdamW: (parameters) => new optim.AdamW(parameters, { lr: 1e-2 }),
  NAdam: (parameters) => new optim.NAdam(parameters, { lr: 1e-2 }),
  RMSprop: (parameters) => new optim.RMSprop(parameters, { lr: 1e-2, centered: true, momentum: 0.5 }),
  Adagrad: (parameters) => new optim.Adagrad(parameters, { lr: 1e-2, lrDecay: 0.1 }),
  Lion: (parameters) => new optim.Lion(parameters, { lr: 1e-2 }),
  Adafactor: (parameters) => new optim.Adafactor(parameters),
  "two groups": (parameters) =>
    new optim.AdamW([{ params: parameters.slice(0, 2) }, { params: parameters.slice(2), lr: 1e-3, weightDecay: 0 }]),
};

for (const device of gpus) {
  for (const [name, optimizer] of Object.entries(OPTIMIZERS)) {
    Deno.test(`a captured step trains like an eager one: ${name} (${device})`, async () => {
      const eager = await train(false, { optimizer });
      assertNotEquals(eager.losses[0], eager.losses[11]);
      assertEquals(await train(true, { optimizer }), eager);
    });
  }

  Deno.test(`a captured step may clip gradients and step a schedule (${device})`, async () => {
    const eager = await train(false, { clip: true, schedule: true });
    assertEquals(eager.lr, 1e-2 * 0.5 ** 3);
    assertEquals(await train(true, { clip: true, schedule: true }), eager);
  });

  Deno.test(`dropout inside attention draws new numbers in each replay (${device})`, async () => {
    class Attending extends nn.Module {
      readonly project = new nn.Linear(6, 24);
      readonly head = new nn.Linear(8, 3);
      override forward(x: Tensor): Tensor {
        const [q, k, v] = this.project.forward(x).reshape([x.shape[0], 1, 3, 8]).chunk(3, { dim: 2 });
        const seen = nn.functional.scaledDotProductAttention(
          q.reshape([1, 1, x.shape[0], 8]),
          k.reshape([1, 1, x.shape[0], 8]),
          v.reshape([1, 1, x.shape[0], 8]),
          { dropoutP: 0.4 },
        );
        return this.head.forward(seen.reshape([x.shape[0], 8]));
      }
    }
    const model = (): nn.Module => new Attending();
    const eager = await train(false, { model });
    assertEquals(await train(true, { model }), eager);
  });

  Deno.test(`replays continue the stream of random numbers, also after manualSeed() (${device})`, async () => {
    const accelerator = new Accelerator();
    const draw = (): Tensor => rand([5], { device: accelerator.device });
    const captured = accelerator.capture(draw);
    const values = (fn: () => Tensor): unknown[] => {
      manualSeed(9);
      const first = [fn(), fn(), fn()].map((x) => x.isReleased ? null : x.toArray());
      manualSeed(2 ** 40 + 3);
      return [first[2], fn().toArray(), fn().toArray(), rand([2]).toArray()];
    };
    assertEquals(values(captured), values(draw));
    await accelerator.end();
  });

  Deno.test(`each shape has a graph, up to a number (${device})`, async () => {
    const accelerator = new Accelerator();
    let calls = 0;
    const double = accelerator.capture((x: { value: Tensor }, factor: number) => {
      calls++;
      return x.value.mul(factor).sum();
    }, { maxGraphs: 3 });
    const run = (size: number, factor: number): number =>
      double({ value: ones([size], { device: accelerator.device }) }, factor).item();
    for (let round = 0; round < 4; round++) assertEquals([run(3, 2), run(4, 2), run(3, 5)], [6, 8, 15]);
    // Eager, then recorded: a plain value is a part of the graph.
    assertEquals(calls, 6);
    assertEquals(run(7, 2), 14);
    assertThrows(() => run(7, 2), CaptureError, "there are 3 graphs for other shapes already");
    assertThrows(() => double(new Map() as never, 1), CaptureError, "takes a Map");
    double.dispose();
    assertEquals(run(7, 2), 14);
    await accelerator.end();
  });

  Deno.test(`inputs may lie on the host, be strided, or change between calls (${device})`, async () => {
    const accelerator = new Accelerator();
    const add = accelerator.capture((a: Tensor, b: Tensor) => a.add(b));
    for (let i = 0; i < 4; i++) {
      const host = tensor([[i, 2], [3, 4]]);
      const strided = tensor([[10, 20], [30, 40 + i]], { device: accelerator.device }).transpose(0, 1);
      assertEquals(add(i === 0 ? host.to({ device: accelerator.device }) : host, strided).toArray(), [
        [10 + i, 32],
        [23, 44 + i],
      ]);
    }
    await accelerator.end();
  });

  Deno.test(`a returned tensor is released by the next call, a scalar is not (${device})`, async () => {
    const accelerator = new Accelerator();
    const both = accelerator.capture((x: Tensor) => ({ squares: x.square(), total: x.sum(), name: "both" }));
    const results = [1, 2, 3, 4].map((value) => {
      const { squares, total, name } = both(tensor([value, value], { device: accelerator.device }));
      assertEquals([squares.toArray(), name], [[value * value, value * value], "both"]);
      return { squares, total };
    });
    assertEquals(results.map(({ total }) => total.item()), [2, 4, 6, 8]);
    assertEquals(results[3].squares.toArray(), [16, 16]);
    assertThrows(() => results[2].squares.toArray(), ReleasedError, "the next call of the captured step; clone() it");
    await accelerator.end();
  });

  Deno.test(`what cannot be captured is a CaptureError that names it, and the next call works (${device})`, async () => {
    const accelerator = new Accelerator();
    const place = { device: accelerator.device };
    const model = new nn.Linear(2, 1);
    const optimizer = new optim.AdamW(model.parameters(), { lr: 0.1 });
    const muon = new optim.Muon([new nn.Linear(2, 2, { bias: false }).to(place).weight]);
    await accelerator.prepare(model, optimizer);
    const plateau = new optim.lrScheduler.ReduceLROnPlateau(optimizer);
    const x = ones([1, 2], place);
    let action: (loss: Tensor) => unknown = () => 0;
    const fresh = new optim.SGD([tensor([1], { ...place, requiresGrad: true })], { lr: 1, momentum: 0.9 });
    const step = accelerator.capture((input: Tensor) => {
      optimizer.zeroGrad();
      const loss = model.forward(input).square().sum();
      accelerator.backward(loss);
      optimizer.step();
      return action(loss) ?? loss;
    });
    // The second call has gradients to clear.
    for (let i = 0; i < 2; i++) step(x);
    const refused: [(loss: Tensor) => unknown, string][] = [
      [(loss) => loss.item(), "Cannot record item() in a captured step: it needs a value on the host"],
      [(loss) => loss.data(), "Cannot record data()"],
      [(loss) => loss.to({ device: "cpu" }), "Cannot record to()"],
      [() => tensor([1, 2], place), "Cannot record a tensor made of values of the host"],
      [() => x.nonzero(), "Cannot record data()"],
      [() => muon.step(), "Cannot record Muon.step()"],
      [() => plateau.step(1), "Cannot record ReduceLROnPlateau.step()"],
      [(loss) => Promise.resolve(loss), "a step that returns a Promise"],
      [() => {
        const [{ params: [parameter] }] = fresh.paramGroups;
        parameter.sum().backward();
        fresh.step();
      }, "Cannot record SGD.step() in a captured step: it makes the state"],
    ];
    const before = optimizer.stateDict().state[0].step;
    const weights = model.weight.toArray();
    for (const [what, message] of refused) {
      action = what;
      assertThrows(() => void step(x), CaptureError, message);
    }
    action = () => {
      throw new Error("of the user");
    };
    assertThrows(() => void step(x), Error, "of the user");
    assertEquals([optimizer.stateDict().state[0].step, model.weight.toArray()], [before, weights]);
    action = () => undefined;
    step(x);
    assertEquals(optimizer.stateDict().state[0].step, before + 1);
    assertNotEquals(model.weight.toArray(), weights);
    await accelerator.end();
  });

  Deno.test(`gradients are as the step leaves them, whoever clears them (${device})`, async () => {
    const accelerator = new Accelerator();
    const model = new nn.Linear(2, 1, { bias: false });
    const optimizer = new optim.SGD(model.parameters(), { lr: 0 });
    await accelerator.prepare(model, optimizer);
    const backward = accelerator.capture((x: Tensor) => accelerator.backward(model.forward(x).sum()));
    const x = ones([1, 2], { device: accelerator.device });
    const seen: unknown[] = [];
    // One window of three backward passes is recorded as two graphs: one that sets the gradient and one that adds to it.
    for (let window = 0; window < 3; window++) {
      optimizer.zeroGrad();
      for (let i = 0; i < 3; i++) {
        backward(x);
        seen.push(model.weight.grad!.toArray());
      }
      optimizer.step();
    }
    assertEquals(seen, [1, 2, 3, 1, 2, 3, 1, 2, 3].map((value) => [[value, value]]));
    await accelerator.end();
  });

  Deno.test(`replays leave no storage behind, and dispose() frees what graphs keep (${device})`, async () => {
    const accelerator = new Accelerator();
    const before = memoryStats(device);
    const model = mlp();
    const optimizer = new optim.AdamW(model.parameters());
    await accelerator.prepare(model, optimizer);
    const step = accelerator.capture((x: Tensor) => {
      optimizer.zeroGrad();
      accelerator.backward(model.forward(x).square().mean());
      optimizer.step();
      return model.forward(x);
    });
    const x = randn([4, 6], { device: accelerator.device }).keep();
    const run = (): void => tidy(() => void step(x));
    for (let i = 0; i < 3; i++) run();
    const { liveStorages, recordedBytes } = memoryStats(device);
    for (let i = 0; i < 20; i++) run();
    const after = memoryStats(device);
    assertEquals([after.liveStorages, after.recordedBytes], [liveStorages, recordedBytes]);
    assert(recordedBytes > 0);
    step.dispose();
    assertEquals(memoryStats(device).recordedBytes, before.recordedBytes);
    run();
    await accelerator.end();
  });
}

Deno.test("on the CPU a captured step is the step itself", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const seen: number[] = [];
  using step = accelerator.capture((x: Tensor) => {
    seen.push(x.sum().item());
    return x.mul(2);
  });
  const results = [1, 2, 3].map((value) => step(tensor([value], { device: "cpu" })));
  assertEquals([seen, results.map((x) => x.toArray())], [[1, 2, 3], [[2], [4], [6]]]);
  assertThrows(
    () => accelerator.capture(() => 0, { maxGraphs: 0 }),
    RangeError,
    "maxGraphs must be a positive integer",
  );
  await accelerator.end();
});
