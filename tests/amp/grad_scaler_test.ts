import { assert, assertEquals, assertThrows } from "@std/assert";
import { autocast, AutogradError, GradScaler, nn, noGrad, ones, optim, tensor, tidy } from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";
import golden from "../golden/autocast.json" with { type: "json" };

for (const device of testDevices(import.meta.url)) {
  Deno.test(`MP-2: scale, tracker and weights follow PyTorch's through infinities (${device})`, () => {
    const weight = new nn.Parameter(ones([1], { device }));
    const optimizer = new optim.SGD([weight], { lr: 0.5 });
    const { pattern, settings, rows } = golden.trace;
    const scaler = new GradScaler(settings);
    const trace = pattern.map((bad) => {
      optimizer.zeroGrad();
      scaler.scale(weight.sum().mul(bad ? Infinity : 1)).backward();
      assertEquals(scaler.step(optimizer), bad === 0);
      scaler.update();
      const { _growth_tracker } = scaler.stateDict();
      return [scaler.getScale(), _growth_tracker, weight.item()];
    });
    assertEquals(trace, rows);
  });
}

Deno.test("float16 gradients that would vanish survive, and are clipped unscaled", () => {
  // 2^-20 is below float16's smallest normal number, and the gradient of y is 2^-26, below its smallest.
  const weight = new nn.Parameter(ones([4, 4]));
  const gradientOf = (scaler: GradScaler): number => {
    weight.grad = null;
    const optimizer = new optim.SGD([weight], { lr: 0 });
    const loss = autocast(() => ones([2, 4]).matmul(weight).mul(2 ** -26).sum(), { dtype: "float16" });
    scaler.scale(loss).backward();
    scaler.unscale(optimizer);
    const norm = nn.utils.clipGradNorm([weight], 1).item();
    assert(scaler.step(optimizer));
    scaler.update();
    return norm;
  };
  assertEquals(gradientOf(new GradScaler({ enabled: false })), 0);
  // 65536 itself is infinite in float16.
  assertEquals(gradientOf(new GradScaler({ initScale: 1024 })), 2 ** -25 * 4);
});

Deno.test("an infinity anywhere in flat gradients of several parameters leaves the step out; NaN too", () => {
  const model = new nn.Sequential(new nn.Linear(3, 5), new nn.Linear(5, 2));
  const optimizer = new optim.AdamW(model.parameters());
  const scaler = new GradScaler();
  for (const bad of [Infinity, -Infinity, NaN]) {
    for (const victim of model.parameters()) {
      optimizer.zeroGrad();
      tidy(() => scaler.scale(model.forward(ones([1, 3])).sum()).backward());
      noGrad(() => victim.grad!.reshape([-1]).select(0, victim.size - 1).fill_(bad));
      const before = model.parameters().map((p) => p.toArray());
      assertEquals(scaler.step(optimizer), false);
      scaler.update();
      assertEquals(model.parameters().map((p) => p.toArray()), before);
    }
  }
});

Deno.test("a state goes round, and PyTorch's is taken", () => {
  const scaler = new GradScaler({ initScale: 1024, growthFactor: 4 });
  // torch.amp.GradScaler(init_scale=1024, growth_factor=4).state_dict()
  const state = { scale: 1024, growth_factor: 4, backoff_factor: 0.5, growth_interval: 2000, _growth_tracker: 0 };
  assertEquals(scaler.stateDict(), state);
  const other = new GradScaler();
  other.loadStateDict({ ...state, scale: 2, _growth_tracker: 7 });
  assertEquals(other.stateDict(), { ...state, scale: 2, _growth_tracker: 7 });
  assertThrows(() => other.loadStateDict({ scale: 1 } as never), RangeError, "growth_factor must be a number");
  assertEquals(other.getScale(), 2);
  assertEquals(new GradScaler({ enabled: false }).stateDict(), {});
});

Deno.test("a scaler refuses wrong settings and calls out of order", () => {
  assertThrows(() => new GradScaler({ growthFactor: 1 }), RangeError, "growthFactor must be above 1");
  assertThrows(() => new GradScaler({ backoffFactor: 1 }), RangeError, "backoffFactor must be between 0 and 1");
  assertThrows(() => new GradScaler({ initScale: 0 }), RangeError, "initScale must be above 0");
  assertThrows(() => new GradScaler({ growthInterval: 0.5 }), RangeError, "positive integer");
  const weight = new nn.Parameter(tensor([1]));
  const optimizer = new optim.SGD([weight], { lr: 1 });
  const scaler = new GradScaler();
  assertThrows(() => scaler.update(), AutogradError, "no step() came before");
  weight.grad = ones([1]);
  scaler.unscale(optimizer);
  assertThrows(() => scaler.unscale(optimizer), AutogradError, "twice");
  scaler.step(optimizer);
  assertThrows(() => scaler.step(optimizer), AutogradError, "twice");
  assertThrows(() => scaler.unscale(optimizer), AutogradError, "after step()");
  scaler.update(4);
  assertEquals(scaler.getScale(), 4);
  assertThrows(() => scaler.update(-1), RangeError, "above 0");
});
