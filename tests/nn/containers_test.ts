import { assert, assertEquals, assertThrows } from "@std/assert";
import { AutogradError, DTypeError, io, nn, ones, optim, ShapeError, type Tensor, tensor, zeros } from "../../mod.ts";

Deno.test("Sequential and ModuleList take modules at the end, in between and from lists", () => {
  const [a, b, c, d] = [new nn.ReLU(), new nn.Tanh(), new nn.Linear(2, 2), new nn.Sigmoid()];
  for (const list of [new nn.ModuleList<nn.Module>([a]), new nn.Sequential(a)]) {
    list.append(c).insert(1, b).extend([d]);
    assertEquals([...list], [a, b, c, d]);
    assertEquals([list.length, list.at(-1), list.at(0), list.at(4)], [4, d, a, undefined]);
    assertEquals(Object.keys(list.stateDict()), ["2.weight", "2.bias"]);
    assertEquals([...list.slice(1, -1)], [b, c]);
    assertEquals(list.slice(2).constructor, list.constructor);
    assertThrows(() => list.insert(9, a), RangeError, "the index must be in [-4, 4]");
    assertThrows(() => list.append({} as nn.Module), TypeError, "it holds modules");
  }
  assertEquals(new nn.Sequential(c, a).slice(0, 1).forward(ones([1, 2])).shape, [1, 2]);
  assertThrows(() => new nn.ModuleList([]).forward(), TypeError, "from your own forward()");
});

Deno.test("ModuleDict and ParameterList have PyTorch's keys", () => {
  // torch.nn.ModuleDict({"value": Linear(2, 1), "policy": Linear(2, 3)}).state_dict().keys()
  const dict = new nn.ModuleDict<nn.Linear>({ value: new nn.Linear(2, 1), policy: new nn.Linear(2, 3) });
  assertEquals(Object.keys(dict.stateDict()), ["value.weight", "value.bias", "policy.weight", "policy.bias"]);
  assertEquals([dict.size, dict.has("value"), [...dict.keys()], [...dict].length], [2, true, ["value", "policy"], 2]);
  assert(dict.get("policy")!.forward(ones([1, 2])).shape[1] === 3);
  assert(dict.delete("value") && !dict.delete("value"));
  assertEquals(dict.parameters().length, 2);
  assertThrows(() => dict.set("a.b", new nn.Linear(1, 1)), RangeError, '"a.b"');
  class Mix extends nn.Module {
    readonly weights = new nn.ParameterList([zeros([2]), new nn.Parameter(ones([3]))]);
    readonly heads = new nn.ModuleDict({ a: new nn.Linear(1, 1, { bias: false }) });
    override forward(x: Tensor): Tensor {
      return x.mul(this.weights.at(0)!);
    }
  }
  const mix = new Mix();
  assertEquals(Object.keys(mix.stateDict()), ["weights.0", "weights.1", "heads.a.weight"]);
  assertEquals([...mix.weights].map(({ shape }) => shape), [[2], [3]]);
  assert(mix.getParameter("weights.1") === mix.weights.at(1));
  assert(mix.getSubmodule("heads.a") === mix.heads.get("a") && mix.getSubmodule("") === mix);
  assertThrows(() => mix.getSubmodule("heads.b"), RangeError, 'there is no "b"');
  assertThrows(() => mix.getParameter("heads.a.bias"), RangeError, "has no such parameter");
});

class Counter extends nn.Module {
  declare readonly total: Tensor;
  declare readonly cache: Tensor;
  declare readonly absent: null;
  readonly linear = new nn.Linear(2, 2);
  readonly scale: nn.Parameter;
  constructor() {
    super();
    this.registerBuffer("total", zeros([1]));
    this.registerBuffer("cache", zeros([4]), { persistent: false });
    this.registerBuffer("absent", null);
    this.registerBuffer("steps", zeros([1], { dtype: "int64" }));
    this.scale = new nn.Parameter(ones([1]));
  }
  override forward(x: Tensor): Tensor {
    return this.linear.forward(x).mul(this.scale);
  }
}

Deno.test("buffers follow the parameters in the state dict; those that are not persistent stay out of it", () => {
  const module = new Counter();
  // list(m.state_dict()), [n for n, _ in m.named_buffers()]
  assertEquals(Object.keys(module.stateDict()), ["scale", "total", "steps", "linear.weight", "linear.bias"]);
  assertEquals([...module.namedBuffers()].map(([name]) => name), ["total", "cache", "steps"]);
});

Deno.test("to() converts floating parameters and buffers, gradients too, and keeps the objects", () => {
  const module = new Counter();
  const { scale } = module;
  const weight = module.linear.weight.toArray();
  module.forward(ones([1, 2])).sum().backward();
  module.to({ dtype: "float64" });
  assertEquals(Object.values(module.stateDict()).map(({ dtype }) => dtype), [
    "float64",
    "float64",
    "int64",
    "float64",
    "float64",
  ]);
  assert(module.scale === scale && scale.isLeaf && scale.grad!.dtype === "float64");
  assertEquals(module.linear.weight.toArray(), weight);
  scale.grad = null;
  module.forward(ones([1, 2], { dtype: "float64" })).sum().backward();
  assertEquals(scale.grad!.dtype, "float64");
  assertThrows(() => module.to({ dtype: "int32" }), DTypeError, "parameters must be floating");
  new optim.SGD(module.parameters());
  module.to({ dtype: "float64", device: scale.device });
  assertThrows(() => module.to({ dtype: "float32" }), AutogradError, "call to() before both");
});

Deno.test("apply() goes from the inside out; requiresGrad_() and zeroGrad() reach all parameters", () => {
  const model = new nn.Sequential(new nn.Linear(2, 2), new nn.Sequential(new nn.Linear(2, 1)));
  const seen: string[] = [];
  model.apply((module) => void seen.push(module.constructor.name));
  assertEquals(seen, ["Linear", "Linear", "Sequential", "Sequential"]);
  assertEquals([...model.namedModules()].map(([name]) => name), ["", "0", "1", "1.0"]);
  model.forward(ones([1, 2])).sum().backward();
  model.zeroGrad();
  assert(model.parameters().every(({ grad }) => grad === null));
  model.requiresGrad_(false);
  assertEquals(model.forward(ones([1, 2])).requiresGrad, false);
});

Deno.test("loadStateDict() reports every name and every shape that does not fit", () => {
  const layer = new nn.Linear(2, 3);
  assertThrows(
    () => layer.loadStateDict({ weight: ones([1, 2]), bias: ones([2]) }),
    ShapeError,
    "Cannot load weight: its shape must be (3, 2), got (1, 2). Cannot load bias: its shape must be (3), got (2)",
  );
  assertThrows(
    () => layer.loadStateDict({ wieght: ones([3, 2]) }),
    RangeError,
    "missing [weight, bias], unexpected [wieght]",
  );
  const wide = { weight: ones([3, 2], { dtype: "float64" }), bias: zeros([3], { dtype: "float64" }) };
  assertEquals(layer.loadStateDict(wide), { missingKeys: [], unexpectedKeys: [] });
  assertEquals([layer.weight.dtype, layer.weight.toArray()], ["float32", [[1, 1], [1, 1], [1, 1]]]);
});

Deno.test("tied weights: gradients sum, one update, both names in the state dict and in a file", async () => {
  class Tied extends nn.Module {
    readonly embedding = new nn.Embedding(3, 2);
    readonly head = new nn.Linear(2, 3, { bias: false });
    constructor() {
      super();
      Object.assign(this.head, { weight: this.embedding.weight });
    }
    override forward(index: Tensor): Tensor {
      return this.head.forward(this.embedding.forward(index));
    }
  }
  const tied = new Tied();
  const { weight } = tied.embedding;
  nn.init.constant_(weight, 1);
  assertEquals(tied.parameters().length, 1);
  const optimizer = new optim.SGD(tied.parameters(), { lr: 1 });
  tied.forward(tensor([0], { dtype: "int64" })).sum().backward();
  // PyTorch: Linear gives every row the embedded (1, 1), the embedding gives row 0 the sum of the rows, (3, 3).
  assertEquals(weight.grad!.toArray(), [[4, 4], [1, 1], [1, 1]]);
  optimizer.step();
  assertEquals(tied.head.weight.toArray(), [[-3, -3], [0, 0], [0, 0]]);
  const state = tied.stateDict();
  assertEquals(Object.keys(state), ["embedding.weight", "head.weight"]);
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  try {
    await io.saveSafetensors(path, state);
    const other = new Tied();
    other.loadStateDict(await io.loadSafetensors(path));
    assertEquals(other.head.weight.toArray(), weight.toArray());
    assert(other.head.weight === other.embedding.weight);
  } finally {
    await Deno.remove(path);
  }
});
