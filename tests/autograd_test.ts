import { assert, assertEquals } from "@std/assert";
import { tensor } from "../mod.ts";

Deno.test("two leaves that receive the same gradient do not share memory", () => {
  const a = tensor([1, 2], { requiresGrad: true });
  const b = tensor([3, 4], { requiresGrad: true });
  a.add(b).sum().backward();
  assert(a.grad !== b.grad);
  a.grad!.mul_(5);
  assertEquals(a.grad!.toArray(), [5, 5]);
  assertEquals(b.grad!.toArray(), [1, 1]);
});
