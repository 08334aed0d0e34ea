import { applyUnary, type UnaryName } from "../../src/ops/unary.ts";
import { bools, type Check, floats, integers, listed, type Row } from "../_support/op_table/row.ts";

/** Infinities, zeros, NaN, and values around the borders of the formulas. */
const SPECIAL = listed([-2.5, -1, -0, 0, 1e-4, 0.3, 0.5, 1, 1.5, 2.5, 9, Infinity, -Infinity, NaN]);
const NO_DIFFERENCES = "central differences do not exist there";

/** [operation, PyTorch's expression, its exported names, lowest and highest input]. */
const table: [UnaryName, string, string | string[], number?, number?][] = [
  ["neg", "-a", "Tensor.neg"],
  ["abs", "a.abs()", "Tensor.abs"],
  ["sign", "a.sign()", ["Tensor.sign", "op:sign"]],
  ["square", "a.square()", "Tensor.square"],
  ["relu", "a.relu()", ["Tensor.relu", "functional.relu"]],
  ["reciprocal", "a.reciprocal()", ["Tensor.reciprocal", "op:reciprocal"], 0.3, 2],
  ["exp", "a.exp()", "Tensor.exp"],
  ["expm1", "a.expm1()", ["Tensor.expm1", "op:expm1"]],
  ["log", "a.log()", "Tensor.log", 0.1, 4],
  ["log1p", "a.log1p()", ["Tensor.log1p", "op:log1p"], -0.8, 3],
  ["sqrt", "a.sqrt()", "Tensor.sqrt", 0.1, 4],
  ["rsqrt", "a.rsqrt()", "Tensor.rsqrt", 0.3, 4],
  ["sin", "a.sin()", ["Tensor.sin", "op:sin"], -6, 6],
  ["cos", "a.cos()", ["Tensor.cos", "op:cos"], -6, 6],
  ["tanh", "a.tanh()", ["Tensor.tanh", "functional.tanh"], -4, 4],
  ["sigmoid", "a.sigmoid()", ["Tensor.sigmoid", "functional.sigmoid"], -6, 6],
  ["gelu", "F.gelu(a)", ["Tensor.gelu", "functional.gelu"], -4, 4],
  ["geluTanh", 'F.gelu(a, approximate="tanh")', ["Tensor.gelu", "functional.gelu"], -4, 4],
  ["silu", "F.silu(a)", ["Tensor.silu", "functional.silu"], -6, 6],
  ["erf", "a.erf()", ["Tensor.erf", "op:erf"]],
  ["floor", "a.floor()", ["Tensor.floor", "op:floor"]],
  ["ceil", "a.ceil()", ["Tensor.ceil", "op:ceil"]],
  ["round", "a.round()", ["Tensor.round", "op:round"]],
  ["exp2", "a.exp2()", "Tensor.exp2"],
  ["log2", "a.log2()", "Tensor.log2", 0.1, 4],
  ["log10", "a.log10()", "Tensor.log10", 0.1, 4],
  ["tan", "a.tan()", "Tensor.tan", -1.2, 1.2],
  ["asin", "a.asin()", "Tensor.asin", -0.9, 0.9],
  ["acos", "a.acos()", "Tensor.acos", -0.9, 0.9],
  ["atan", "a.atan()", "Tensor.atan", -4, 4],
  ["sinh", "a.sinh()", "Tensor.sinh", -3, 3],
  ["cosh", "a.cosh()", "Tensor.cosh", -3, 3],
  ["trunc", "a.trunc()", "Tensor.trunc", -4, 4],
];

const skipSpecial: Partial<Record<UnaryName, Partial<Record<Check, string>>>> = {
  gelu: { float32: "PyTorch's float32 kernel gives NaN for infinity, its float64 one the limit" },
};

const attrs = (name: UnaryName): { alpha: number; beta: number } =>
  name === "clamp" ? { alpha: -0.75, beta: 1.25 } : { alpha: 0.75, beta: 0 };

const rows: Row[] = table.flatMap(([name, torch, covers, low = -2, high = 2]) => [
  {
    covers,
    name,
    inputs: [floats([3, 5], low, high)],
    shapes: [[[]], [[37]], [[2, 3, 1, 5]]],
    run: ([x]) => applyUnary(name, x, attrs(name)),
    torch,
  },
  {
    covers,
    name: `${name} of special values`,
    inputs: [SPECIAL],
    run: ([x]) => applyUnary(name, x, attrs(name)),
    torch,
    skip: { numeric: NO_DIFFERENCES, ...skipSpecial[name] },
  },
]);

rows.push(
  {
    covers: "Tensor.add",
    name: "add a number",
    inputs: [floats([3, 5])],
    run: ([x]) => x.add(0.75),
    torch: "a + 0.75",
  },
  {
    covers: "Tensor.add",
    name: "add a number times alpha",
    inputs: [floats([3, 5])],
    run: ([x]) => x.add(0.75, { alpha: 3 }),
    torch: "a.add(0.75, alpha=3)",
  },
  {
    covers: "Tensor.sub",
    name: "sub a number",
    inputs: [floats([3, 5])],
    run: ([x]) => x.sub(0.75),
    torch: "a - 0.75",
  },
  {
    covers: "Tensor.mul",
    name: "mul by a number",
    inputs: [floats([3, 5])],
    run: ([x]) => x.mul(0.7),
    torch: "a * 0.7",
  },
  {
    covers: "Tensor.div",
    name: "div by a number",
    inputs: [floats([3, 5])],
    run: ([x]) => x.div(0.7),
    torch: "a / 0.7",
  },
  {
    covers: "op:rsubScalar",
    inputs: [floats([3, 5])],
    run: ([x]) => applyUnary("rsubScalar", x, { alpha: 0.7, beta: 0 }),
    torch: "0.7 - a",
  },
  {
    covers: "op:rdivScalar",
    inputs: [floats([3, 5], 0.4, 2)],
    run: ([x]) => applyUnary("rdivScalar", x, { alpha: 0.7, beta: 0 }),
    torch: "0.7 / a",
  },
  ...[2.5, 0.5, 2, 3, -1, 0].map((exponent): Row => ({
    covers: "Tensor.pow",
    name: `pow ${exponent}`,
    inputs: [floats([3, 5], 0.3, 2)],
    run: ([x]) => x.pow(exponent),
    torch: `a ** ${exponent}`,
  })),
  ...[2.5, 0.5, 2, 3, -1, 0].map((exponent): Row => ({
    covers: "Tensor.pow",
    name: `pow ${exponent} of special values`,
    inputs: [SPECIAL],
    run: ([x]) => x.pow(exponent),
    torch: `a ** ${exponent}`,
    skip: { numeric: NO_DIFFERENCES },
  })),
  {
    covers: "Tensor.clamp",
    inputs: [floats([17])],
    run: ([x]) => x.clamp({ min: -0.75, max: 1.25 }),
    torch: "a.clamp(-0.75, 1.25)",
  },
  {
    covers: "Tensor.clamp",
    name: "clamp of special values",
    inputs: [SPECIAL],
    run: ([x]) => x.clamp({ min: -1, max: 1.5 }),
    torch: "a.clamp(-1, 1.5)",
    skip: { numeric: NO_DIFFERENCES },
  },
  {
    covers: "Tensor.clamp",
    name: "clamp from below",
    inputs: [floats([17])],
    run: ([x]) => x.clamp({ min: 0.5 }),
    torch: "a.clamp(min=0.5)",
  },
  {
    covers: ["Tensor.isnan", "Tensor.isinf", "Tensor.isfinite", "Tensor.logicalNot"],
    name: "tests of special values",
    inputs: [SPECIAL],
    run: ([x]) => [x.isnan(), x.isinf(), x.isfinite(), x.logicalNot()],
    torch: "(a.isnan(), a.isinf(), a.isfinite(), a.logical_not())",
  },
  {
    covers: "Tensor.nanToNum",
    inputs: [SPECIAL],
    run: ([x]) => x.nanToNum({ nan: 1, posinf: 2, neginf: 3 }),
    torch: "a.nan_to_num(1, 2, 3)",
    skip: { numeric: NO_DIFFERENCES },
  },
  ...(["int32", "int64", "uint8"] as const).map((dtype): Row => ({
    covers: ["Tensor.bitwiseNot", "op:bitwiseNot", "Tensor.round"],
    name: `unary operations of ${dtype}`,
    inputs: [integers([7], dtype === "uint8" ? 0 : -9, 9, dtype)],
    run: ([x]) => [
      ...[x.neg(), x.abs(), x.sign(), x.square(), x.relu(), x.floor(), x.ceil(), x.round(), x.trunc(), x.bitwiseNot()],
      ...[
        x.pow(3),
        x.pow(0.5).isnan(),
        x.clamp({ min: 1, max: 5 }),
        x.clamp({ min: 0.5 }),
        x.isnan(),
        x.isinf(),
        x.isfinite(),
      ],
      ...[x.logicalNot(), x.exp(), x.sigmoid(), x.nanToNum()],
    ],
    torch:
      "(-a, a.abs(), a.sign(), a.square(), a.relu(), a.floor(), a.ceil(), a.round(), a.trunc(), ~a, a ** 3, (a ** 0.5).isnan(), a.clamp(1, 5), a.clamp(min=0.5), a.isnan(), a.isinf(), a.isfinite(), a.logical_not(), a.exp(), a.sigmoid(), a.nan_to_num())",
    tolerance: {
      factor: 2,
      reason: "float32 results of integers: exp and sigmoid are within 2.5 ulp of different roundings",
    },
  })),
  {
    covers: "Tensor.bitwiseNot",
    name: "unary operations of bool",
    inputs: [bools([7])],
    run: (
      [x],
    ) => [
      x.sign(),
      x.square(),
      x.bitwiseNot(),
      x.logicalNot(),
      x.pow(2),
      x.clamp({ min: 0, max: 1 }),
      x.sqrt(),
      x.isnan(),
    ],
    torch: "(a.sign(), a.square(), ~a, a.logical_not(), a ** 2, a.clamp(0, 1), a.sqrt(), a.isnan())",
  },
);

export default rows;
