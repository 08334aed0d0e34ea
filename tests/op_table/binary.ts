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

const DIVISIONS = {
  remainder: "a % b",
  fmod: "a.fmod(b)",
  floorDivide: 'a.div(b, rounding_mode="floor")',
  atan2: "torch.atan2(a, b)",
};
for (const name of ["remainder", "fmod", "floorDivide", "atan2"] as const) {
  rows.push(
    {
      covers: [`Tensor.${name}`, `op:${name}`],
      name,
      inputs: [floats([3, 5], 0.3, 4), floats([3, 5], 0.6, 1.7)],
      shapes: [[[2, 3, 4], [3, 1]], [[37], []]],
      run: ([a, b]) => a[name](b),
      torch: DIVISIONS[name],
      // Where a rounded quotient differs by one in low precision, so does the result, by the whole divisor.
      skip: name === "atan2" ? {} : {
        lowPrecision: "it is not continuous: a rounded operand gives another quotient",
        float32: "it is not continuous: a rounded operand gives another quotient",
      },
    },
    {
      covers: `Tensor.${name}`,
      name: `${name} of special values`,
      inputs: [
        listed([7, -7, 7, -7, 5.5, -5.5, 0, -0, 1, -1, Infinity, 3, NaN, 3, 1e18, 6]),
        listed([3, 3, -3, -3, 2, 2, 5, 5, 0, 0, 2, Infinity, 1, NaN, 3, 0.1]),
      ],
      run: ([a, b]) => a[name](b),
      torch: DIVISIONS[name],
      skip: {
        numeric: NO_DIFFERENCES,
        gradient: "at jumps there is none",
        lowPrecision: "it is not continuous: a rounded operand gives another quotient",
        float32: "it is not continuous: a rounded operand gives another quotient",
      },
    },
  );
}
rows.push(
  {
    covers: ["Tensor.div", "op:truncDivide"],
    name: "div with a rounding mode",
    inputs: [floats([3, 5], -4, 4), floats([3, 5], 0.6, 1.7)],
    run: (
      [a, b],
    ) => [
      a.div(b, { roundingMode: "floor" }),
      a.div(b, { roundingMode: "trunc" }),
      a.div(0.7, { roundingMode: "trunc" }),
    ],
    torch: '(a.div(b, rounding_mode="floor"), a.div(b, rounding_mode="trunc"), a.div(0.7, rounding_mode="trunc"))',
    skip: {
      lowPrecision: "it is not continuous: a rounded operand gives another quotient",
      float32: "it is not continuous: a rounded operand gives another quotient",
    },
  },
  ...(["int32", "int64", "uint8"] as const).map((dtype): Row => ({
    covers: ["Tensor.remainder", "Tensor.fmod", "Tensor.floorDivide", "Tensor.div", "Tensor.pow"],
    name: `divisions and powers of ${dtype}`,
    inputs: [integers([4, 5], dtype === "uint8" ? 0 : -9, 9, dtype), integers([4, 5], 1, 5, dtype)],
    run: ([a, b]) => [
      ...[a.remainder(b), a.fmod(b), a.floorDivide(b), a.div(b, { roundingMode: "trunc" }), a.pow(b)],
      ...[a.remainder(3), a.fmod(3), a.floorDivide(3), a.remainder(0.75), a.floorDivide(0.75), a.atan2(b)],
    ],
    torch:
      '(a % b, a.fmod(b), a // b, a.div(b, rounding_mode="trunc"), a ** b, a % 3, a.fmod(3), a // 3, a % 0.75, a // 0.75, torch.atan2(a, b))',
  })),
  ...(["int32", "int64", "uint8", "bool"] as const).map((dtype): Row => ({
    covers: ["bitwiseAnd", "bitwiseOr", "bitwiseXor"].flatMap((name) => [`Tensor.${name}`, `op:${name}`]),
    name: `bitwise operations of ${dtype}`,
    inputs: [{ ...integers([4, 5], 0, dtype === "bool" ? 2 : 99), dtype }, {
      ...integers([4, 5], 0, dtype === "bool" ? 2 : 99),
      dtype,
    }],
    run: ([a, b]) => [a.bitwiseAnd(b), a.bitwiseOr(b), a.bitwiseXor(b), a.bitwiseAnd(1), a.bitwiseOr(6)],
    torch: "(a & b, a | b, a ^ b, a & 1, a | 6)",
  })),
  {
    covers: ["bitwiseLeftShift", "bitwiseRightShift"].flatMap((name) => [`Tensor.${name}`, `op:${name}`]),
    name: "shifts",
    inputs: [integers([4, 5], -99, 99, "int32"), integers([4, 5], 0, 9, "int32")],
    run: ([a, b]) => [a.bitwiseLeftShift(b), a.bitwiseRightShift(b), a.bitwiseLeftShift(2), a.bitwiseRightShift(1)],
    torch: "(a << b, a >> b, a << 2, a >> 1)",
  },
  {
    covers: ["Tensor.logicalAnd", "Tensor.logicalOr", "Tensor.logicalXor"],
    name: "logical operations",
    inputs: [integers([4, 5], -1, 2, "int32"), listed([0, 1, NaN, 0, -0])],
    run: ([a, b]) => [a.logicalAnd(b), a.logicalOr(b), a.logicalXor(b)],
    torch: "(torch.logical_and(a, b), torch.logical_or(a, b), torch.logical_xor(a, b))",
  },
  {
    covers: "Tensor.lerp",
    inputs: [floats([3, 5]), floats([3, 5]), floats([3, 5], 0, 1)],
    run: ([a, b, weight]) => [a.lerp(b, 0.3), a.lerp(b, 0.8), a.lerp(b, weight)],
    torch: "(a.lerp(b, 0.3), a.lerp(b, 0.8), a.lerp(b, c))",
    tolerance: { factor: 3, reason: "made of several operations, each of which rounds" },
  },
  {
    covers: "Tensor.clamp",
    name: "clamp by tensors",
    inputs: [floats([3, 5]), floats([5], -1, 0), floats([3, 1], 0, 1)],
    run: (
      [x, low, high],
    ) => [x.clamp({ min: low, max: high }), x.clamp({ min: low }), x.clamp({ max: high, min: -0.5 })],
    torch: "(a.clamp(b, c), a.clamp(min=b), a.clamp(torch.full_like(c, -0.5), c))",
  },
  {
    covers: "Tensor.where",
    inputs: [bools([3, 5]), floats([3, 5]), floats([5])],
    run: (
      [condition, a, b],
    ) => [a.where(condition, b), a.where(condition, 2), where(condition, 1.5, b), where(condition, 1, 2)],
    torch: "(torch.where(a, b, c), torch.where(a, b, 2), torch.where(a, 1.5, c), torch.where(a, 1, 2))",
  },
  {
    covers: "Tensor.isClose",
    inputs: [listed([1, 2, NaN, Infinity, 1, -Infinity, 0]), listed([1, 2.1, NaN, Infinity, Infinity, Infinity, 1e-9])],
    run: ([a, b]) => [a.isClose(b), a.isClose(b, { rtol: 0.1, equalNan: true })],
    torch: "(a.isclose(b), a.isclose(b, rtol=0.1, equal_nan=True))",
    skip: { lowPrecision: "compared in float64 here, in the dtype there" },
  },
);

export default rows;
