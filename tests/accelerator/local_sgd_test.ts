import { assert, assertEquals, assertThrows } from "@std/assert";
import { Accelerator, LocalSGD, nn } from "../../mod.ts";
import { shownOn } from "../_support/ranks.ts";
import "../_support/on_cpu.ts";

const script = (options: string, steps = 1): string => `
  const accelerator = new Accelerator({ gradientAccumulationSteps: ${steps} });
  const r = accelerator.processIndex;
  const model = new nn.Linear(1, 1, { bias: false });
  model.loadStateDict({ weight: tensor([[0]]) });
  const optimizer = new optim.SGD(model.parameters(), { lr: 1 });
  await accelerator.prepare(model, optimizer);
  const weights = [];
  const train = async (step) => {
    accelerator.accumulate(model, () => {
      accelerator.backward(model.forward(tensor([[r + 1]])).sum());
      optimizer.step();
      optimizer.zeroGrad();
    });
    await step();
    weights.push(model.weight.item());
  };
  {
    await using local = new LocalSGD(accelerator, model, ${options});
    for (let i = 0; i < 5; i++) await train(() => local.step());
  }
  weights.push(model.weight.item());
  await train(() => {});
  show(weights);
  await accelerator.end();
`;

Deno.test("LocalSGD takes local steps, averages every second one and at the end, then gradients are averaged again", async () => {
  assertEquals(await shownOn(2, script("{ localSgdSteps: 2 }")), [
    [[-1, -3, -4, -6, -7, -7.5, -9]],
    [[-2, -3, -5, -6, -8, -7.5, -9]],
  ]);
});

Deno.test("LocalSGD counts optimizer steps, does nothing when it is disabled or in one process", async () => {
  // Windows of two micro-batches: steps after the second and the fourth, the fifth is open at the end.
  assertEquals(await shownOn(2, script("{ localSgdSteps: 2 }", 2)), [
    [[0, -1, -1, -3, -3, -3, -4.5]],
    [[0, -2, -2, -3, -3, -3, -4.5]],
  ]);
  const averaged = [[-1.5, -3, -4.5, -6, -7.5, -7.5, -9]];
  assertEquals(await shownOn(2, script("{ localSgdSteps: 2, enabled: false }")), [averaged, averaged]);
  assertEquals(await shownOn(1, script("{ localSgdSteps: 2 }")), [[[-1, -2, -3, -4, -5, -5, -6]]]);
});

Deno.test("LocalSGD needs a prepared model and a positive number of steps", async () => {
  const accelerator = new Accelerator({ cpu: true });
  const model = new nn.Linear(1, 1);
  assertThrows(() => new LocalSGD(accelerator, model, { localSgdSteps: 2 }), Error, "prepare()");
  await accelerator.prepare(model);
  assertThrows(() => new LocalSGD(accelerator, model, { localSgdSteps: 0 }), RangeError, "positive integer");
  assert(await new LocalSGD(accelerator, model, { localSgdSteps: 1 }).step() === undefined);
});
