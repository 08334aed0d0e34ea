// Ranks with different numbers of batches: row JOIN-1 of Accelerate's behaviour.
import { assert, assertEquals } from "@std/assert";
import { shownOn } from "../_support/ranks.ts";

// B16.
Deno.test("JOIN-1, B16: ranks with different numbers of batches end together, with the same parameters and state", async () => {
  const shown = await shownOn(
    2,
    `
    const accelerator = new Accelerator();
    manualSeed(1);
    const model = new nn.Sequential(new nn.Linear(1, 4), new nn.BatchNorm1d(4), new nn.Linear(4, 1));
    const optimizer = new optim.AdamW(model.parameters(), { lr: 0.1 });
    const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 2, gamma: 0.5 });
    const x = randn([6, 1]);
    const loader = new data.DataLoader(new data.TensorDataset(x, x.mul(2)), { batchSize: 2 });
    const other = new data.DataLoader(new data.TensorDataset(x), { batchSize: 6 });
    await accelerator.prepare(model, optimizer, loader, other, scheduler);
    const lengths = [loader.length, other.length];
    let count = 0;
    for (let epoch = 0; epoch < 2; epoch++) {
      await accelerator.joinUnevenInputs(model, async () => {
        lengths.push(loader.length, other.length);
        for await (const [input, target] of loader) {
          optimizer.zeroGrad();
          accelerator.backward(nn.functional.mseLoss(model.forward(input), target));
          optimizer.step();
          scheduler.step();
          count++;
        }
      });
    }
    lengths.push(loader.length, other.length);
    const state = optimizer.stateDict();
    show({
      lengths, count,
      parameters: Object.values(model.stateDict()).map((t) => t.reshape([-1])),
      moments: Object.values(state.state).map(({ step, exp_avg }) => [step, exp_avg.reshape([-1])]),
      rate: scheduler.getLastLr(),
    });
    await accelerator.end();
  `,
  ) as Record<string, unknown>[][];
  const [[first], [second]] = shown;
  // 6 samples by 2 are three batches, by 6 one.
  assertEquals(first.lengths, [2, 1, 2, 1, 2, 1, 2, 1]);
  assertEquals(second.lengths, [2, 1, 1, 0, 1, 0, 2, 1]);
  assertEquals([first.count, second.count], [4, 2]);
  assertEquals(second.parameters, first.parameters);
  assertEquals(second.moments, first.moments);
  assertEquals(second.rate, first.rate);
});

const UNEVEN = (n: number, size: number, weighted: boolean): string => `
  const accelerator = new Accelerator({ dataLoader: { evenBatches: false } });
  const model = new nn.Linear(1, 1);
  model.loadStateDict({ weight: tensor([[0.5]]), bias: tensor([0.25]) });
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
  const x = arange(${n}, { dtype: "float32" }).unsqueeze(1);
  const loader = new data.DataLoader(new data.TensorDataset(x, x.mul(3)), { batchSize: ${size} / accelerator.numProcesses });
  await accelerator.prepare(model, optimizer, loader);
  let batches = 0;
  const metrics = [], names = [];
  for (let epoch = 0; epoch < 2; epoch++) {
    await accelerator.joinUnevenInputs(model, async () => {
      for await (const [input, target] of loader) {
        batches++;
        optimizer.zeroGrad();
        const output = model.forward(input);
        const loss = output.sub(target).square().sum();
        if (${weighted}) accelerator.backward(loss, { normalizer: input.length });
        else accelerator.backward(loss.div(input.length));
        optimizer.step();
        const all = await accelerator.gatherForMetrics({ input: input.squeeze(1), name: Array.from(input.data(), (v) => "s" + v),
          loss: loss });
        metrics.push(...all.input.toArray());
        names.push(...all.name);
        if (all.loss.size > accelerator.numProcesses) throw new Error("a loss of a rank without a batch");
      }
    });
  }
  show([batches, model.weight.item(), model.bias.item(), metrics, names]);
  await accelerator.end();
`;

Deno.test("JOIN-1: batches of 1 on 2 ranks: 3 samples are 2 and 1 batches, without a hang", async () => {
  const [[[first]], [[second]]] = await shownOn(2, UNEVEN(3, 2, false)) as number[][][];
  assertEquals([first, second], [4, 2]);
});

for (const world of [2, 3]) {
  Deno.test(`joined training on ${world} ranks is that of one process when losses are weighted, to the last sample`, async () => {
    const [[one]] = await shownOn(1, UNEVEN(13, 6, true)) as [number, number, number, number[], string[]][][];
    const shown = await shownOn(world, UNEVEN(13, 6, true)) as [number, number, number, number[], string[]][][];
    assert(shown[world - 1][0][0] < shown[0][0][0], "the last rank has fewer batches");
    for (const [[, weight, bias]] of shown) {
      assertEquals([weight, bias], shown[0][0].slice(1, 3), "all ranks end with the same parameters");
      assert(
        Math.abs(weight - one[1]) <= 2e-6 && Math.abs(bias - one[2]) <= 2e-6,
        `${weight} ${bias}, one process ${one}`,
      );
    }
    // The rank that has all batches has seen all metrics.
    assertEquals(shown[0][0].slice(3), one.slice(3));
  });
}

Deno.test("joined training accumulates: what a rank has left when its batches end goes into the next step of the others", async () => {
  const script = (batch: number): string => `
    const accelerator = new Accelerator({ gradientAccumulationSteps: 2 });
    const model = new nn.Linear(1, 1);
    model.loadStateDict({ weight: tensor([[0.5]]), bias: tensor([0.25]) });
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01 });
    const x = arange(7, { dtype: "float32" }).unsqueeze(1);
    const loader = new data.DataLoader(new data.TensorDataset(x, x.mul(3)), { batchSize: ${batch} });
    await accelerator.prepare(model, optimizer, loader);
    let updates = 0;
    await accelerator.joinUnevenInputs(model, async () => {
      for await (const [input, target] of loader) {
        accelerator.accumulate(model, () => {
          accelerator.backward(model.forward(input).sub(target).square().sum(), { normalizer: input.length });
          optimizer.step();
          optimizer.zeroGrad();
        });
        if (accelerator.syncGradients) updates++;
      }
    });
    show([updates, model.weight.item(), model.bias.item()]);
    await accelerator.end();
  `;
  const [[[, weight, bias]]] = await shownOn(1, script(2)) as number[][][];
  const shown = await shownOn(2, script(1)) as number[][][];
  assertEquals(shown.map(([[updates]]) => updates), [2, 1]);
  for (const [[, ownWeight, ownBias]] of shown) {
    assert(Math.abs(weight - ownWeight) <= 2e-6 && Math.abs(bias - ownBias) <= 2e-6, `${ownWeight} ${weight}`);
  }
});

Deno.test("inside of a joined region, what would wait for a rank without a batch throws its sentence", async () => {
  const [[[message, restored]]] = await shownOn(
    2,
    `
    const accelerator = new Accelerator();
    const model = new nn.Linear(1, 1);
    const loader = new data.DataLoader(new data.TensorDataset(arange(3)), { batchSize: 1 });
    await accelerator.prepare(model, loader);
    let message = "";
    await accelerator.joinUnevenInputs(model, async () => {
      try { await accelerator.reduce(tensor([1])); } catch (error) { message = error.message; }
    });
    show([message, loader.length]);
    await accelerator.end();
  `,
  ) as [string, number][][];
  assert(message.startsWith("Cannot call reduce inside joinUnevenInputs(): every rank must take part"), message);
  assertEquals(restored, 2);
});
