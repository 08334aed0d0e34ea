import { assertRejects, assertThrows } from "@std/assert";
import { noGrad, type Tensor, zeros } from "../mod.ts";
import { checkRow } from "./_support/op_table/check.ts";
import { assertWithin } from "./_support/close.ts";
import { assertGolden, assertLow } from "./_support/op_table/compare.ts";
import { readGoldens } from "./_support/op_table/golden.ts";
import { nameOf, type Row } from "./_support/op_table/row.ts";
import { FAMILIES } from "./op_table.ts";

// The table is worth what its checks are worth: each of these mistakes must be found.

const exp = FAMILIES.unary.find((row) => nameOf(row) === "exp") as Row;
const golden = readGoldens("unary").exp;

/** Passes the value through and multiplies the gradient by a factor. */
function withGradient(x: Tensor, factor: number): Tensor {
  return x.mul(factor).add(noGrad(() => x.mul(1 - factor)));
}

const kept: Tensor[] = [];
const MISTAKES: [string, Row["run"], string][] = [
  ["a value", ([x]) => x.exp().mul(1 + 1e-11), "base, float64: output 0: 15 of 15 values differ"],
  ["a NaN", ([x]) => x.exp().div(x.size === 0 ? 1 : 0).mul(0), "is NaN"],
  ["a gradient", ([x]) => withGradient(x.exp(), 1 + 1e-11), "base, float64: gradient 0"],
  ["no gradient", ([x]) => x.detach().exp(), "base, float64: gradient 0 is missing"],
  ["a shape", ([x]) => x.exp().unsqueeze(0), "output 0 has shape (1, 3, 5), not (3, 5)"],
  [
    "a shape of empty inputs",
    ([x]) => x.size === 0 ? x.reshape([0]) : x.exp(),
    "empty, float64: output 0 has shape (0)",
  ],
  ["a dtype", ([x]) => x.exp().to({ dtype: "float64" }), "base, float32: output 0 is float64, not float32"],
  ["float32", ([x], { dtype }) => x.exp().mul(dtype === "float32" ? 1 + 1e-5 : 1), "base, float32: output 0"],
  ["bfloat16", ([x], { dtype }) => x.exp().mul(dtype === "bfloat16" ? 1.03 : 1), "base, bfloat16: output 0"],
  [
    "a gradient in float16",
    ([x], { dtype }) => withGradient(x.exp(), dtype === "float16" ? 1.01 : 1),
    "base, float16: gradient 0",
  ],
  ["strides", ([x]) => x.isContiguous ? x.exp() : x.exp().mul(2), "base of strided views, float64"],
  ["a number of outputs", ([x]) => [x.exp(), x], "2 outputs, not 1"],
  ["memory", ([x]) => (kept.push(zeros([3], { device: "cpu" }).keep()), x.exp()), "storages are still alive"],
];

for (const [name, run, message] of MISTAKES) {
  Deno.test(`the op table finds a mistake in ${name}`, async () => {
    await assertRejects(() => checkRow("unary", { ...exp, run }, golden, "cpu"), Error, message);
    while (kept.length > 0) kept.pop()!.dispose();
  });
}

Deno.test("a gradient that PyTorch's values do not show is found by central differences", async () => {
  const blind = { ...golden, cases: structuredClone(golden.cases) } as typeof golden;
  const values = blind.cases.base.grad![0]!.values as number[];
  values.forEach((value, i) => values[i] = value * 2);
  const doubled: Row = { ...exp, run: ([x]) => withGradient(x.exp(), 2) };
  await assertRejects(() => checkRow("unary", doubled, blind, "cpu"), Error, "against central differences");
});

Deno.test("a row without PyTorch's values, or with old ones, says how to make them", async () => {
  const command = "run python3 tests/golden/generate_op_table.py unary";
  await assertRejects(() => checkRow("unary", exp, undefined, "cpu"), Error, command);
  await assertRejects(() => checkRow("unary", { ...exp, torch: "a.sin()" }, golden, "cpu"), Error, command);
});

Deno.test("comparisons fail on NaN, on infinities of the wrong sign, and on another number of values", () => {
  const close = (actual: number[], expected: number[]) => () => assertWithin("x", actual, expected, () => 1e-3);
  close([1, NaN, Infinity, -Infinity], [1.0005, NaN, Infinity, -Infinity])();
  for (const [actual, expected] of [[NaN, 1], [1, NaN], [Infinity, -Infinity], [1e30, Infinity], [1, 1.01]]) {
    assertThrows(close([actual], [expected]), Error, "1 of 1 values differ");
  }
  assertThrows(close([], [1]), Error, "0 values, not 1");
  assertThrows(close([1, 2], [1]), Error, "2 values, not 1");
  assertThrows(() => assertGolden("x", [3], "int64", { values: [4], error: {} }), Error, "is 3, not 4");
  // Numbers beyond the largest of float16 are infinite there, and nothing else is.
  assertLow("x", [Infinity, 1], "float16", [1e5, 1], 0, 1);
  assertThrows(() => assertLow("x", [65504], "float16", [1e5], 0, 1), Error, "not Infinity");
  assertThrows(() => assertLow("x", [Infinity], "float16", [6e4], 0, 1), Error, "not 60000");
});
