import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  arange,
  device as findDevice,
  type DType,
  DTypeError,
  full,
  rand,
  randint,
  ShapeError,
  tensor,
} from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";

/** What `data()` gives for each dtype, and the elements 0 and 1 in it. */
const ARRAYS: [DType, unknown][] = [
  ["float32", Float32Array.of(0, 1)],
  ["float64", Float64Array.of(0, 1)],
  ["bfloat16", Uint16Array.of(0, 0x3f80)],
  ["float16", Float16Array.of(0, 1)],
  ["int32", Int32Array.of(0, 1)],
  ["int64", BigInt64Array.of(0n, 1n)],
  ["uint8", Uint8Array.of(0, 1)],
  ["bool", Uint8Array.of(0, 1)],
];

for (const device of testDevices(import.meta.url)) {
  for (const [dtype, expected] of ARRAYS) {
    Deno.test(`data(), toArray() and item() of ${dtype} (${device})`, () => {
      const x = tensor([0, 1], { dtype, device });
      assertEquals(x.data(), expected);
      assertEquals(x.toArray(), [0, 1]);
      assertEquals([x.select(0, 1).item(), x.narrow(0, 0, 1).item()], [1, 0]);
      assertEquals(x.reshape([1, 2, 1]).toArray(), [[[0], [1]]]);
      assertEquals(x.narrow(0, 0, 0).toArray(), []);
    });
  }

  Deno.test(`tensor() takes bools, bigints and every typed array (${device})`, () => {
    assertEquals([tensor([[true], [false]], { device }).dtype, tensor([1n, -2n], { device }).dtype], ["bool", "int64"]);
    assertEquals(tensor([2n ** 62n + 1n], { device }).data(), BigInt64Array.of(2n ** 62n + 1n));
    for (const [dtype, array] of ARRAYS) {
      if (dtype === "bfloat16" || dtype === "bool") continue;
      const x = tensor(array as Float32Array, { device });
      assertEquals([x.dtype, x.data()], [dtype, array]);
    }
    const part = new Float64Array([9, 1, 2, 9]).subarray(1, 3);
    assertEquals(tensor(part, { device }).toArray(), [1, 2]);
    assertEquals(tensor(part, { device, dtype: "int64", shape: [2, 1] }).toArray(), [[1], [2]]);
    assertEquals(tensor([1.9, -1.9], { device, dtype: "int64" }).toArray(), [1, -1]);
    assertEquals(tensor([true, false], { device, dtype: "float32" }).toArray(), [1, 0]);
    assertEquals(tensor([], { device }).shape, [0]);
    assertThrows(() => tensor([[1, 2], [3]]), ShapeError, "nested arrays must have equal lengths");
    assertThrows(() => tensor([1, [2]]), ShapeError, "nested arrays must have equal lengths");
  });

  Deno.test(`nanToNum() takes the dtype's own limits (${device})`, () => {
    const limits: [DType, number][] = [
      ["float32", 3.4028234663852886e38],
      ["float64", Number.MAX_VALUE],
      ["bfloat16", 3.3895313892515355e38],
      ["float16", 65504],
    ];
    for (const [dtype, largest] of limits) {
      const x = tensor([NaN, Infinity, -Infinity, 1], { dtype, device });
      assertEquals(x.nanToNum().toArray(), [0, largest, -largest, 1]);
    }
  });

  Deno.test(`equal() and allClose() compare shape and every element (${device})`, () => {
    const x = tensor([1, 2, NaN], { device });
    assert(!x.equal(x) && !x.allClose(x) && x.allClose(x, { equalNan: true }));
    const y = full([3], 2, { device });
    assert(y.equal(y.clone()) && y.equal(y.to({ dtype: "int32" })) && !y.equal(y.reshape([3, 1])));
    assert(y.allClose(y.add(1e-6)) && !y.allClose(y.add(1e-3)) && !y.allClose(full([1], 2, { device })));
    const infinite = tensor([Infinity, -Infinity], { device });
    assert(infinite.allClose(infinite) && !infinite.allClose(infinite.neg()));
    assert(full([0], 1, { device }).equal(full([0], 2, { device })));
  });

  Deno.test(`sums of many integers are exact (${device})`, () => {
    const x = arange(300_000, { device });
    assertEquals([x.sum().item(), x.argmax().item()], [300_000 * 299_999 / 2, 299_999]);
    const bytes = randint(0, 2, [100_001], { dtype: "uint8", device });
    assertEquals(bytes.sum().item(), (bytes.toArray() as number[]).reduce((sum, value) => sum + value, 0));
  });
}

Deno.test("a reduction gives the same bits with every number of threads", () => {
  const { library } = findDevice("cpu");
  const x = rand([700, 900]);
  const results = [1, 2, 3].map((threads) => {
    library.ax_threads_set(threads);
    return [x.sum(), x.sum({ dim: 0 }), x.sum({ dim: 1 }), x.norm()].map((each) => each.data());
  });
  library.ax_threads_set(2);
  assertEquals(results[1], results[0]);
  assertEquals(results[2], results[0]);
});

Deno.test("a mask or a condition must be bool", () => {
  const x = tensor([1, 2]);
  assertThrows(() => x.maskedSelect(x), DTypeError, "Cannot select by a mask of float32: it must be bool");
  assertThrows(() => x.maskedFill(x, 1), DTypeError, "the mask must be bool");
});
