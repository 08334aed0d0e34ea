import { assert, assertEquals, assertThrows } from "@std/assert";
import { manualSeed, nn, ones, ShapeError, type Tensor, tensor, zeros } from "../../mod.ts";

class Block extends nn.Module {
  readonly layers = new nn.ModuleList([new nn.Linear(3, 3), new nn.Linear(3, 3, { bias: false })]);
  readonly head = new nn.Sequential(new nn.Dropout(0.5), new nn.Linear(3, 2));
  readonly scale = new nn.Parameter(ones([2]));
  declare readonly mean: Tensor;

  constructor() {
    super();
    this.registerBuffer("mean", zeros([2]));
  }

  override forward(x: Tensor): Tensor {
    let out = x;
    for (const layer of this.layers) out = layer.forward(out).relu();
    return this.head.forward(out).mul(this.scale).sub(this.mean);
  }
}

Deno.test("stateDict() has PyTorch's keys, and loads into another module", () => {
  const [a, b] = [new Block(), new Block()];
  assertEquals(Object.keys(a.stateDict()), [
    "scale",
    "mean",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "head.1.weight",
    "head.1.bias",
  ]);
  assertEquals([a.parameters().length, a.buffers().length, a.numParameters()], [6, 1, 2 + 12 + 9 + 8]);
  b.loadStateDict(a.stateDict());
  const x = ones([4, 3]);
  assertEquals(b.eval().forward(x).toArray(), a.eval().forward(x).toArray());
});

Deno.test("loadStateDict() changes nothing when names or shapes differ", () => {
  const layer = new nn.Linear(2, 1);
  const before = layer.weight.toArray();
  assertThrows(() => layer.loadStateDict({ weight: ones([1, 2]) }), RangeError, "missing [bias]");
  assertThrows(() => layer.loadStateDict({ weight: ones([1, 2]), bias: ones([3]) }), ShapeError, "Cannot load bias");
  assertEquals(layer.weight.toArray(), before);
  assertEquals(layer.loadStateDict({ weight: ones([1, 2]), x: ones([1]) }, { strict: false }), {
    missingKeys: ["bias"],
    unexpectedKeys: ["x"],
  });
  assertEquals(layer.weight.toArray(), [[1, 1]]);
});

Deno.test("Dropout scales what it keeps in training mode, passes its gradient, and is the identity in evaluation", () => {
  manualSeed(4);
  const layer = new nn.Dropout(0.25);
  const x = ones([10_000]).requiresGrad_();
  const y = layer.forward(x);
  const values = Array.from(y.data(), Number);
  const kept = values.filter((value) => value !== 0);
  assert(kept.every((value) => Math.abs(value - 4 / 3) < 1e-6));
  // Five standard deviations of a binomial with n = 10,000 and p = 0.75.
  assert(Math.abs(kept.length - 7500) < 5 * Math.sqrt(10_000 * 0.75 * 0.25), String(kept.length));
  y.sum().backward();
  assertEquals(x.grad!.toArray(), y.toArray());
  assert(layer.eval().forward(x) === x);
  assertThrows(() => new nn.Dropout(1.5), RangeError, "p = 1.5");
});

Deno.test("Linear and Embedding start as PyTorch's: uniform in +-1 / sqrt(in), normal", () => {
  manualSeed(9);
  const values = Array.from(new nn.Linear(100, 200).weight.data(), Number);
  assert(values.every((value) => Math.abs(value) <= 0.1));
  const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  assert(Math.abs(variance - 0.01 / 3) < 2e-4, String(variance));
  const normal = Array.from(new nn.Embedding(200, 100).weight.data(), Number);
  const second = normal.reduce((sum, value) => sum + value * value, 0) / normal.length;
  assert(Math.abs(second - 1) < 0.05, String(second));
});

Deno.test("a shared parameter is listed once and stands under both names", () => {
  const a = new nn.Linear(2, 2);
  class Tied extends nn.Module {
    readonly first = a;
    readonly weight = a.weight;
    override forward(x: Tensor): Tensor {
      return this.first.forward(x).matmul(this.weight);
    }
  }
  const tied = new Tied();
  assertEquals(tied.parameters().length, 2);
  assertEquals(Object.keys(tied.stateDict()), ["weight", "first.weight", "first.bias"]);
});

Deno.test("loss modules equal their functions", () => {
  const [x, y] = [tensor([[1, 2], [3, 5]]), tensor([[0, 2], [1, 1]])];
  assertEquals(new nn.MSELoss().forward(x, y).item(), (1 + 0 + 4 + 16) / 4);
  assertEquals(new nn.MSELoss({ reduction: "sum" }).forward(x, y).item(), 21);
  assertEquals(new nn.MSELoss({ reduction: "none" }).forward(x, y).toArray(), [[1, 0], [4, 16]]);
  const target = tensor([1, 0], { dtype: "int64" });
  const expected = (Math.log(1 + Math.exp(-1)) + Math.log(1 + Math.exp(2))) / 2;
  assert(Math.abs(new nn.CrossEntropyLoss().forward(x, target).item() - expected) < 1e-6);
});

Deno.test("Sequential fuses Linear with ReLU and GELU without changing values or gradients", () => {
  const activations: nn.Module[] = [new nn.ReLU(), new nn.GELU(), new nn.GELU({ approximate: "tanh" })];
  for (const [activation, bias] of activations.flatMap((each) => [[each, true], [each, false]] as const)) {
    const [first, last] = [new nn.Linear(5, 40, { bias }), new nn.Linear(40, 3)];
    const x = tensor(Array.from({ length: 35 }, (_, i) => Math.sin(i)), { shape: [7, 5], requiresGrad: true });
    const run = (forward: () => Tensor): unknown[] => {
      first.zeroGrad();
      last.zeroGrad();
      x.grad = null;
      const out = forward();
      out.square().sum().backward();
      return [out, x.grad!, ...[...first.parameters(), ...last.parameters()].map((p) => p.grad!.clone())];
    };
    activation.forward = () => {
      throw new Error("the activation must be part of the linear layer");
    };
    const fused = run(() => new nn.Sequential(first, activation, last).forward(x)) as Tensor[];
    delete (activation as Partial<nn.Module>).forward;
    const plain = run(() => last.forward(activation.forward(first.forward(x)))) as Tensor[];
    assertEquals(fused.length, plain.length);
    fused.forEach((value, i) => assert(value.allClose(plain[i], { rtol: 1e-5, atol: 1e-6 }), String(i)));
  }
});
