import { where } from "../../mod.ts";
import { applyBinary, applyCompare } from "../../src/ops/binary.ts";
import { bools, floats, integers, listed, type Row } from "../_support/op_table/row.ts";

const SPECIAL = [
  listed([-2, -1.5, 0, 0, 3, 2, Infinity, NaN, 1, -Infinity]),
  listed([1, -1.5, 0, 2, -2, 0.5, Infinity, 1, NaN, 3]),
];
const NO_DIFFERENCES = "central differences do not exist there";

const names = ["add", "sub", "mul", "div", "pow", "maximum", "minimum"] as const;
const expressions = {
  add: "a + b",
  sub: "a - b",
  mul: "a * b",
  div: "a / b",
  pow: "a ** b",
  maximum: "torch.maximum(a, b)",
  minimum: "torch.minimum(a, b)",
};
const low = (name: typeof names[number]): number => name === "div" || name === "pow" ? 0.3 : -2;

const rows: Row[] = names.flatMap((name): Row[] => [
  {
    covers: `Tensor.${name}`,
    name,
    inputs: [floats([3, 5], low(name)), floats([3, 5], low(name))],
    shapes: [[[2, 3, 4], [3, 1]], [[], [4]], [[5], []], [[2, 1, 3], [1, 4, 1]], [[0, 3], [3]], [[37], [37]]],
    run: ([a, b]) => a[name](b),
    torch: expressions[name],
  },
  {
    covers: `Tensor.${name}`,
    name: `${name} of special values`,
    inputs: SPECIAL,
    run: ([a, b]) => applyBinary(name, a, b),
    torch: expressions[name],
    skip: { numeric: NO_DIFFERENCES },
  },
]);

rows.push(
  {
    covers: ["Tensor.mul", "Tensor.add"],
    name: "a tensor used several times",
    inputs: [floats([3, 5]), floats([3, 5])],
    run: ([a, b]) => a.mul(a).add(a).mul(b).sub(a),
    torch: "(a * a + a) * b - a",
  },
  ...(["add", "sub"] as const).map((name): Row => ({
    covers: `Tensor.${name}`,
    name: `${name} with alpha`,
    inputs: [floats([3, 5]), floats([3, 5])],
    run: ([a, b]) => a[name](b, { alpha: 2.5 }),
    torch: `a.${name}(b, alpha=2.5)`,
  })),
  ...(["eq", "ne", "lt", "le", "gt", "ge"] as const).flatMap((name): Row[] => [
    {
      covers: `Tensor.${name}`,
      name,
      inputs: [integers([4, 5], -2, 3), integers([4, 5], -2, 3)],
      run: ([a, b]) => a[name](b),
      torch: `a.${name}(b)`,
    },
    {
      covers: `Tensor.${name}`,
      name: `${name} of special values`,
      inputs: SPECIAL,
      run: ([a, b]) => applyCompare(name, a, b),
      torch: `a.${name}(b)`,
    },
    {
      covers: `Tensor.${name}`,
      name: `${name} a number`,
      inputs: [integers([4, 5], -2, 3, "int32")],
      run: ([a]) => [a[name](1), a[name](0.5)],
      torch: `(a.${name}(1), a.${name}(0.5))`,
    },
  ]),
  {
    covers: "where",
    inputs: [bools([3, 5]), floats([3, 5]), floats([3, 5])],
    shapes: [[[3], [2, 3], [3]], [[2, 1], [3], []]],
    run: ([condition, a, b]) => where(condition, a, b),
    torch: "torch.where(a, b, c)",
  },
);

export default rows;
