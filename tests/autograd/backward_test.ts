import { assert, assertEquals, assertThrows } from "@std/assert";
import { AutogradError, noGrad, ShapeError, tensor } from "../mod.ts";

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
