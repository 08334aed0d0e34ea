import { assert, assertEquals, assertThrows } from "@std/assert";
import { manualSeed, nn, noGrad, ShapeError, type Tensor, zeros } from "../../mod.ts";

const { init } = nn;

function moments(x: Tensor): { mean: number; std: number; low: number; high: number } {
  const values = Array.from(x.data(), Number);
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  const std = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
  return { mean, std, low: Math.min(...values), high: Math.max(...values) };
}

/** Bounds and deviations within 2%: 40,000 numbers give the deviation to 0.5% and the extremes to 0.1%. */
function assertNear(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) <= 0.02 * Math.abs(expected), `${actual}, expected ${expected}`);
}

Deno.test("calculateGain() gives PyTorch's gains", () => {
  assertEquals(["linear", "conv2d", "sigmoid"].map((name) => init.calculateGain(name as "linear")), [1, 1, 1]);
  // torch.nn.init.calculate_gain: tanh 5/3, relu sqrt(2), leaky_relu(0.2) 1.3867504905630728, selu 0.75
  assertEquals([init.calculateGain("tanh"), init.calculateGain("relu"), init.calculateGain("selu")], [
    5 / 3,
    Math.SQRT2,
    0.75,
  ]);
  assertEquals(init.calculateGain("leakyRelu", 0.2), 1.3867504905630728);
  assertEquals(init.calculateGain("leakyRelu"), Math.sqrt(2 / (1 + 1e-4)));
  assertThrows(() => init.calculateGain("step" as "tanh"), RangeError, '"step"');
});

Deno.test("uniform and normal initialisations have PyTorch's bounds and deviations", () => {
  manualSeed(3);
  const weight = (): Tensor => zeros([100, 400]);
  const uniform: [Tensor, number][] = [
    [init.uniform_(weight(), { a: -3, b: 3 }), 3],
    [init.xavierUniform_(weight(), { gain: 2 }), 2 * Math.sqrt(6 / 500)],
    [init.kaimingUniform_(weight()), Math.sqrt(6 / 400)],
    [init.kaimingUniform_(weight(), { a: Math.sqrt(5) }), 1 / Math.sqrt(400)],
    [init.kaimingUniform_(weight(), { mode: "fanOut", nonlinearity: "tanh" }), 5 / 3 * Math.sqrt(3 / 100)],
    [init.kaimingUniform_(zeros([20, 50, 4, 10]), { nonlinearity: "relu" }), Math.sqrt(6 / 2000)],
  ];
  for (const [x, bound] of uniform) {
    const { low, high, std } = moments(x);
    assert(low >= -bound && high <= bound);
    assertNear(high, bound);
    assertNear(std, bound / Math.sqrt(3));
  }
  const normal: [Tensor, number][] = [
    [init.normal_(weight(), { mean: 0, std: 0.5 }), 0.5],
    [init.xavierNormal_(weight()), Math.sqrt(2 / 500)],
    [init.kaimingNormal_(weight(), { nonlinearity: "relu" }), Math.sqrt(2 / 400)],
    [init.kaimingNormal_(weight(), { mode: "fanOut" }), Math.sqrt(2 / 100)],
  ];
  for (const [x, deviation] of normal) assertNear(moments(x).std, deviation);
  assertNear(moments(init.normal_(weight(), { mean: 4 })).mean, 4);
});

Deno.test("truncNormal_ stays in its bounds and has the moments of the truncated distribution", () => {
  manualSeed(5);
  const { low, high, mean, std } = moments(init.truncNormal_(zeros([40_000]), { mean: 1, std: 2, a: -1, b: 4 }));
  assert(low >= -1 && high <= 4 && low < -0.99 && high > 3.98, `${low}, ${high}`);
  // With a = -1, b = 1.5, Z = Phi(b) - Phi(a): mean 1 + 2 (phi(a) - phi(b)) / Z, and the variance likewise.
  assertNear(mean, 1.29037);
  assertNear(std, 1.28947);
});

Deno.test("orthogonal_ makes orthonormal rows or columns; eye_ and constants are what they say", () => {
  manualSeed(6);
  for (const shape of [[5, 3], [3, 5], [70, 40], [40, 70], [64, 64], [8, 3, 2, 2], [1, 4]]) {
    const w = init.orthogonal_(zeros(shape, { dtype: "float64" }), { gain: 2 }).reshape([shape[0], -1]);
    const product = w.shape[0] <= w.shape[1] ? w.matmul(w.t()) : w.t().matmul(w);
    const expected = init.eye_(zeros(product.shape, { dtype: "float64" })).mul(4);
    // Gram-Schmidt twice leaves some units in the last place.
    assert(product.sub(expected).abs().max().item() < 1e-13, String(shape));
  }
  assertEquals(init.eye_(zeros([2, 3])).toArray(), [[1, 0, 0], [0, 1, 0]]);
  assertEquals(init.eye_(zeros([3, 2])).toArray(), [[1, 0], [0, 1], [0, 0]]);
  assertEquals(
    [init.ones_(zeros([2])), init.constant_(zeros([2]), 3), init.zeros_(init.ones_(zeros([1])))].map((x) =>
      x.toArray()
    ),
    [[1, 1], [3, 3], [0]],
  );
});

Deno.test("initialisation changes parameters in place, also views of them, without recording", () => {
  const layer = new nn.Linear(3, 2);
  assert(init.ones_(layer.weight) === layer.weight);
  init.xavierUniform_(noGrad(() => layer.weight.t()));
  assertEquals([layer.weight.isLeaf, layer.weight.requiresGrad], [true, true]);
  assert(moments(layer.weight).std > 0);
  assertThrows(() => init.xavierUniform_(zeros([3])), ShapeError, "at least 2 dimensions");
  assertThrows(() => init.eye_(zeros([3])), ShapeError, "2 dimensions");
  assertThrows(() => init.kaimingNormal_(zeros([3, 3]), { mode: "fan" as "fanIn" }), RangeError, '"fan"');
});
