import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AutogradError,
  defaultDevice,
  devices,
  type DType,
  manualSeed,
  nn,
  optim,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../../mod.ts";
import { assertClose } from "../_support/close.ts";

const { clipGradNorm, clipGradValue } = nn.utils;

function parameter(values: number[], gradient: number[], dtype: DType = "float32"): Tensor {
  const x = tensor(values, { dtype, requiresGrad: true });
  x.mul(tensor(gradient, { dtype })).sum().backward();
  return x;
}

/** PyTorch's norm and gradients of [3, -4] and [12] for max_norm 6.5: torch.nn.utils.clip_grad_norm_(ps, 6.5, norm_type=p). */
const EXPECTED: [number, number, number[]][] = [
  [2, 13, [1.5, -2, 6]],
  [1, 19, [3 * 6.5 / 19, -4 * 6.5 / 19, 12 * 6.5 / 19]],
  [3, Math.cbrt(27 + 64 + 1728), [3, -4, 12].map((g) => g * 6.5 / Math.cbrt(1819))],
  [Infinity, 12, [1.625, -13 / 6, 6.5]],
];

for (const device of devices()) {
  for (const dtype of ["float32", "float64", "bfloat16"] as const) {
    for (const flat of [false, true]) {
      const name = `${dtype}, ${flat ? "flat" : "separate"} gradients, ${device}`;
      Deno.test(`clipGradNorm() has PyTorch's norms and factors (${name})`, () => {
        for (const [normType, norm, gradients] of EXPECTED) {
          const make = (values: number[]): Tensor => tensor(values, { dtype, device, requiresGrad: true });
          const [a, b] = [make([1, 2]), make([3])];
          if (flat && dtype !== "bfloat16") new optim.SGD([a, b]);
          a.mul(tensor([3, -4], { dtype, device })).sum().add(b.mul(12).sum()).backward();
          const total = clipGradNorm([a, b, make([1])], 6.5, { normType });
          // The 1e-6 in the denominator, and bfloat16's 8 bits.
          const tolerance = { rtol: dtype === "bfloat16" ? 2 ** -8 : 1e-6 };
          assertEquals([total.dtype, total.shape, total.device], [dtype, [], device]);
          assertClose(total.to({ dtype: "float64" }), [norm], tolerance);
          assertClose(a.grad!.to({ dtype: "float64" }), gradients.slice(0, 2), tolerance);
          assertClose(b.grad!.to({ dtype: "float64" }), gradients.slice(2), tolerance);
        }
      });
    }
  }
}

Deno.test("clipGradNorm() of many flat parameters is that of all elements; what is small enough stays", () => {
  manualSeed(2);
  const model = new nn.Sequential(new nn.Linear(130, 257), new nn.Tanh(), new nn.Linear(257, 3));
  new optim.SGD(model.parameters());
  model.forward(randn([4, 130])).square().sum().backward();
  const values = model.parameters().flatMap((p) => Array.from(p.grad!.data(), Number));
  const norm = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  // Float32 sums of 34,000 squares.
  assertClose(clipGradNorm(model.parameters(), 1e9), [norm], { rtol: 1e-6 });
  assertEquals(model.parameters().flatMap((p) => Array.from(p.grad!.data(), Number)), values);
  const versions = model.parameters().map((p) => p.grad!.version);
  assertClose(clipGradNorm(model.parameters(), norm / 3), [norm], { rtol: 1e-6 });
  assertClose(clipGradNorm(model.parameters(), 1e9), [norm / 3], { rtol: 1e-6 });
  // On a GPU the host does not know whether the gradients were scaled, so a call counts as a change.
  const changes = defaultDevice().type === "cpu" ? 1 : 2;
  assertEquals(model.parameters().map((p) => p.grad!.version), versions.map((version) => version + changes));
});

Deno.test("clipGradNorm() of no gradients is 0; norms that are not finite are scaled by, or refused", () => {
  assertEquals(clipGradNorm([tensor([1], { requiresGrad: true })], 1).item(), 0);
  const x = parameter([1, 1], [Infinity, 1]);
  assertThrows(
    () => clipGradNorm([x], 1, { errorIfNonfinite: true }),
    AutogradError,
    "whose norm of type 2 is Infinity",
  );
  assertEquals(x.grad!.toArray(), [Infinity, 1]);
  // torch: clip_coef = 1 / inf = 0, so the gradients are nan and 0
  assertEquals(clipGradNorm(x, 1).item(), Infinity);
  assertEquals(x.grad!.toArray(), [NaN, 0]);
  assertThrows(() => clipGradNorm([x], -1), RangeError, "at least 0");
  assertThrows(() => clipGradNorm([x], 1, { normType: 0 }), RangeError, "above 0");
});

Deno.test("clipGradValue() limits every element", () => {
  const [a, b] = [parameter([1, 2], [3, -4]), parameter([3], [0.5])];
  clipGradValue([a, b], 1);
  assertEquals([a.grad!.toArray(), b.grad!.toArray()], [[1, -1], [0.5]]);
});

Deno.test("parametersToVector() and vectorToParameters() are inverse, and gradients flow through the first", () => {
  const layer = new nn.Linear(2, 3);
  tidy(() => {
    const vector = nn.utils.parametersToVector(layer.parameters());
    assertEquals(vector.shape, [9]);
    vector.square().sum().backward();
    assertClose(layer.bias!.grad!, Array.from(layer.bias!.data(), Number).map((v) => 2 * v));
    const other = new nn.Linear(2, 3);
    nn.utils.vectorToParameters(vector, other.parameters());
    assertEquals(other.weight.toArray(), layer.weight.toArray());
    assertEquals(other.bias!.toArray(), layer.bias!.toArray());
    assertThrows(() => nn.utils.vectorToParameters(vector, [other.weight]), TypeError, "its shape must be (6)");
  });
  assert(layer.weight.isLeaf);
});

Deno.test("a NaN gradient makes every norm NaN, an infinite one makes it infinite, as PyTorch", () => {
  for (const normType of [1, 2, 3, Infinity]) {
    for (
      const [values, expected] of [[[1, NaN, 2], NaN], [[Infinity, NaN], NaN], [[1, -Infinity], Infinity]] as const
    ) {
      const p = new nn.Parameter(zeros([values.length]));
      p.grad = tensor([...values]);
      assertEquals(nn.utils.clipGradNorm([p], 1e9, { normType }).item(), expected, `norm ${normType} of ${values}`);
    }
  }
});
