/** Outputs of 32 MB and more are written past the caches, by another path than small ones: every element is compared. */
import { assertEquals } from "@std/assert";
import { arange, type Tensor, tidy } from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";

const ROWS = 3203;
const COLS = 2999;

function check(name: string, actual: Tensor, expected: (i: number) => number): void {
  const values = (actual.dtype === "bfloat16" ? actual.to({ dtype: "float32" }) : actual).data();
  let bad = 0;
  for (let i = 0; i < values.length; i++) if (Number(values[i]) !== expected(i)) bad++;
  assertEquals([name, 4 * values.length >= 32 * 2 ** 20, bad], [name, true, 0]);
}

for (const device of testDevices(import.meta.url)) {
  Deno.test(`elements of large outputs are all written (${device})`, () => {
    tidy(() => {
      // All values are integers that float32 holds: below 2^24, or twice such a number.
      const x = arange(ROWS * COLS, { dtype: "float32", device }).reshape([ROWS, COLS]);
      const row = arange(COLS, { dtype: "float32", device });
      const column = arange(ROWS, { dtype: "float32", device }).unsqueeze(1);
      const at = (i: number): [number, number] => [Math.floor(i / COLS), i % COLS];
      check("a number", x.add(1), (i) => i + 1);
      check("two tensors", x.sub(x.mul(2)), (i) => -i);
      check("a row", x.add(row), (i) => i + at(i)[1]);
      check("a column", x.sub(column), (i) => i - at(i)[0]);
      check("a copy", x.clone(), (i) => i);
      const turned = x.transpose(0, 1);
      const source = (i: number): number => (i % ROWS) * COLS + Math.floor(i / ROWS);
      check("a transposed copy", turned.contiguous(), source);
      check("a transposed operand", turned.mul(2).sub(turned), source);
      check("another dtype", x.to({ dtype: "float64" }), (i) => i);
      check("int32", x.to({ dtype: "int32" }).add(7), (i) => i + 7);
      const part = x.clone().reshape([ROWS * COLS]).narrow(0, 3, ROWS * COLS - 5);
      check("an unaligned view", part.add_(1), (i) => i + 4);
      const flat = arange(2 ** 24, { dtype: "float32", device });
      check("bfloat16", flat.remainder(256).to({ dtype: "bfloat16" }).neg(), (i) => -(i % 256));
    });
  });
}
