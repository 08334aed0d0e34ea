import { assertEquals } from "@std/assert";
import { devices, tensor } from "../../mod.ts";
import { applyBinary, applyCompare, type BinaryName, binaryOps } from "../../src/ops/binary.ts";
import { applyUnary, type UnaryName, unaryOps } from "../../src/ops/unary.ts";
import { assertClose, decode } from "../_support/close.ts";
import golden from "../golden/ops.json" with { type: "json" };

type Golden = Record<string, (number | string)[]>;

// Float32 has 24 bits; the C library's and CUDA's functions are within 2 units in the last place, compositions within 4 more.
const TOLERANCE = { rtol: 6 * 2 ** -24, atol: 1e-9 };

for (const device of devices()) {
  Deno.test(`unary operations give PyTorch's values, also for infinities, zeros and NaN (${device})`, async (t) => {
    const expected = golden.unary as Golden;
    assertEquals(Object.keys(expected).sort(), Object.keys(unaryOps).sort());
    for (const name of Object.keys(unaryOps) as UnaryName[]) {
      await t.step(name, () => {
        const x = tensor(decode(golden.x), { device });
        const attrs = name === "clamp" ? { alpha: 0.7, beta: 1.2 } : { alpha: 0.7, beta: 0 };
        assertClose(applyUnary(name, x, attrs), decode(expected[name]), TOLERANCE);
      });
    }
  });

  Deno.test(`binary operations and comparisons give PyTorch's values (${device})`, async (t) => {
    const [a, b] = [tensor(decode(golden.a), { device }), tensor(decode(golden.b), { device })];
    const expected = golden.binary as Golden;
    assertEquals(Object.keys(expected).sort(), Object.keys(binaryOps).sort());
    for (const name of Object.keys(binaryOps) as BinaryName[]) {
      await t.step(name, () => assertClose(applyBinary(name, a, b), decode(expected[name]), TOLERANCE));
    }
    for (const [name, values] of Object.entries(golden.compare)) {
      await t.step(name, () => assertClose(applyCompare(name as "eq", a, b), values));
    }
  });

  Deno.test(`reductions give PyTorch's values (${device})`, async (t) => {
    const m = tensor(decode(golden.m), { shape: [2, 3], device });
    for (const [key, values] of Object.entries(golden.reduce)) {
      const [name, dimText] = key.split(" ");
      await t.step(key, () => {
        const dim = dimText === undefined ? undefined : Number(dimText);
        const result = name === "max" || name === "min"
          ? dim === undefined ? m[name]() : m[name]({ dim }).values
          : m[name as "sum" | "mean" | "var" | "argmax"](dim === undefined ? {} : { dim });
        assertClose(result, decode(values), TOLERANCE);
      });
    }
  });

  Deno.test(`integers stay integers where PyTorch keeps them (${device})`, () => {
    const x = tensor([7, -2], { dtype: "int32", device });
    const wide = tensor([2 ** 40, 3], { dtype: "int64", device });
    assertEquals([x.add(1).dtype, x.add(0.5).dtype, x.div(2).dtype], ["int32", "float32", "float32"]);
    assertEquals([x.add(wide).dtype, x.add(wide).toArray()], ["int64", [2 ** 40 + 7, 1]]);
    assertEquals([x.sum().dtype, x.sum().item()], ["int64", 5]);
    assertEquals(x.mul(tensor(2.5, { device })).dtype, "float32");
    assertEquals(x.gt(0).to({ dtype: "int32" }).toArray(), [1, 0]);
  });
}
