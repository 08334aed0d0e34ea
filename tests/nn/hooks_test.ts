import { assert, assertEquals } from "@std/assert";
import { nn, ones, type Tensor, tensor } from "../../mod.ts";

Deno.test("forward hooks see and replace inputs and outputs, in the order of registration, until they are removed", () => {
  const layer = new nn.Linear(2, 1, { bias: false });
  layer.weight.requiresGrad_(false).fill_(1);
  const log: string[] = [];
  const handles = [
    layer.registerForwardPreHook((module, [x]) => {
      log.push(`before ${module === layer} ${x.toArray()}`);
      return x.mul(2);
    }),
    layer.registerForwardPreHook((_module, [x]) => [x.add(1)]),
    layer.registerForwardHook((_module, [x], out) => {
      log.push(`after ${x.toArray()} ${out.toArray()}`);
      return out.neg();
    }),
    layer.registerForwardHook((_module, _inputs, out) => void log.push(`last ${out.toArray()}`)),
  ];
  assertEquals(layer.forward(tensor([[1, 2]])).toArray(), [[-8]]);
  assertEquals(log, ["before true 1,2", "after 3,5 8", "last -8"]);
  for (const handle of handles) handle.remove();
  assertEquals(layer.forward(tensor([[1, 2]])).toArray(), [[3]]);
  assertEquals([log.length, layer.isHooked, Object.hasOwn(layer, "forward")], [3, false, false]);
  handles[0].remove();
});

Deno.test("Sequential does not fuse modules that have hooks", () => {
  const [first, relu] = [new nn.Linear(3, 4), new nn.ReLU()];
  const model = new nn.Sequential(first, relu);
  const x = ones([2, 3]);
  const expected = model.forward(x).toArray();
  for (const module of [first, relu]) {
    const seen: number[][] = [];
    const handle = module.registerForwardHook((_module, _inputs, out) => void seen.push(out.shape));
    assertEquals(model.forward(x).toArray(), expected);
    handle.remove();
    model.forward(x);
    assertEquals(seen, [[2, 4]]);
  }
});

Deno.test("hooks of a module with a forward of its own run outside its scope, and stay out of the state dict", () => {
  class Double extends nn.Module {
    override forward(x: Tensor): Tensor {
      return x.mul(3).sub(x);
    }
  }
  const module = new Double();
  let held: Tensor | undefined;
  module.registerForwardHook((_module, _inputs, out: Tensor) => {
    held = out.add(1);
    return held;
  });
  assertEquals(module.forward(ones([2])).toArray(), [3, 3]);
  assert(!held!.isReleased);
  assertEquals(Object.keys(module.stateDict()), []);
});
