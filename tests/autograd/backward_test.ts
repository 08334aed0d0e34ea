import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AutogradError,
  memoryStats,
  nn,
  noGrad,
  optim,
  ReleasedError,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from "../../mod.ts";

Deno.test("two leaves that receive the same gradient do not share memory", () => {
  const a = tensor([1, 2], { requiresGrad: true });
  const b = tensor([3, 4], { requiresGrad: true });
  a.add(b).sum().backward();
  assert(a.grad !== b.grad);
  a.grad!.mul_(5);
  assertEquals(a.grad!.toArray(), [5, 5]);
  assertEquals(b.grad!.toArray(), [1, 1]);
});

Deno.test("a gradient flows through a conversion of dtype and arrives in the leaf's own", () => {
  const x = tensor([1.5, 2], { requiresGrad: true });
  x.to({ dtype: "float64" }).mul(3).sum().backward();
  assertEquals([x.grad!.dtype, x.grad!.toArray()], ["float32", [3, 3]]);
});

Deno.test("gradients add up over backward passes until they are forgotten", () => {
  const x = tensor([2], { requiresGrad: true });
  for (let i = 1; i <= 3; i++) {
    x.mul(i).sum().backward();
  }
  assertEquals(x.grad!.toArray(), [6]);
});

Deno.test("noGrad() records nothing, and detach() cuts the graph", () => {
  const x = tensor([2], { requiresGrad: true });
  assertEquals(noGrad(() => x.mul(2)).requiresGrad, false);
  x.mul(x.detach()).sum().backward();
  assertEquals(x.grad!.toArray(), [2]);
});

Deno.test("a leaf that requires a gradient is not changed in place outside noGrad()", () => {
  const x = tensor([2], { requiresGrad: true });
  assertThrows(() => x.add_(1), AutogradError, "Do it inside noGrad()");
  noGrad(() => x.add_(1));
  assertEquals(x.toArray(), [3]);
});

Deno.test("backward() from more than one element asks for a gradient", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  assertThrows(() => x.mul(2).backward(), ShapeError, "reduce it to a scalar");
  x.mul(2).backward(tensor([1, 10]));
  assertEquals(x.grad!.toArray(), [2, 20]);
  assertThrows(() => tensor(1).backward(), AutogradError, "does not depend on one that requires a gradient");
});

Deno.test("retainGraph keeps the graph for another backward; without it a second one is an error", () => {
  // x = torch.full((3,), 2., requires_grad=True); y = (x * x).sum(); y.backward(retain_graph=True); y.backward()
  const x = tensor([2, 2, 2], { requiresGrad: true });
  const y = x.mul(x).sum();
  y.backward({ retainGraph: true });
  y.backward();
  assertEquals(x.grad!.toArray(), [8, 8, 8]);
  assertThrows(() => y.backward(), ReleasedError, "pass { retainGraph: true } to the first of several");
});

Deno.test("backward(gradient, { retainGraph }) takes both", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  const y = x.square();
  y.backward(tensor([1, 10]), { retainGraph: true });
  y.backward(tensor([1, 0]));
  assertEquals(x.grad!.toArray(), [4, 40]);
  assertThrows(() => y.backward(tensor([1, 2, 3])), ShapeError, "the gradient must have the shape (2), got (3)");
});

Deno.test("createGraph is refused: there are no second derivatives", () => {
  const x = tensor([1], { requiresGrad: true });
  assertThrows(() => x.mul(2).backward({ createGraph: true }), AutogradError, "not implemented");
});

Deno.test("a graph that is retained leaves no storage behind when its scope ends", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  const step = (): void =>
    tidy(() => {
      x.grad = null;
      const y = x.exp().mul(x).sum();
      y.backward({ retainGraph: true });
      y.backward({ retainGraph: true });
      x.grad!.dispose();
    });
  step();
  const before = memoryStats().liveStorages;
  for (let i = 0; i < 5; i++) step();
  assertEquals(memoryStats().liveStorages, before);
});

Deno.test("hooks and retainGrad() on a tensor that is no leaf see its whole gradient, as in PyTorch", () => {
  // x = torch.full((3,), 2., requires_grad=True); y = x * 3; y.retain_grad(); h = y.register_hook(lambda g: g * 10)
  // z = (y * y).sum(); z.backward(retain_graph=True)  -> y.grad 120, x.grad 360
  // h.remove(); z.backward()                          -> y.grad 132, x.grad 396
  const x = tensor([2, 2, 2], { requiresGrad: true });
  const y = x.mul(3).retainGrad();
  const handle = y.registerHook((g) => g.mul(10));
  const z = y.mul(y).sum();
  z.backward({ retainGraph: true });
  assertEquals([y.grad!.toArray(), x.grad!.toArray()], [[120, 120, 120], [360, 360, 360]]);
  handle.remove();
  z.backward();
  assertEquals([y.grad!.toArray(), x.grad!.toArray()], [[132, 132, 132], [396, 396, 396]]);
});

Deno.test("a hook on a leaf is called once, with the sum of all paths", () => {
  // x.register_hook(lambda g: (L.append(g.clone()), g * 2)[1]); ((x * 3).sum() + (x * x).sum()).backward()
  // -> L == [[7., 7., 7.]], x.grad == [14., 14., 14.]
  const x = tensor([2, 2, 2], { requiresGrad: true });
  const seen: unknown[] = [];
  const handle = x.registerHook((g) => {
    seen.push(g.toArray());
    return g.mul(2);
  });
  x.mul(3).sum().add(x.mul(x).sum()).backward();
  assertEquals(seen, [[7, 7, 7]]);
  assertEquals(x.grad!.toArray(), [14, 14, 14]);
  handle.remove();
  x.sum().backward();
  assertEquals([seen.length, x.grad!.toArray()], [1, [15, 15, 15]]);
});

Deno.test("hooks on flat parameters change what an optimizer sees", () => {
  const layer = new nn.Linear(2, 1, { bias: false });
  noGrad(() => layer.weight.fill_(1));
  const optimizer = new optim.SGD(layer.parameters(), { lr: 1 });
  const handle = layer.weight.registerHook((g) => g.mul(0.5));
  layer.forward(tensor([[2, 4]])).sum().backward();
  optimizer.step();
  assertEquals(layer.weight.toArray(), [[0, -1]]);
  handle.remove();
  optimizer.zeroGrad();
  layer.forward(tensor([[2, 4]])).sum().backward();
  assertEquals(layer.weight.grad!.toArray(), [[2, 4]]);
});

Deno.test("hooks: several run in order, what they may not do is refused, and a kept gradient outlives the pass", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  const y = x.mul(2);
  let kept: Tensor | undefined;
  y.registerHook((g) => g.add(1));
  y.registerHook((g) => {
    kept = g.keep();
    return g.mul(3);
  });
  y.sum().backward();
  assertEquals([kept!.toArray(), x.grad!.toArray()], [[2, 2], [12, 12]]);
  const z = x.mul(2);
  z.registerHook((g) => g.narrow(0, 0, 1));
  assertThrows(() => z.sum().backward(), AutogradError, "must stay (2) and float32, got (1)");
  assertThrows(() => tensor([1]).registerHook(() => {}), AutogradError, "requires no gradient");
  assertThrows(() => tensor([1]).retainGrad(), AutogradError, "requires none");
});

Deno.test("retainGrad() follows a change in place, a hook stays with the values it was registered for", () => {
  // x = torch.ones(3, requires_grad=True); y = x * 2; y.retain_grad(); y.register_hook(L.append); y.mul_(3); (y * 2).sum().backward()
  // -> y.grad 2, L [6], x.grad 12
  const x = tensor([1, 1, 1], { requiresGrad: true });
  const y = x.mul(2).retainGrad();
  const seen: unknown[] = [];
  y.registerHook((g) => void seen.push(g.toArray()));
  y.mul_(3);
  y.mul(2).sum().backward();
  assertEquals([y.grad!.toArray(), seen, x.grad!.toArray()], [[2, 2, 2], [[6, 6, 6]], [12, 12, 12]]);
});
