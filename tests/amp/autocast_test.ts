import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  autocast,
  type AutocastDType,
  autocastDType,
  DTypeError,
  memoryStats,
  nn,
  noGrad,
  ones,
  optim,
  randn,
  type Tensor,
  tensor,
  tidy,
} from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";
import golden from "../golden/autocast.json" with { type: "json" };

/** sin(0.7 i + seed), as in tests/golden/generate_autocast.py. */
function wave(shape: number[], seed: number, device: string): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return tensor(Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.7 + seed)), {
    shape,
    device: device as "cpu",
  });
}

class Net extends nn.Module {
  first = new nn.Linear(8, 16);
  norm = new nn.LayerNorm(16);
  second = new nn.Linear(16, 4);

  override forward(x: Tensor): Tensor {
    return this.second.forward(nn.functional.gelu(this.norm.forward(this.first.forward(x))));
  }
}

function losses(dtype: AutocastDType | "float32", device: string): number[] {
  const net = new Net();
  net.to({ device: device as "cpu" });
  noGrad(() => net.parameters().forEach((p, i) => p.copy_(wave([...p.shape], i, device).mul(0.5))));
  const optimizer = new optim.AdamW(net.parameters(), { lr: 1e-2 });
  return Array.from({ length: 20 }, (_, step) =>
    tidy(() => {
      optimizer.zeroGrad();
      const loss = autocast(
        () => nn.functional.mseLoss(net.forward(wave([6, 8], step, device)), wave([6, 4], step + 0.5, device)),
        dtype === "float32" ? { enabled: false } : { dtype },
      );
      loss.backward();
      optimizer.step();
      assertEquals(loss.dtype, "float32");
      return loss.item();
    }));
}

for (const device of testDevices(import.meta.url)) {
  Deno.test(`20 steps under autocast follow PyTorch's (${device})`, () => {
    const exact = losses("float32", device);
    exact.forEach((loss, i) => assert(Math.abs(loss - golden.losses.float32[i]) < 1e-5, `${i}: ${loss}`));
    // PyTorch's own distance from float32 is what 16 bits cost; ours may be twice as far from its values.
    const allowed = 2 * Math.max(...golden.losses.bfloat16.map((loss, i) => Math.abs(loss - golden.losses.float32[i])));
    const low = losses("bfloat16", device);
    low.forEach((loss, i) => assert(Math.abs(loss - golden.losses.bfloat16[i]) < allowed, `${i}: ${loss}`));
    assert(low.some((loss, i) => loss !== exact[i]), "nothing ran in 16 bits");
  });
}

Deno.test("MP-4: products in 16 bits inside, float32 in a nested region that is off, 16 bits again after; parameters stay", () => {
  const layer = new nn.Linear(4, 4);
  const x = randn([2, 4]);
  assertEquals(autocastDType(), null);
  autocast(() => {
    assertEquals([layer.forward(x).dtype, autocastDType()], ["float16", "float16"]);
    autocast(() => assertEquals([layer.forward(x).dtype, autocastDType()], ["float32", null]), { enabled: false });
    autocast(() => assertEquals(x.matmul(x.transpose(0, 1)).dtype, "bfloat16"));
    assertEquals(layer.forward(x).dtype, "float16");
  }, { dtype: "float16" });
  assertEquals([layer.forward(x).dtype, layer.weight.dtype], ["float32", "float32"]);
});

Deno.test("each operation runs in its dtype", () => {
  autocast(() => {
    const low = randn([2, 3, 4]).to({ dtype: "bfloat16" });
    const dtypes: [string, Tensor, string][] = [
      ["matmul", randn([2, 3]).matmul(randn([3, 2])), "bfloat16"],
      ["conv2d", nn.functional.conv2d(randn([1, 1, 4, 4]), randn([1, 1, 3, 3])), "bfloat16"],
      ["attention", nn.functional.scaledDotProductAttention(low, low, randn([2, 3, 4])), "bfloat16"],
      ["relu", low.relu(), "bfloat16"],
      ["add", low.add(1), "bfloat16"],
      ["add of both", low.add(randn([4])), "float32"],
      ["exp", low.exp(), "float32"],
      ["sum", low.sum(), "float32"],
      ["softmax", low.softmax({ dim: -1 }), "float32"],
      ["layerNorm", nn.functional.layerNorm(low, [4]), "float32"],
      [
        "crossEntropy",
        nn.functional.crossEntropy(low.reshape([6, 4]), tensor([0, 1, 2, 3, 0, 1], { dtype: "int64" })),
        "float32",
      ],
      ["float64", randn([2, 2], { dtype: "float64" }).matmul(randn([2, 2], { dtype: "float64" })), "float64"],
      ["int64 sum", tensor([1, 2], { dtype: "int64" }).sum(), "int64"],
    ];
    for (const [name, { dtype }, expected] of dtypes) assertEquals(dtype, expected, name);
    const norm = new nn.BatchNorm1d(3);
    assertEquals([norm.forward(low).dtype, norm.running_mean!.dtype], ["bfloat16", "float32"]);
  });
});

Deno.test("a weight that is used twice is converted once, its gradient is the sum, and nothing stays in memory", () => {
  const layer = new nn.Linear(64, 64, { bias: false });
  const x = randn([4, 64]);
  const step = (): Tensor =>
    tidy(() => {
      const before = memoryStats().liveStorages;
      const y = autocast(() => layer.forward(layer.forward(x)));
      // Two results, the input in 16 bits, and one converted weight.
      assertEquals(memoryStats().liveStorages - before, 4);
      y.sum().backward();
      const gradient = layer.weight.grad!.clone();
      layer.zeroGrad();
      return gradient;
    });
  const gradient = step();
  assertEquals(gradient.dtype, "float32");
  const exact = tidy(() => {
    layer.forward(layer.forward(x)).sum().backward();
    return layer.weight.grad!.clone();
  });
  // 64 products of bfloat16 (2^-9 each) of both layers.
  assert(gradient.allClose(exact, { rtol: 0.05, atol: 0.05 }));
  layer.zeroGrad();
  const live = memoryStats().liveStorages;
  for (let i = 0; i < 5; i++) step().dispose();
  assertEquals(memoryStats().liveStorages, live);
});

Deno.test("a parameter that changes inside of the region is converted again, and so it is for inference after training", () => {
  const layer = new nn.Linear(2, 1, { bias: false });
  autocast(() => {
    noGrad(() => layer.weight.fill_(1));
    assertEquals(noGrad(() => layer.forward(ones([1, 2])).item()), 2);
    noGrad(() => layer.weight.fill_(2));
    assertEquals(noGrad(() => layer.forward(ones([1, 2])).item()), 4);
    const y = layer.forward(ones([1, 2]));
    assert(y.requiresGrad);
    y.backward();
  });
  assertEquals(layer.weight.grad!.toArray(), [[1, 1]]);
});

Deno.test("a checkpoint is computed again in the dtypes of the first pass, also after the region", () => {
  const layer = new nn.Linear(8, 8);
  const x = randn([3, 8], { requiresGrad: true });
  const gradients = (forward: (x: Tensor) => Tensor): unknown => {
    layer.zeroGrad();
    x.grad = null;
    const y = autocast(() => forward(x));
    assertEquals(y.dtype, "bfloat16");
    y.sum().backward();
    return [x.grad!.toArray(), layer.weight.grad!.toArray()];
  };
  const plain = (input: Tensor): Tensor => layer.forward(layer.forward(input).gelu());
  assertEquals(gradients((input) => nn.utils.checkpoint(plain, input)), gradients(plain));
});

Deno.test("autocast refuses what it cannot do, and ends with an exception", () => {
  assertThrows(() => autocast(() => 0, { dtype: "float32" as never }), DTypeError, '"bfloat16" or "float16"');
  assertThrows(() => autocast(() => Promise.resolve()), TypeError, "an async function");
  assertThrows(
    () =>
      autocast(() => {
        throw new Error("inside");
      }),
    Error,
    "inside",
  );
  assertEquals(autocastDType(), null);
});
