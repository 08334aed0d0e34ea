import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  cat,
  type DeviceName,
  devices,
  manualSeed,
  nn,
  noGrad,
  rand,
  ShapeError,
  stack,
  type Tensor,
  tensor,
  where,
} from "../../mod.ts";
import { applyBinary, type BinaryName, binaryOps } from "../../src/ops/binary.ts";
import { linear as fusedLinear } from "../../src/ops/matmul.ts";
import { applyUnary, type UnaryName, unaryOps } from "../../src/ops/unary.ts";

/** Compares the gradient of `sum(fn(inputs) * weights)` with central differences in float64. */
function checkGradient(
  name: string,
  fn: (inputs: Tensor[]) => Tensor,
  shapes: number[][],
  low = 0.3,
  high = 1.7,
): void {
  for (const device of devices()) checkOn(device, name, fn, shapes, low, high);
}

function checkOn(
  device: DeviceName,
  name: string,
  fn: (inputs: Tensor[]) => Tensor,
  shapes: number[][],
  low: number,
  high: number,
): void {
  Deno.test(`${name}: gradient equals central differences (${device})`, () => {
    manualSeed(7);
    const inputs = shapes.map((shape) => {
      const x = rand(shape, { dtype: "float64" }).mul(high - low).add(low);
      return tensor(x.data(), { shape, device, requiresGrad: true });
    });
    const out = fn(inputs);
    const weights = rand(out.shape, { dtype: "float64", device });
    out.mul(weights).sum().backward();
    const value = (): number => noGrad(() => fn(inputs).mul(weights).sum().item());
    const epsilon = 1e-6;
    let compared = 0;
    for (const x of inputs) {
      const gradient = x.grad!.data();
      for (let i = 0; i < x.size; i++) {
        const entry = noGrad(() => x.reshape([x.size]).narrow(0, i, 1).detach());
        entry.add_(epsilon);
        const above = value();
        entry.add_(-2 * epsilon);
        const below = value();
        entry.add_(epsilon);
        const numeric = (above - below) / (2 * epsilon);
        const difference = Math.abs(numeric - Number(gradient[i]));
        assert(difference <= 1e-6 * Math.max(1, Math.abs(numeric)), `entry ${i}: ${gradient[i]}, numeric ${numeric}`);
        compared++;
      }
    }
    assert(compared > 0);
  });
}

// Every operation of the tables is checked, so a new one cannot be forgotten.
for (const name of Object.keys(unaryOps) as UnaryName[]) {
  checkGradient(`unary ${name}`, ([x]) => applyUnary(name, x, { alpha: 0.6, beta: 1.3 }), [[3, 5]]);
}
for (const name of Object.keys(binaryOps) as BinaryName[]) {
  checkGradient(`binary ${name}`, ([a, b]) => applyBinary(name, a, b), [[3, 5], [3, 5]]);
}
checkGradient("gelu (tanh)", ([x]) => x.gelu({ approximate: "tanh" }), [[7]]);
checkGradient("negative inputs of gelu", ([x]) => x.gelu(), [[7]], -2, 2);
checkGradient("clamp", ([x]) => x.clamp({ min: 0.5, max: 1.2 }), [[17]]);
checkGradient("pow by a number", ([x]) => x.pow(2.5), [[4]]);
for (const name of ["add", "sub", "mul", "div", "pow"] as const) {
  checkGradient(`${name} with broadcasting`, ([a, b]) => a[name](b), [[2, 3, 4], [3, 1]]);
}
checkGradient("maximum", ([a, b]) => a.maximum(b), [[9], [9]]);
checkGradient("minimum", ([a, b]) => a.minimum(b), [[9], [9]]);
checkGradient("where", ([a, b]) => where(tensor([1, 0, 1], { dtype: "bool", device: a.device }), a, b), [[2, 3], [3]]);
checkGradient("sum over dimensions", ([x]) => x.sum({ dim: [0, 2] }), [[2, 3, 4]]);
checkGradient("mean with keepDim", ([x]) => x.mean({ dim: 1, keepDim: true }), [[2, 3, 4]]);
checkGradient("var", ([x]) => x.var({ dim: -1 }), [[3, 5]]);
checkGradient("max over a dimension", ([x]) => x.max({ dim: 1 }).values, [[3, 5]]);
checkGradient("min", ([x]) => x.min(), [[3, 5]]);
checkGradient("matmul", ([a, b]) => a.matmul(b), [[5, 7], [7, 3]]);
checkGradient("batched matmul with broadcasting", ([a, b]) => a.matmul(b), [[2, 1, 3, 4], [3, 4, 2]]);
checkGradient("matrix-vector product", ([a, b]) => a.matmul(b), [[3, 4], [4]]);
checkGradient("linear", ([x, w, b]) => nn.functional.linear(x, w, b), [[2, 3, 4], [5, 4], [5]]);
for (const activation of ["relu", "gelu"] as const) {
  checkGradient(
    `linear with fused ${activation}`,
    ([x, w, b]) => fusedLinear(x.sub(1), w, b.neg(), activation),
    [[3, 4], [5, 4], [5]],
  );
}
checkGradient("views", ([x]) => x.permute([2, 0, 1]).slice({ dim: 0, step: 2 }).reshape([4, 3]).transpose(0, 1), [[
  2,
  3,
  4,
]]);
checkGradient("expand and squeeze", ([x]) => x.unsqueeze(1).expand([3, 4, 2]).select(1, 2), [[3, 2]]);
checkGradient("indexSelect", ([x]) => x.indexSelect(1, tensor([2, 0, 2], { dtype: "int64", device: x.device })), [[
  2,
  3,
]]);
checkGradient("mseLoss", ([a, b]) => nn.functional.mseLoss(a, b), [[3, 4], [3, 4]]);
checkGradient(
  "crossEntropy",
  ([x]) =>
    nn.functional.crossEntropy(x, tensor([1, -100, 3], { dtype: "int64", device: x.device }), { labelSmoothing: 0.1 }),
  [[3, 4]],
);
checkGradient("clone", ([x]) => x.clone().mul(x), [[3]]);
checkGradient("a copy of a permuted view", ([x]) => x.transpose(0, 1).contiguous(), [[3, 2]]);
checkGradient("cat", ([a, b]) => cat([a, b], { dim: 1 }), [[2, 3], [2, 1]]);
checkGradient("stack", ([a, b]) => stack([a, b], { dim: 1 }), [[2, 3], [2, 3]]);
checkGradient("a tensor used twice", ([x]) => x.mul(x).add(x), [[4]]);

Deno.test("matmul() equals a sum of products in float64 for sizes around the tile sizes", () => {
  manualSeed(3);
  for (const [m, n, k] of [[1, 1, 1], [13, 33, 7], [145, 65, 300], [12, 32, 256], [2, 5, 0]]) {
    const a = rand([m, k], { dtype: "float64" });
    const b = rand([k, n], { dtype: "float64" });
    const out = a.matmul(b).data();
    assertEquals(out.length, m * n);
    const x = a.data();
    const y = b.data();
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let expected = 0;
        for (let p = 0; p < k; p++) expected += Number(x[i * k + p]) * Number(y[p * n + j]);
        assert(Math.abs(Number(out[i * n + j]) - expected) <= 1e-12 * Math.max(1, k));
      }
    }
  }
});

Deno.test("matmul() refuses different inner sizes", () => {
  assertThrows(
    () => rand([2, 3]).matmul(rand([4, 5])),
    ShapeError,
    "Cannot multiply (2, 3) by (4, 5): inner sizes must be equal, got 3 and 4",
  );
});

Deno.test({
  name: "a GPU is there (ACCELERATE_REQUIRE_GPU=1)",
  ignore: Deno.env.get("ACCELERATE_REQUIRE_GPU") !== "1",
  fn: () => assert(devices().length > 1, "test:gpu was asked for, but the CUDA library finds no GPU"),
});
