import { assert, assertEquals, assertThrows } from "@std/assert";
import { AX } from "../../ffi/constants.ts";
import { device, DTypeError, manualSeed, NativeError, nn, ones, randn, ShapeError, tensor, zeros } from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";

const { functional } = nn;

/** The results of a function with 1, 2 and 3 threads. */
function withThreads<T>(run: () => T): T[] {
  const { library } = device("cpu");
  try {
    return [1, 2, 3].map((count) => {
      assertEquals(library.ax_threads_set(count), AX.OK);
      return run();
    });
  } finally {
    library.ax_threads_set(navigator.hardwareConcurrency);
  }
}

Deno.test("gradients of layerNorm's parameters do not depend on the number of threads", () => {
  manualSeed(1);
  const x = randn([517, 67]);
  const [one, two, three] = withThreads(() => {
    const norm = new nn.LayerNorm(67);
    norm.forward(x).square().sum().backward();
    return [norm.weight!.grad!.toArray(), norm.bias!.grad!.toArray()];
  });
  assertEquals([two, three], [one, one]);
});

Deno.test("a sum of losses does not depend on the number of threads", () => {
  manualSeed(2);
  const [a, b] = [randn([300_001]), randn([300_001])];
  const [one, two, three] = withThreads(() => functional.mseLoss(a, b).item());
  assertEquals([two, three], [one, one]);
});

for (const name of testDevices(import.meta.url)) {
  Deno.test(`layerNorm keeps the digits of rows that lie far from 0 (${name})`, () => {
    // E[x^2] - E[x]^2 would be 0 or negative in float32: 1e4^2 has no digit left for a variance of 2/3.
    const x = tensor([[9999, 10_000, 10_001]], { device: name });
    assert(
      functional.layerNorm(x, [3]).allClose(tensor([[-1.2247356, 0, 1.2247356]], { device: name }), { atol: 1e-5 }),
    );
  });

  Deno.test(`rmsNorm takes the eps of the dtype it computes in (${name})`, () => {
    for (const dtype of ["float32", "bfloat16", "float16"] as const) {
      const y = functional.rmsNorm(tensor([[1e-3, 1e-3]], { dtype, device: name }), [2]).toArray() as number[][];
      // PyTorch 2.13 gives 0.9452449 in float32 and 0.9453125 in the 16-bit dtypes.
      assert(Math.abs(y[0][0] - 0.9452449) < (dtype === "float32" ? 1e-6 : 4e-3), `${dtype}: ${y}`);
    }
  });

  Deno.test(`the softmax of a row sums to 1 for rows of every length around the lanes (${name})`, () => {
    manualSeed(3);
    for (const length of [1, 2, 15, 16, 17, 63, 64, 65, 127, 129, 4095, 4097, 9000]) {
      for (const shape of [[3, length], [length, 3]]) {
        const dim = shape.indexOf(length);
        const y = randn(shape, { device: name }).softmax({ dim });
        // Errors of the terms are independent; that of the divisor, which they share, is a few units of 2^-24.
        const total = y.to({ dtype: "float64" }).sum({ dim });
        assert(total.allClose(ones([3], { device: name }), { atol: 1e-6, rtol: 0 }), `length ${length}`);
        assert(y.data().every((value) => value >= 0));
      }
    }
  });

  Deno.test(`crossEntropy names a class that does not exist (${name})`, () => {
    const logits = zeros([2, 3], { device: name });
    for (const wrong of [3, -1]) {
      assertThrows(
        () => functional.crossEntropy(logits, tensor([0, wrong], { dtype: "int64", device: name })).item(),
        NativeError,
        name === "cpu" ? `index ${wrong} at position 1 is outside [0, 3)` : "a value outside its dimension",
      );
    }
  });
}

Deno.test("softmax, norms and losses refuse what they cannot compute, and say why", () => {
  const target = tensor([0, 1], { dtype: "int64" });
  assertThrows(() => tensor([1, 2], { dtype: "int32" }).softmax({ dim: 0 }), DTypeError, "the softmax of int32");
  assertThrows(() => zeros([2, 3]).logSoftmax({ dim: 2 }), ShapeError, "dim must be in [-2, 1], got 2");
  assertThrows(() => functional.layerNorm(zeros([2, 3]), [2]), ShapeError, "the last dimensions");
  assertThrows(() => functional.layerNorm(zeros([2, 3]), []), ShapeError, "the last dimensions");
  assertThrows(() => functional.rmsNorm(zeros([2, 3]), [3], { weight: ones([2]) }), ShapeError, "the normalized shape");
  assertThrows(
    () => functional.layerNorm(zeros([2, 3]), [3], { weight: ones([3], { dtype: "float64" }) }),
    DTypeError,
    "one floating dtype",
  );
  assertThrows(
    () => functional.crossEntropy(zeros([2, 3]), target.reshape([2, 1])),
    ShapeError,
    "(rows, classes, ...)",
  );
  assertThrows(() => functional.crossEntropy(zeros([2, 3]), zeros([2])), ShapeError, "For classes pass int64 targets");
  assertThrows(
    () => functional.crossEntropy(zeros([2, 3]), target, { weight: ones([2]) }),
    ShapeError,
    "it must be (3), one per class",
  );
  assertThrows(() => functional.crossEntropy(zeros([2, 3]), target, { labelSmoothing: 2 }), RangeError, "in [0, 1]");
  assertThrows(() => functional.nllLoss(target, target), ShapeError, "Cannot compute nllLoss");
  assertThrows(() => functional.mseLoss(zeros([2]), zeros([3])), ShapeError, "sizes must be equal or 1");
  assertThrows(() => functional.mseLoss(target, target), DTypeError, "one must be floating");
  assertThrows(() => functional.smoothL1Loss(zeros([2]), zeros([2]), { beta: -1 }), RangeError, "not be negative");
  assertThrows(
    () => functional.binaryCrossEntropyWithLogits(zeros([2, 1]), zeros([2])),
    ShapeError,
    "shapes must be equal",
  );
  assertThrows(
    () => functional.l1Loss(zeros([2]), zeros([2]), { reduction: "average" as "mean" }),
    RangeError,
    'it must be "mean", "sum" or "none"',
  );
});
