import { assert, assertEquals, assertThrows } from "@std/assert";
import { DTypeError, manualSeed, nn, noGrad, ones, rand, randn, ShapeError, type Tensor, tensor } from "../../mod.ts";

const { adaptiveAvgPool2d, avgPool2d, batchNorm, conv1d, conv2d, maxPool2d } = nn.functional;

Deno.test("Conv2d starts as PyTorch's: uniform in +-1 / sqrt(inputs of an output)", () => {
  manualSeed(9);
  const { weight, bias } = new nn.Conv2d(16, 128, { kernelSize: [5, 5], groups: 4 });
  assertEquals([weight.shape, bias!.shape], [[128, 4, 5, 5], [128]]);
  const values = Array.from(weight.data(), Number);
  assert([...values, ...Array.from(bias!.data(), Number)].every((value) => Math.abs(value) <= 0.1));
  const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  // The variance of 12,800 uniform numbers has a deviation of 0.8%.
  assert(Math.abs(variance - 0.01 / 3) < 1e-4, String(variance));
  assertEquals(Object.keys(new nn.Conv1d(2, 3, { kernelSize: 1, bias: false }).stateDict()), ["weight"]);
});

Deno.test("batch normalisation keeps PyTorch's buffers, or none", () => {
  const layer = new nn.BatchNorm2d(3);
  assertEquals(Object.keys(layer.stateDict()), [
    "weight",
    "bias",
    "running_mean",
    "running_var",
    "num_batches_tracked",
  ]);
  assertEquals([layer.num_batches_tracked!.dtype, layer.num_batches_tracked!.shape], ["int64", []]);
  layer.forward(randn([2, 3, 4, 4]));
  layer.forward(randn([2, 3, 4, 4]));
  assertEquals(layer.num_batches_tracked!.item(), 2);
  layer.eval().forward(randn([2, 3, 4, 4]));
  assertEquals(layer.num_batches_tracked!.item(), 2);
  const bare = new nn.BatchNorm1d(3, { affine: false, trackRunningStats: false });
  assertEquals([Object.keys(bare.stateDict()), bare.parameters().length], [[], 0]);
  // Without running statistics, evaluation uses those of the batch.
  const x = randn([8, 3]);
  assertEquals(bare.forward(x).toArray(), bare.eval().forward(x).toArray());
});

Deno.test("momentum null keeps the average over all batches", () => {
  const layer = new nn.BatchNorm1d(1, { momentum: null });
  for (const mean of [1, 2, 6]) layer.forward(tensor([[mean - 1], [mean + 1]]));
  assert(Math.abs(Number(layer.running_mean!.data()[0]) - 3) < 1e-6);
  assert(Math.abs(Number(layer.running_var!.data()[0]) - 2) < 1e-6);
});

Deno.test("Sequential fuses convolution and batch normalisation with ReLU without changing values or gradients", () => {
  const cases: [nn.Module, number[]][] = [
    [new nn.Conv2d(2, 5, { kernelSize: 3 }), [3, 2, 6, 7]],
    [new nn.Conv1d(2, 5, { kernelSize: 3, bias: false }), [3, 2, 9]],
    [new nn.BatchNorm2d(2), [3, 2, 6, 7]],
    [new nn.BatchNorm1d(2), [6, 2]],
  ];
  manualSeed(2);
  for (const [layer, shape] of cases) {
    const x = randn(shape, { requiresGrad: true });
    const relu = new nn.ReLU();
    const run = (forward: () => Tensor): Tensor[] => {
      layer.zeroGrad();
      x.grad = null;
      const out = forward();
      out.square().sum().backward();
      return [out, x.grad!, ...layer.parameters().map((p) => p.grad!.clone())];
    };
    const fused = run(() => new nn.Sequential(layer, relu).forward(x));
    const plain = run(() => relu.forward(layer.forward(x)));
    assertEquals(fused.length, plain.length);
    fused.forEach((value, i) => assert(value.allClose(plain[i], { rtol: 1e-5, atol: 1e-5 }), `${shape}: ${i}`));
  }
});

Deno.test("gradients of parameters are added to those of an earlier backward", () => {
  manualSeed(3);
  const model = new nn.Sequential(new nn.Conv2d(1, 3, { kernelSize: 2 }), new nn.BatchNorm2d(3));
  const x = randn([2, 1, 5, 5]);
  const loss = (): Tensor => model.forward(x).square().sum().mul(0.5).add(model.forward(x).sum());
  loss().backward();
  const once = model.parameters().map((p) => p.grad!.clone());
  loss().backward();
  model.parameters().forEach((p, i) => assert(p.grad!.allClose(once[i].mul(2), { rtol: 1e-4, atol: 1e-4 }), String(i)));
});

Deno.test("a convolution gives the same bits again", () => {
  manualSeed(5);
  const x = randn([9, 8, 30, 30], { requiresGrad: true });
  const layer = new nn.Conv2d(8, 12, { kernelSize: 3, stride: 2 });
  const run = (): Tensor[] => {
    layer.zeroGrad();
    x.grad = null;
    const out = layer.forward(x);
    out.square().sum().backward();
    return [out, x.grad!, layer.weight.grad!.clone(), layer.bias!.grad!.clone()];
  };
  const [first, second] = [run(), run()];
  first.forEach((value, i) => assertEquals(value.data(), second[i].data()));
});

Deno.test("modules equal their functions", () => {
  const x = rand([2, 3, 8, 9]);
  const same = (a: Tensor, b: Tensor): void => assertEquals(a.toArray(), b.toArray());
  same(new nn.MaxPool2d(3, { stride: 2 }).forward(x), maxPool2d(x, 3, { stride: 2 }));
  same(new nn.AvgPool2d([2, 3], { padding: 1 }).forward(x), avgPool2d(x, [2, 3], { padding: 1 }));
  same(new nn.AdaptiveAvgPool2d([null, 4]).forward(x), adaptiveAvgPool2d(x, [null, 4]));
  const row = x.flatten(2);
  same(new nn.MaxPool1d(4, { stride: 3 }).forward(row), nn.functional.maxPool1d(row, 4, { stride: 3 }));
  same(new nn.AvgPool1d(4, { ceilMode: true }).forward(row), nn.functional.avgPool1d(row, 4, { ceilMode: true }));
  assertEquals(new nn.Flatten().forward(x).shape, [2, 216]);
  assertEquals(new nn.Flatten(0, 1).forward(x).shape, [6, 8, 9]);
  assert(new nn.Identity().forward(x) === x);
  const [values, indices] = new nn.MaxPool2d(2, { returnIndices: true }).forward(x) as unknown as [Tensor, Tensor];
  assertEquals([values.shape, indices.shape, indices.dtype], [[2, 3, 4, 4], [2, 3, 4, 4], "int64"]);
});

Deno.test("convolution refuses what does not fit", () => {
  const x = ones([1, 3, 5, 5]);
  const weight = ones([4, 3, 3, 3]);
  assertThrows(() => conv2d(ones([1, 2, 5, 5]), weight), ShapeError, "the input must have 3 channels, got 2");
  assertThrows(() => conv2d(x, weight, { groups: 3 }), ShapeError, "the input must have 9 channels, got 3");
  assertThrows(() => conv2d(ones([1, 6, 5, 5]), ones([3, 3, 1, 1]), { groups: 2 }), ShapeError, "must divide the 3");
  assertThrows(() => conv2d(x, ones([4, 3, 3])), ShapeError, "its shape must be (out channels, in channels / groups");
  assertThrows(() => conv2d(ones([3]), weight), ShapeError, "(batch, channels, height, width)");
  assertThrows(() => conv2d(ones([2, 3, 0, 5]), weight), ShapeError, "only the batch may be empty");
  assertThrows(() => conv2d(x, weight, { dilation: 3 }), ShapeError, "must not be larger than the padded input");
  assertThrows(() => conv2d(x, weight, { bias: ones([3]) }), ShapeError, "its shape must be (4)");
  assertThrows(() => conv2d(x.to({ dtype: "float64" }), weight), DTypeError, "convert the input");
  assertThrows(() => conv2d(x.to({ dtype: "int64" }), weight), DTypeError, "must be floating");
  assertThrows(() => conv2d(x, weight, { stride: 0 }), RangeError, "stride must be a positive integer or a pair");
  assertThrows(() => conv2d(x, weight, { padding: [1, 2, 3] }), RangeError, "padding must be");
  assertThrows(() => conv2d(x, weight, { padding: "same", stride: 2 }), RangeError, "needs a stride of 1");
  assertThrows(() => conv1d(ones([3, 5]), ones([4, 3, 1]), { groups: 0 }), RangeError, "groups must be");
  assertThrows(() => new nn.Conv2d(3, 4, { kernelSize: 3, groups: 2 }), RangeError, "groups must divide the channels");
  assertThrows(
    () => new nn.Conv2d(3, 4, { kernelSize: 3, paddingMode: "reflect" as "zeros" }),
    RangeError,
    'paddingMode must be "zeros"',
  );
});

Deno.test("pooling refuses what does not fit", () => {
  const x = ones([1, 2, 4, 4]);
  assertThrows(() => maxPool2d(x, 5), ShapeError, "the window must not be larger than the padded input");
  assertThrows(() => maxPool2d(x, 2, { padding: 2 }), RangeError, "at most half of kernelSize");
  assertThrows(() => maxPool2d(x, 0), RangeError, "kernelSize must be a positive integer");
  assertThrows(() => avgPool2d(x, 2, { divisorOverride: 0 }), RangeError, "an integer other than 0");
  assertThrows(() => adaptiveAvgPool2d(x, [0, 1]), RangeError, "sizes must be positive integers");
  assertThrows(() => maxPool2d(ones([4]), 2), ShapeError, "(batch, channels, height, width)");
  assertThrows(() => maxPool2d(x.to({ dtype: "int32" }), 2), DTypeError, "must be floating");
});

Deno.test("batch normalisation refuses one value per channel in training, as PyTorch", () => {
  assertThrows(() => new nn.BatchNorm1d(3).forward(ones([1, 3])), ShapeError, "expected more than 1 value per channel");
  assertThrows(() => new nn.BatchNorm2d(3).forward(ones([1, 3, 1, 1])), ShapeError, "more than 1 value per channel");
  noGrad(() => new nn.BatchNorm1d(3).eval().forward(ones([1, 3])));
  assertThrows(() => new nn.BatchNorm2d(3).forward(ones([4, 3])), ShapeError, "BatchNorm2d takes");
  assertThrows(() => new nn.BatchNorm1d(3).forward(ones([4, 3, 2, 2])), ShapeError, "BatchNorm1d takes");
  assertThrows(() => new nn.BatchNorm1d(3).forward(ones([4, 2])), ShapeError, "weight must be (2)");
  assertThrows(() => batchNorm(ones([4, 2]), {}), RangeError, "needs runningMean and runningVar");
  assertThrows(() => new nn.BatchNorm1d(0), RangeError, "a positive integer");
});

Deno.test("an infinite or NaN input reaches the gradients of the taps that touch it, and no others", () => {
  const [size, kernel] = [5, 3];
  // With padding 1 a corner lies under four taps: under none of the row and the column at the other side.
  const values = Array.from({ length: 2 * 2 * size * size }, (_, i) => (i * 7 % 11) - 5);
  values[0] = Infinity; // channel 0 of image 0, top left
  values[3 * size * size + size * size - 1] = NaN; // channel 1 of image 1, bottom right
  const weight = randn([3, 2, kernel, kernel], { requiresGrad: true });
  const x = tensor(values, { dtype: "float32" }).reshape([2, 2, size, size]);
  const gradient = Array.from({ length: 2 * 3 * size * size }, (_, i) => (i * 5 % 7) + 1);
  conv2d(x, weight, { padding: 1 })
    .backward(tensor(gradient, { dtype: "float32" }).reshape([2, 3, size, size]));
  const expected: number[] = [];
  for (let tap = 0; tap < 3 * 2 * kernel * kernel; tap++) {
    const [out, channel] = [Math.floor(tap / 18), Math.floor(tap / 9) % 2];
    const [down, right] = [Math.floor(tap % 9 / 3), tap % 3];
    let sum = 0;
    for (let i = 0; i < 2 * size * size; i++) {
      const [image, row, col] = [Math.floor(i / 25), Math.floor(i % 25 / size), i % size];
      const [y, z] = [row + down - 1, col + right - 1];
      if (y < 0 || y >= size || z < 0 || z >= size) continue;
      sum += gradient[(image * 3 + out) * 25 + i % 25] * values[((image * 2 + channel) * size + y) * size + z];
    }
    expected.push(sum);
  }
  assertEquals(Array.from(weight.grad!.data(), Number), expected);
  assertEquals(expected.map(Number.isFinite).filter((isFinite) => !isFinite).length, 3 * 2 * 4);
});
