import { assert, assertEquals, assertThrows } from "@std/assert";
import { DTypeError, nn, ones, randn, ShapeError, type Tensor, tensor, zeros } from "../../mod.ts";
import { assertClose } from "../_support/close.ts";

Deno.test("LayerNorm and RMSNorm have PyTorch's parameters and starting values", () => {
  const norm = new nn.LayerNorm([2, 3]);
  assertEquals(Object.keys(norm.stateDict()), ["weight", "bias"]);
  assertEquals([norm.weight!.toArray(), norm.bias!.toArray(), norm.eps], [[[1, 1, 1], [1, 1, 1]], [[0, 0, 0], [
    0,
    0,
    0,
  ]], 1e-5]);
  assertEquals(Object.keys(new nn.LayerNorm(3, { bias: false }).stateDict()), ["weight"]);
  assertEquals(Object.keys(new nn.LayerNorm(3, { elementwiseAffine: false }).stateDict()), []);
  assertEquals(Object.keys(new nn.RMSNorm(3).stateDict()), ["weight"]);
  assertEquals(Object.keys(new nn.RMSNorm(3, { elementwiseAffine: false }).stateDict()), []);
});

Deno.test("the normalisation modules use their parameters and eps, and train", () => {
  const x = tensor([[1, 2, 3]]);
  const layer = new nn.LayerNorm(3, { eps: 2 });
  layer.loadStateDict({ weight: tensor([1, 2, 4]), bias: tensor([0, 1, 2]) });
  const scale = 1 / Math.sqrt(2 / 3 + 2);
  assert(layer.forward(x).allClose(tensor([[-scale, 1, 2 + 4 * scale]]), { rtol: 1e-6 }));
  const rms = new nn.RMSNorm(3, { eps: 2 });
  rms.loadStateDict({ weight: tensor([1, 2, 4]) });
  const root = 1 / Math.sqrt(14 / 3 + 2);
  assert(rms.forward(x).allClose(tensor([[root, 4 * root, 12 * root]]), { rtol: 1e-6 }));
  layer.forward(x).add(rms.forward(x)).sum().backward();
  assert(layer.bias!.grad!.allClose(ones([3])));
  assert(rms.weight!.grad!.allClose(tensor([root, 2 * root, 3 * root]), { rtol: 1e-6 }));
});

Deno.test("activation modules are the methods of the tensor", () => {
  const x = randn([2, 3]);
  const pairs: [nn.Module, Tensor][] = [
    [new nn.SiLU(), x.silu()],
    [new nn.Softmax({ dim: 1 }), x.softmax({ dim: 1 })],
    [new nn.LogSoftmax({ dim: 0 }), x.logSoftmax({ dim: 0 })],
  ];
  for (const [module, expected] of pairs) assertEquals(module.forward(x).toArray(), expected.toArray());
});

Deno.test("loss modules pass all their options on", () => {
  const { functional } = nn;
  const [x, y] = [randn([4, 3]), randn([4, 3]).sigmoid()];
  const target = tensor([0, 2, 1, 0], { dtype: "int64" });
  const weight = tensor([0.5, 1, 2]);
  const none = { reduction: "none" } as const;
  const pairs: [nn.Module, Tensor, Tensor][] = [
    [new nn.MSELoss(none), y, functional.mseLoss(x, y, none)],
    [new nn.L1Loss(none), y, functional.l1Loss(x, y, none)],
    [new nn.SmoothL1Loss({ beta: 0.3 }), y, functional.smoothL1Loss(x, y, { beta: 0.3 })],
    [
      new nn.BCEWithLogitsLoss({ weight, posWeight: weight }),
      y,
      functional.binaryCrossEntropyWithLogits(x, y, { weight, posWeight: weight }),
    ],
    [new nn.NLLLoss({ weight, ignoreIndex: 1 }), target, functional.nllLoss(x, target, { weight, ignoreIndex: 1 })],
    [
      new nn.KLDivLoss({ reduction: "batchmean", logTarget: true }),
      y,
      functional.klDiv(x, y, { reduction: "batchmean", logTarget: true }),
    ],
    [
      new nn.CrossEntropyLoss({ weight, labelSmoothing: 0.1 }),
      target,
      functional.crossEntropy(x, target, { weight, labelSmoothing: 0.1 }),
    ],
  ];
  for (const [module, other, expected] of pairs) assertEquals(module.forward(x, other).toArray(), expected.toArray());
  assertEquals(new nn.MSELoss().forward(x, y).item(), functional.mseLoss(x, y).item());
});

Deno.test("GroupNorm has PyTorch's parameters, starting values and rules", () => {
  const norm = new nn.GroupNorm(2, 4, { eps: 0.5 });
  assertEquals(Object.keys(norm.stateDict()), ["weight", "bias"]);
  assertEquals([norm.weight!.toArray(), norm.bias!.toArray()], [[1, 1, 1, 1], [0, 0, 0, 0]]);
  const x = tensor([[[1], [3], [-2], [2]], [[0], [0], [5], [7]]], { dtype: "float32" });
  // Distances from the mean of a group divided by sqrt(variance + 0.5), where the variances are 1, 4, 0 and 1.
  const expected = [-1 / Math.sqrt(1.5), 1 / Math.sqrt(1.5), -2 / Math.sqrt(4.5), 2 / Math.sqrt(4.5)];
  assertClose(norm.forward(x).flatten(), [...expected, 0, 0, expected[0], expected[1]], { atol: 1e-6 });
  assertEquals(Object.keys(new nn.GroupNorm(2, 4, { affine: false }).stateDict()), []);
  assertThrows(() => new nn.GroupNorm(3, 4), RangeError, "numGroups must divide numChannels, got 3 and 4");
  assertThrows(() => norm.forward(x.narrow(1, 0, 2)), ShapeError, "this GroupNorm takes (batch, 4, ...)");
  const { groupNorm } = nn.functional;
  assertThrows(() => groupNorm(x, 3), RangeError, "numGroups must divide the 4 channels, got 3");
  assertThrows(() => groupNorm(x.flatten(), 1), ShapeError, "it takes (batch, channels, ...)");
  assertThrows(() => groupNorm(x, 2, { weight: zeros([3]) }), ShapeError, "the weight must be (4), got (3)");
  assertThrows(
    () => groupNorm(x, 2, { bias: zeros([4], { dtype: "float64" }) }),
    DTypeError,
    "got float32 and a bias of float64",
  );
  assertThrows(() => groupNorm(x.to({ dtype: "int32" }), 2), DTypeError, "int32 is not floating");
});
