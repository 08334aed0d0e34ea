/**
 * Operands that broadcast at sizes where each row is one call of a loop, where rows share a tile, and where a row is cut: every element is
 * compared with plain JavaScript. The table of operations has small shapes only.
 */
import { assertEquals } from "@std/assert";
import { arange, devices, type Tensor, tidy } from "../../mod.ts";
import type { Shape } from "../../src/core/shape.ts";

type Binary = (a: number, b: number) => number;

const OPERATIONS: Record<string, [(a: Tensor, b: Tensor) => Tensor, Binary]> = {
  add: [(a, b) => a.add(b), (a, b) => a + b],
  sub: [(a, b) => a.sub(b), (a, b) => a - b],
  mul: [(a, b) => a.mul(b), (a, b) => a * b],
  div: [(a, b) => a.div(b), (a, b) => a / b],
  maximum: [(a, b) => a.maximum(b), Math.max],
  minimum: [(a, b) => a.minimum(b), Math.min],
  "add of a multiple": [(a, b) => a.add(b, { alpha: 3 }), (a, b) => a + 3 * b],
};

/** Full shape, shape that broadcasts to it. Widths around 256 and 8192 take different paths, 32 elements are one step of a loop. */
const SHAPES: [Shape, Shape][] = [
  [[3, 255], [255]],
  [[3, 256], [256]],
  [[5, 300], [5, 1]],
  [[5, 31], [5, 1]],
  [[7, 1027], [1]],
  [[2, 3, 17, 19], [1, 3, 1, 1]],
  [[2, 3, 300], [3, 1]],
  [[2, 3, 300], [2, 1, 300]],
  [[2, 8192], [2, 1]],
  [[3, 8200], [8200]],
  [[40_000], [1]],
];

/** Integers in a range that every dtype here holds, none of them 0. */
function numbers(shape: Shape, start: number, dtype: "float32" | "float64" | "bfloat16"): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return arange(start + size, { start, dtype: "int64" }).remainder(61).add(1).reshape([...shape]).to({ dtype });
}

function values(x: Tensor): number[] {
  return Array.from(x.to({ dtype: "float64" }).contiguous().data(), Number);
}

function check(name: string, actual: Tensor, a: Tensor, b: Tensor, formula: Binary): void {
  const [left, right] = [a, b].map((x) => values(x.expand([...actual.shape]).to({ device: "cpu" })));
  const round = actual.dtype === "float32" ? Math.fround : (x: number) => x;
  const expected = left.map((x, i) => round(formula(x, right[i])));
  assertEquals(values(actual), expected, name);
}

for (const device of devices()) {
  for (const [name, [operation, formula]] of Object.entries(OPERATIONS)) {
    Deno.test(`${name} broadcasts at every width (${device})`, () => {
      for (const [full, small] of SHAPES) {
        for (const dtype of ["float32", "float64"] as const) {
          tidy(() => {
            const a = numbers(full, 5, dtype).to({ device });
            const b = numbers(small, 2, dtype).to({ device });
            const at = `${name} of (${full}) and (${small}), ${dtype}`;
            check(at, operation(a, b), a, b, formula);
            check(`${at}, turned`, operation(b, a), b, a, formula);
            if (full.length < 2) return;
            const part = a.narrow(-1, 1, full.at(-1)! - 2);
            const fits = small.at(-1) === 1 ? b : b.narrow(-1, 1, full.at(-1)! - 2);
            check(`${at}, a view`, operation(part, fits), part, fits, formula);
          });
        }
      }
    });
  }

  Deno.test(`a change in place takes an operand that broadcasts (${device})`, () => {
    for (const [full, small] of SHAPES) {
      tidy(() => {
        const a = numbers(full, 5, "float32").to({ device });
        const b = numbers(small, 2, "float32").to({ device });
        const before = a.clone();
        check(`(${full}) and (${small})`, a.sub_(b), before, b, (x, y) => x - y);
      });
    }
  });

  Deno.test(`bfloat16 broadcasts through buffers (${device})`, () => {
    tidy(() => {
      const a = numbers([4, 700], 5, "bfloat16").to({ device });
      const column = numbers([4, 1], 2, "bfloat16").to({ device });
      // Sums of two integers up to 61 are exact in bfloat16.
      check("a column", a.add(column), a, column, (x, y) => x + y);
    });
  });
}
