import { assert, assertEquals, assertThrows } from "@std/assert";
import { optim, tensor, zeros } from "../../mod.ts";
import golden from "../golden/schedulers.json" with { type: "json" };

const schedules = optim.lrScheduler;

interface Case {
  optimizer: string;
  options: Record<string, unknown>;
  lrs: number[][];
  momenta: number[][];
}

type Groups = { lr: number; initialLr?: number; momentum?: number; betas?: [number, number] }[];

type AnyOptimizer = optim.Optimizer<{ lr: number }>;

interface AnyScheduler {
  step(metric?: number): void;
  getLastLr(): number[];
  stateDict(): optim.lrScheduler.SchedulerStateDict;
  loadStateDict(dict: optim.lrScheduler.SchedulerStateDict): void;
}

const LAMBDAS: Record<string, optim.lrScheduler.LrLambda | optim.lrScheduler.LrLambda[]> = {
  "LambdaLR": (step) => 1 / (1 + 0.1 * step),
  "LambdaLR groups": [(step) => 0.9 ** step, (step) => 1 - step / 100],
  "MultiplicativeLR": (step) => step % 2 ? 0.99 : 1.005,
  "CyclicLR function": (x) => 1 / (1 + x),
};

function makeOptimizer(kind: string): AnyOptimizer {
  const parameter = () => zeros([2], { requiresGrad: true });
  const groups = [{ params: [parameter()] }, { params: [parameter()], lr: 0.05 }];
  return kind === "SGD" ? new optim.SGD(groups, { lr: 0.1, momentum: 0.9 }) : new optim.AdamW(groups, { lr: 0.1 });
}

function makeScheduler(name: string, optimizer: AnyOptimizer, options: Record<string, unknown>): AnyScheduler {
  const kind = name.split(" ")[0];
  const { SequentialLR, ChainedScheduler, ConstantLR, ExponentialLR, StepLR, LinearLR } = schedules;
  switch (name) {
    case "SequentialLR": {
      const parts = [
        new LinearLR(optimizer, { totalIters: 10 }),
        new schedules.CosineAnnealingLR(optimizer, { tMax: 30 }),
      ];
      return new SequentialLR(optimizer, { schedulers: parts, milestones: [10] });
    }
    case "SequentialLR three": {
      const parts = [
        new ConstantLR(optimizer, { factor: 0.1, totalIters: 100 }),
        new StepLR(optimizer, { stepSize: 5, gamma: 0.5 }),
        new schedules.CosineAnnealingWarmRestarts(optimizer, { t0: 7 }),
      ];
      return new SequentialLR(optimizer, { schedulers: parts, milestones: [8, 25] });
    }
    case "ChainedScheduler":
      return new ChainedScheduler([
        new ConstantLR(optimizer, { factor: 0.5, totalIters: 20 }),
        new ExponentialLR(optimizer, { gamma: 0.97 }),
      ]);
  }
  if (kind === "cosineWithWarmup") return optim.cosineWithWarmup(optimizer, options as never);
  const all = schedules as unknown as Record<string, new (o: AnyOptimizer, a: unknown, b?: unknown) => AnyScheduler>;
  if (kind === "CyclicLR" && name in LAMBDAS) return new all[kind](optimizer, { ...options, scaleFn: LAMBDAS[name] });
  return name in LAMBDAS ? new all[kind](optimizer, LAMBDAS[name], options) : new all[kind](optimizer, options);
}

// The same formulas in double; cosines of two C libraries may differ in the last bit, which a ratio near the end of a wave enlarges.
function assertSame(actual: number[], expected: number[], where: string): void {
  assertEquals(actual.length, expected.length, where);
  actual.forEach((value, i) => {
    assert(
      Math.abs(value - expected[i]) <= 1e-10 * Math.abs(expected[i]) + 1e-15,
      `${where}: ${value}, PyTorch ${expected[i]}`,
    );
  });
}

function momenta(optimizer: AnyOptimizer): number[] {
  return (optimizer.paramGroups as unknown as Groups).map(({ momentum, betas }) => betas?.[0] ?? momentum!);
}

for (const [name, example] of Object.entries(golden.cases) as unknown as [string, Case][]) {
  const advance = (scheduler: AnyScheduler, step: number): void =>
    name.startsWith("Reduce") ? scheduler.step(golden.metrics[step]) : scheduler.step();

  Deno.test(`${name} has PyTorch's learning rates for 60 steps`, () => {
    const optimizer = makeOptimizer(example.optimizer);
    const scheduler = makeScheduler(name, optimizer, example.options);
    assertEquals(example.lrs.length, 61);
    for (let step = 0; step <= 60; step++) {
      assertSame(scheduler.getLastLr(), example.lrs[step], `step ${step}`);
      assertEquals(optimizer.paramGroups.map(({ lr }) => lr), scheduler.getLastLr());
      assertSame(momenta(optimizer), example.momenta[step], `momentum of step ${step}`);
      if (step < 60) advance(scheduler, step);
    }
  });

  Deno.test(`${name} goes on from its state dict, which JSON can hold`, () => {
    const optimizer = makeOptimizer(example.optimizer);
    const scheduler = makeScheduler(name, optimizer, example.options);
    for (let step = 0; step < 23; step++) advance(scheduler, step);
    const saved = JSON.parse(JSON.stringify([scheduler.stateDict(), optimizer.stateDict()]));

    const resumed = makeOptimizer(example.optimizer);
    const follower = makeScheduler(name, resumed, example.options);
    follower.loadStateDict(saved[0]);
    resumed.loadStateDict(saved[1]);
    assertSame(follower.getLastLr(), example.lrs[23], "step 23");
    for (let step = 23; step < 60; step++) {
      advance(follower, step);
      assertSame(follower.getLastLr(), example.lrs[step + 1], `step ${step + 1}`);
      assertSame(momenta(resumed), example.momenta[step + 1], `momentum of step ${step + 1}`);
    }
  });
}

for (const [name, lrs] of Object.entries(golden.goingOn)) {
  Deno.test(`${name} with lastEpoch 6 has PyTorch's learning rates`, () => {
    const { optimizer: kind, options } = (golden.cases as unknown as Record<string, Case>)[name];
    const optimizer = makeOptimizer(kind);
    for (const group of optimizer.paramGroups as unknown as Groups) group.initialLr = 2 * group.lr;
    const scheduler = makeScheduler(name, optimizer, { ...options, lastEpoch: 6 });
    lrs.forEach((expected, step) => {
      assertSame(scheduler.getLastLr(), expected, `step ${step}`);
      scheduler.step();
    });
  });
}

Deno.test("a schedule changes lr without touching the optimizer's state", () => {
  const x = tensor([1], { requiresGrad: true });
  const optimizer = new optim.SGD([x], { lr: 1, momentum: 0.5 });
  const scheduler = new schedules.LambdaLR(optimizer, (step) => 1 / 2 ** step);
  for (let i = 0; i < 2; i++) {
    optimizer.zeroGrad();
    x.sum().backward();
    optimizer.step();
    scheduler.step();
  }
  assertEquals(x.item(), 1 - 1 - 0.5 * 1.5);
});

Deno.test("ReduceLROnPlateau takes a tensor as metric", () => {
  const optimizer = makeOptimizer("SGD");
  const scheduler = new schedules.ReduceLROnPlateau(optimizer, { patience: 0, factor: 0.5 });
  scheduler.step(tensor(1));
  scheduler.step(tensor(2));
  assertEquals(scheduler.getLastLr(), [0.05, 0.025]);
});

Deno.test("schedules refuse what they cannot follow, with a sentence", () => {
  const optimizer = makeOptimizer("SGD");
  const { StepLR, LambdaLR, LinearLR, OneCycleLR, CyclicLR, SequentialLR, ReduceLROnPlateau, ExponentialLR } =
    schedules;
  const linear = new LinearLR(optimizer);
  const bad: [() => unknown, string][] = [
    [() => new StepLR(optimizer, { stepSize: 0 }), "stepSize 0: it must be a positive integer"],
    [() => new StepLR(makeOptimizer("SGD"), { stepSize: 2, lastEpoch: 3 }), "group 0 has no initialLr"],
    [() => new LambdaLR(optimizer, [() => 1]), "lrLambda has 1 values for 2 parameter groups"],
    [() => new LinearLR(optimizer, { startFactor: 0 }), "startFactor 0: it must be in (0, 1]"],
    [() => new OneCycleLR(optimizer, { maxLr: 1 }), "give totalSteps, or epochs and stepsPerEpoch"],
    [() => new OneCycleLR(new optim.Adagrad([zeros([1])]), { maxLr: 1, totalSteps: 9 }), "neither momentum nor betas"],
    [() => new CyclicLR(optimizer, { baseLr: 0.1, maxLr: 1, mode: "square" as never }), 'mode "square"'],
    [() => new SequentialLR(optimizer, { schedulers: [linear], milestones: [1] }), "give 0 milestones, got 1"],
    [() => new SequentialLR(makeOptimizer("SGD"), { schedulers: [linear], milestones: [] }), "another optimizer"],
    [() => new ReduceLROnPlateau(optimizer, { factor: 1 }), "factor 1: it must be below 1"],
    [() => new ReduceLROnPlateau(optimizer, { minLr: [0] }), "minLr has 1 values"],
    [() => optim.cosineWithWarmup(optimizer, { warmupSteps: 1, totalSteps: 0 }), "totalSteps 0"],
  ];
  for (const [make, message] of bad) assertThrows(make, RangeError, message);
  assertThrows(() => new LambdaLR(optimizer, 0.5 as never), TypeError, "give functions of the step");

  const cycle = new OneCycleLR(makeOptimizer("SGD"), { maxLr: 1, totalSteps: 2 });
  cycle.step();
  cycle.step();
  assertThrows(() => cycle.step(), RangeError, "the cycle has 2. Make totalSteps larger");

  const grown = makeOptimizer("SGD");
  const scheduler = new ExponentialLR(grown, { gamma: 0.5 });
  grown.addParamGroup({ params: [zeros([1])] });
  scheduler.step();
  assertEquals(scheduler.getLastLr(), [0.05, 0.025, 0.05]);
  const lambda = new LambdaLR(grown, () => 1);
  grown.addParamGroup({ params: [zeros([1])] });
  assertThrows(() => lambda.step(), RangeError, "Make a new schedule after addParamGroup()");
});
