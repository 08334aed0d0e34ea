import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AutogradError,
  manualSeed,
  memoryStats,
  nn,
  noGrad,
  rand,
  randn,
  type Tensor,
  tensor,
  tidy,
} from "../../mod.ts";

const { checkpoint } = nn.utils;

function block(): nn.Sequential {
  return new nn.Sequential(
    new nn.Linear(16, 64),
    new nn.GELU(),
    new nn.Dropout(0.2),
    new nn.Linear(64, 16),
    new nn.Tanh(),
  );
}

function bitsOf(tensors: Tensor[]): string[] {
  return tensors.map((x) => Array.from(x.data(), Number).join());
}

Deno.test("checkpoint() gives the values and gradients of the plain run bit for bit, dropout and nesting included", () => {
  manualSeed(1);
  const blocks = [block(), block(), block(), block()];
  const input = randn([32, 16]);
  const plain = (x: Tensor): Tensor => blocks.reduce((h, b) => b.forward(h), x);
  const each = (x: Tensor): Tensor => blocks.reduce((h, b) => checkpoint((a: Tensor) => b.forward(a), h), x);
  const pair = (h: Tensor, i: number): Tensor =>
    checkpoint((a: Tensor) => blocks[i + 1].forward(checkpoint((c: Tensor) => blocks[i].forward(c), a)), h);
  const nested = (x: Tensor): Tensor => checkpoint((a: Tensor) => pair(pair(a, 0), 2), x);
  const live: number[] = [];
  const results = [plain, each, nested].map((forward) =>
    tidy(() => {
      manualSeed(7);
      const x = input.detach().requiresGrad_();
      for (const b of blocks) b.zeroGrad();
      const before = memoryStats().liveBytes;
      const out = forward(x);
      live.push(memoryStats().liveBytes - before);
      // What is drawn after the forward pass must not depend on backward drawing the dropout again.
      out.mul(rand(out.shape)).sum().backward();
      return bitsOf([out, rand([4]), x.grad!, ...blocks.flatMap((b) => b.parameters().map((p) => p.grad!))]);
    })
  );
  assertEquals(results[0].length, 3 + 16);
  assertEquals(results[1], results[0]);
  assertEquals(results[2], results[0]);
  // Every block keeps its input (32 x 16 floats) instead of at least its input, two hidden layers (32 x 64) and its output.
  assert(live[1] <= live[0] / 4 && live[2] < live[1], `${live} bytes`);
});

Deno.test("checkpoint() passes several outputs, nested values and captured parameters", () => {
  const w = tensor([2, 3], { requiresGrad: true });
  const run = (through: boolean): string[] => {
    const x = tensor([1, 2], { requiresGrad: true });
    w.grad = null;
    const fn = ({ a, factor }: { a: Tensor; factor: number }): [Tensor, { y: Tensor }] => {
      const h = a.mul(w).exp();
      return [h.mul(factor), { y: h.sin() }];
    };
    const [p, { y }] = through ? checkpoint(fn, { a: x, factor: 3 }) : fn({ a: x, factor: 3 });
    p.sum().add(y.sum()).backward();
    return bitsOf([p, y, x.grad!, w.grad!]);
  };
  assertEquals(run(true), run(false));
});

Deno.test("a checkpoint lets backward run twice with retainGraph, and leaves no storage behind without backward", () => {
  const layer = block();
  const x = randn([8, 16]);
  const step = (backward: boolean): void =>
    tidy(() => {
      layer.zeroGrad();
      const out = checkpoint((a: Tensor) => layer.forward(a), x).sum();
      if (!backward) return;
      out.backward({ retainGraph: true });
      const once = layer.parameters().map((p) => p.grad!.mul(2));
      out.backward();
      layer.parameters().forEach((p, i) => assertEquals(p.grad!.toArray(), once[i].toArray()));
    });
  for (const backward of [true, false]) {
    step(backward);
    const before = memoryStats().liveStorages;
    for (let i = 0; i < 4; i++) step(backward);
    assertEquals(memoryStats().liveStorages, before);
  }
});

Deno.test("a checkpoint in noGrad() records nothing; inputs without gradients are fine", () => {
  const layer = new nn.Linear(2, 2);
  assertEquals(noGrad(() => checkpoint((a: Tensor) => layer.forward(a), rand([1, 2]))).requiresGrad, false);
  assertEquals(checkpoint((a: Tensor) => a.exp(), rand([2])).requiresGrad, false);
  checkpoint((a: Tensor) => layer.forward(a), rand([1, 2])).sum().backward();
  assert(layer.weight.grad !== null);
});

Deno.test("a checkpoint whose input was changed, or whose function computes something else, is refused in backward", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  const h = x.mul(2);
  const out = checkpoint((a: Tensor) => a.exp(), h).sum();
  h.add_(1);
  assertThrows(() => out.backward(), AutogradError, "has been modified by an inplace operation");
  let calls = 0;
  const unsteady = checkpoint((a: Tensor) => calls++ === 0 ? a.exp().tanh() : a.square(), x.mul(2));
  assertThrows(() => unsteady.sum().backward(), AutogradError, "computed something else the second time");
});

Deno.test("checkpoints whose function fails, the first or the second time, leave no storage behind", () => {
  const x = randn([64]).requiresGrad_();
  const fail = (when: number): void =>
    tidy(() => {
      let calls = 0;
      const fn = (a: Tensor): Tensor => {
        const h = a.exp();
        if (++calls === when) throw new RangeError("failed on purpose");
        return h.sin_().square();
      };
      assertThrows(() => checkpoint(fn, x.mul(2)).sum().backward(), RangeError, "on purpose");
    });
  for (const when of [1, 2]) {
    fail(when);
    const before = memoryStats().liveStorages;
    for (let i = 0; i < 3; i++) fail(when);
    assertEquals(memoryStats().liveStorages, before);
  }
});
