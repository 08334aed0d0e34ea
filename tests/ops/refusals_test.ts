import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  cat,
  data,
  defaultDevice,
  DeviceError,
  devices,
  DTypeError,
  NativeError,
  nn,
  ones,
  optim,
  rand,
  ReleasedError,
  scope,
  ShapeError,
  stack,
  type Tensor,
  tensor,
  tidy,
  where,
  zeros,
} from "../../mod.ts";
import { Device } from "../../src/core/device.ts";
import { tensorOver } from "../../src/core/op.ts";
import { createStorage } from "../../src/core/storage.ts";

const { functional } = nn;
const int64 = (values: number[]): Tensor => tensor(values, { dtype: "int64" });
const bools = tensor([1, 0], { dtype: "bool" });

type ErrorClass = abstract new (...args: never[]) => Error;

/** [what is wrong, the call, its error, a part of the sentence that says what to do or what was expected]. */
type Refusal = [() => unknown, ErrorClass, string];

/** Every refusal is one sentence or two on one line: action, rule, state. */
function checkAll(refusals: readonly Refusal[]): void {
  for (const [call, type, sentence] of refusals) {
    const { message } = assertThrows(call, type, sentence);
    assertEquals(message.split("\n").length, 1, message);
    assert(/^(Cannot|index) /.test(message), message);
  }
}

Deno.test("wrong shapes are ShapeErrors that name the rule and both sides", () => {
  checkAll([
    [() => ones([2, 3]).add(ones([4])), ShapeError, "Cannot add (2, 3) and (4): sizes must be equal or 1, got 3 and 4"],
    [
      () => rand([2, 3]).matmul(rand([4, 5])),
      ShapeError,
      "Cannot multiply (2, 3) by (4, 5): inner sizes must be equal",
    ],
    [() => ones([]).matmul(ones([2])), ShapeError, "Use mul() for scalars"],
    [() => ones([2, 2, 3]).matmul(ones([3, 3, 5])), ShapeError, "Cannot multiply batches of (2) and (3)"],
    [() => functional.linear(ones([2, 3]), ones([4, 5])), ShapeError, "the last size must be 5, got 3"],
    [() => functional.linear(ones([2, 3]), ones([4, 3]), ones([5])), ShapeError, "its shape must be (4)"],
    [() => ones([2, 3]).reshape([4]), ShapeError, "Cannot reshape (2, 3) into (4): the number of elements must stay 6"],
    [() => ones([2, 3]).reshape([-1, -1]), ShapeError, "one of them may be -1"],
    [() => ones([2, 3]).reshape([NaN]), ShapeError, "sizes must be non-negative integers"],
    [() => ones([2, 3]).transpose(0, 1).view([6]), ShapeError, "Use reshape(), which copies"],
    [() => ones([2, 3]).permute([0]), ShapeError, "each dimension must be named once"],
    [() => ones([2, 3]).transpose(0, 2), ShapeError, "dim must be in [-2, 1], got 2"],
    [() => ones([2, 3]).narrow(0, 1, 2), ShapeError, "leave its size 2"],
    [() => ones([2, 3]).select(0, 2), ShapeError, "it must be an integer in [-2, 1]"],
    [() => ones([3]).slice({ step: 0 }), ShapeError, "step must be a positive integer, got 0"],
    [() => ones([2]).expand([3]), ShapeError, "only sizes of 1 may grow"],
    [() => ones([2]).squeeze(1), ShapeError, "dim must be in [-1, 0], got 1"],
    [() => ones([2]).unsqueeze(3), ShapeError, "dim must be in [-2, 1], got 3"],
    [() => ones([2, 3]).flatten(1, 0), ShapeError, "startDim 1 lies after endDim 0"],
    [() => ones([2, 3]).sum({ dim: 0.5 }), ShapeError, "dim must be in [-2, 1], got 0.5"],
    [() => ones([2, 3]).sum({ dim: [0, -2] }), ShapeError, "names a dimension twice"],
    [() => ones([0]).max(), ShapeError, "a reduced dimension is empty"],
    [() => ones([0]).argmax(), ShapeError, "a reduced dimension is empty"],
    [() => cat([]), ShapeError, "empty list"],
    [() => cat([ones([]), ones([])]), ShapeError, "use stack()"],
    [() => cat([ones([2, 3]), ones([3, 2])]), ShapeError, "sizes must be equal except in dimension 0"],
    [() => stack([ones([2]), ones([3])]), ShapeError, "sizes must be equal"],
    [() => where(bools, ones([3]), ones([3])), ShapeError, "sizes must be equal or 1, got 2 and 3"],
    [() => functional.embedding(int64([0]), ones([3])), ShapeError, "its shape must be (count, dim)"],
    [() => functional.mseLoss(ones([2]), ones([3])), ShapeError, "(2)"],
    [() => functional.crossEntropy(ones([2, 3]), int64([1])), ShapeError, "(2, 3)"],
    [() => ones([2]).item(), ShapeError, "it must have one element"],
    [() => ones([]).length, ShapeError, "it has no dimension"],
    [() => tensor([[1, 2], [3]]), ShapeError, "nested arrays must have equal lengths"],
    [() => tensor([1, 2, 3], { shape: [2] }), ShapeError, "Cannot make a tensor of (2) from 3 numbers"],
    [() => zeros([-1]), ShapeError, "sizes must be non-negative integers, got (-1)"],
    [() => zeros([1.5]), ShapeError, "sizes must be non-negative integers"],
    [() => zeros(3 as never), ShapeError, "the shape must be an array of sizes, got 3"],
    [() => ones([2]).copy_(ones([3])), ShapeError, "got 2 and 3"],
    [() => ones([2]).add_(ones([3, 2])), ShapeError, "Use add()"],
    [() => ones([1]).expand([3]).add_(1), ShapeError, "Call clone() first"],
    [() => new nn.Linear(2, 2).loadStateDict({ weight: ones([3, 3]), bias: ones([2]) }), ShapeError, "must be (2, 2)"],
    [() => new nn.Linear(0.5, 2), ShapeError, "sizes must be non-negative integers"],
    [() => new data.TensorDataset(ones([2]), ones([3])), ShapeError, "first sizes must be equal"],
  ]);
});

Deno.test("wrong dtypes are DTypeErrors that say which one is meant", () => {
  checkAll([
    [() => bools.neg(), DTypeError, "use logicalNot()"],
    [() => bools.sub(bools), DTypeError, "logicalXor()"],
    [() => int64([1, 2]).mean(), DTypeError, "convert"],
    [() => int64([1, 2]).matmul(int64([1, 2])), DTypeError, "convert them to float32 first"],
    [
      () => functional.linear(ones([2, 3]), ones([4, 3], { dtype: "float64" })),
      DTypeError,
      'convert the input with .to({ dtype: "float64" })',
    ],
    [() => ones([3]).indexSelect(0, tensor([0])), DTypeError, "the index must be int32 or int64"],
    [() => functional.embedding(tensor([0.5]), ones([3, 2])), DTypeError, "the index must be int32 or int64"],
    [() => functional.dropout(int64([2])), DTypeError, "the input must be floating"],
    [() => int64([1]).requiresGrad_(), DTypeError, "only floating tensors have one"],
    [() => int64([1]).add_(0.5), DTypeError, "Use add(), or convert the tensor first"],
    [() => tensor([1], { dtype: "float8" as never }), DTypeError, "choose one of float32, float64"],
    [() => ones([1]).to({ dtype: "single" as never }), DTypeError, "choose one of float32, float64"],
    [() => ones([2]).add("1" as never), TypeError, "an operand must be a tensor or a number"],
    [() => ones([2]).mul(undefined as never), TypeError, "an operand must be a tensor or a number"],
    [() => ones([2]).lt([1, 2] as never), TypeError, "an operand must be a tensor or a number"],
  ]);
});

/** What the library says of an index: a GPU notices it later, when the host asks for values, and does not know which it was. */
function outside(index: string, size: number): string {
  return defaultDevice().type === "cpu" ? `${index} is outside [0, ${size})` : "a value outside its dimension";
}

Deno.test("numbers outside their range are RangeErrors, indices outside the tensor NativeErrors", () => {
  const parameter = new nn.Parameter(ones([1]));
  checkAll([
    [() => functional.dropout(ones([2]), { p: 1.5 }), RangeError, "it must be in [0, 1]"],
    [() => functional.gelu(ones([2]), { approximate: "erf" as never }), RangeError, 'it must be "none" or "tanh"'],
    [() => functional.mseLoss(ones([2]), ones([2]), { reduction: "max" as never }), RangeError, 'it must be "mean"'],
    [
      () => functional.crossEntropy(ones([2, 3]), int64([1, 2]), { labelSmoothing: 2 }),
      RangeError,
      "it must be in [0, 1]",
    ],
    [() => new nn.Dropout(2), RangeError, "it must be in [0, 1]"],
    [() => new optim.SGD([]), RangeError, "the list of parameters is empty"],
    [() => new optim.SGD([parameter], { lr: -1 }), RangeError, "it must be at least 0"],
    [() => new optim.SGD([parameter], { nesterov: true }), RangeError, "needs a momentum above 0"],
    [() => new optim.Adam([parameter], { betas: [1, 2] }), RangeError, "give two numbers in [0, 1)"],
    [() => new optim.Adam([parameter, parameter]), RangeError, "listed twice"],
    [() => new data.TensorDataset(), RangeError, "give it at least one tensor"],
    [() => ones([3]).indexSelect(0, int64([3])).data(), NativeError, outside("index 3 at position 0", 3)],
    [() => ones([3]).indexSelect(0, int64([-1])).data(), NativeError, outside("index -1 at position 0", 3)],
    [() => functional.embedding(int64([0, 7]), ones([3, 2])).data(), NativeError, outside("index 7 at position 1", 3)],
    [
      () => functional.crossEntropy(ones([2, 3]), int64([1, 3])).item(),
      NativeError,
      outside("index 3 at position 1", 3),
    ],
  ]);
});

Deno.test("tensors on two devices are a DeviceError that names both and says how to move one", () => {
  const a = ones([2], { device: "cpu" });
  // A second device with the CPU's library: as far as TypeScript can tell, a GPU.
  const other = new Device("cuda", 0, a.storage.device.library);
  const b = tensorOver(createStorage(other, 8), [2], 0, "float32", "test");
  const sentence = ".to({ device })";
  checkAll([
    [
      () => a.add(b),
      DeviceError,
      "tensors on cpu and cuda:0: they must be on one device. Move one with .to({ device })",
    ],
    [() => a.unsqueeze(0).matmul(b.unsqueeze(1)), DeviceError, sentence],
    [() => where(bools, a, b), DeviceError, sentence],
    [() => cat([a, b]), DeviceError, sentence],
    [() => functional.mseLoss(a, b), DeviceError, sentence],
    [() => functional.linear(a, b.unsqueeze(0)), DeviceError, sentence],
    [() => zeros([1], { device: "tpu" as never }), DeviceError, 'names are "cpu", "cuda" and "cuda:<index>"'],
    [() => zeros([1], { device: "cuda:63" }), DeviceError, "usable GPUs"],
  ]);
  b.dispose();
});

Deno.test("a released tensor is a ReleasedError wherever it is used, and names its maker", () => {
  let x = ones([1]);
  tidy(() => {
    x = ones([2, 2]).exp();
  });
  const uses: (() => unknown)[] = [
    () => x.add(1),
    () => x.add_(1),
    () => ones([2, 2]).add(x),
    () => ones([2, 2]).add_(x),
    () => ones([2, 2]).copy_(x),
    () => x.matmul(x),
    () => x.sum(),
    () => x.argmax(),
    () => x.eq(1),
    () => x.reshape([4]),
    () => x.select(0, 0),
    () => x.transpose(0, 1),
    () => x.detach(),
    () => x.clone(),
    () => x.contiguous().mul(1),
    () => x.to({ dtype: "int32" }),
    () => x.item(),
    () => x.data(),
    () => x.toArray(),
    () => x.keep(),
    () => x.fill_(0),
    () => cat([x, x]),
    () => stack([x, x]),
    () => where(x.gt(0), x, x),
    () => functional.linear(ones([2]), x),
    () => functional.mseLoss(x, x),
    () => functional.crossEntropy(x, int64([0, 1])),
    () => x.backward(),
  ];
  checkAll(uses.map((use) => [use, ReleasedError, "made by exp and released at the end of tidy(). Call .keep()"]));
  assertEquals(x.toString(), "tensor(released, shape=(2, 2))");
  const inner = scope();
  const y = ones([2]);
  inner[Symbol.dispose]();
  assertThrows(() => y.add(1), ReleasedError, "released at the end of scope()");
  const z = ones([2]);
  z.dispose();
  assertThrows(() => z.add(1), ReleasedError, "released at dispose()");
});

if (Deno.env.get("ACCELERATE_REQUIRE_GPU") === "1") {
  Deno.test("a GPU is there", () => {
    assert(devices().length > 1, "test:gpu was asked for, but the CUDA library finds no GPU");
  });
}
