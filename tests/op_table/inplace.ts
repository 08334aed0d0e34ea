import type { Tensor } from "../../mod.ts";
import { bools, floats, type Row } from "../_support/op_table/row.ts";

/** [method, PyTorch's call, lowest and highest input]. */
const unary: [keyof Tensor & string, string, number?, number?][] = [
  ["neg_", "neg_()"],
  ["abs_", "abs_()"],
  ["sign_", "sign_()"],
  ["square_", "square_()"],
  ["exp_", "exp_()"],
  ["expm1_", "expm1_()"],
  ["log_", "log_()", 0.1, 4],
  ["log1p_", "log1p_()", -0.8, 3],
  ["sqrt_", "sqrt_()", 0.1, 4],
  ["rsqrt_", "rsqrt_()", 0.3, 4],
  ["reciprocal_", "reciprocal_()", 0.3, 2],
  ["sin_", "sin_()"],
  ["cos_", "cos_()"],
  ["tanh_", "tanh_()"],
  ["sigmoid_", "sigmoid_()"],
  ["relu_", "relu_()"],
  ["erf_", "erf_()"],
  ["floor_", "floor_()"],
  ["ceil_", "ceil_()"],
  ["round_", "round_()"],
  ["exp2_", "exp2_()"],
  ["log2_", "log2_()", 0.1, 4],
  ["log10_", "log10_()", 0.1, 4],
  ["tan_", "tan_()", -1.2, 1.2],
  ["asin_", "asin_()", -0.9, 0.9],
  ["acos_", "acos_()", -0.9, 0.9],
  ["atan_", "atan_()"],
  ["sinh_", "sinh_()"],
  ["cosh_", "cosh_()"],
  ["trunc_", "trunc_()"],
  ["zero_", "zero_()"],
];

/** Each changes a copy, whose layout is that of the input, and then goes on with it. */
const rows: Row[] = unary.map(([name, torch, low = -2, high = 2]): Row => ({
  covers: `Tensor.${name}`,
  inputs: [floats([3, 4], low, high)],
  run: ([a]) => (Reflect.get(a, name) as (this: Tensor) => Tensor).apply(a.clone()).mul(a.add(1)),
  torch: `a.clone().${torch} * (a + 1)`,
}));

rows.push(
  {
    covers: "Tensor.add_",
    inputs: [floats([3, 4]), floats([3, 4])],
    run: ([a, b]) => [a.clone().add_(b), a.clone().add_(b, { alpha: -2 }), a.clone().add_(0.75, { alpha: 3 })],
    torch: "(a.clone().add_(b), a.clone().add_(b, alpha=-2), a.clone().add_(0.75, alpha=3))",
  },
  {
    covers: "Tensor.sub_",
    inputs: [floats([3, 4]), floats([3, 4])],
    run: ([a, b]) => [a.clone().sub_(b, { alpha: 2 }), a.clone().sub_(0.75)],
    torch: "(a.clone().sub_(b, alpha=2), a.clone().sub_(0.75))",
  },
  {
    covers: "Tensor.mul_",
    inputs: [floats([3, 4]), floats([3, 4])],
    run: ([a, b]) => [a.clone().mul_(b), a.clone().mul_(0.75)],
    torch: "(a.clone().mul_(b), a.clone().mul_(0.75))",
  },
  {
    covers: "Tensor.div_",
    inputs: [floats([3, 4]), floats([3, 4], 0.3)],
    run: ([a, b]) => [a.clone().div_(b), a.clone().div_(0.7)],
    torch: "(a.clone().div_(b), a.clone().div_(0.7))",
  },
  {
    covers: "Tensor.pow_",
    inputs: [floats([3, 4], 0.3), floats([3, 4])],
    run: ([a, b]) => [a.clone().pow_(b), a.clone().pow_(2.5)],
    torch: "(a.clone().pow_(b), a.clone().pow_(2.5))",
  },
  {
    covers: "Tensor.clamp_",
    inputs: [floats([3, 4])],
    run: ([a]) => a.clone().clamp_({ min: -0.75, max: 1.25 }),
    torch: "a.clone().clamp_(-0.75, 1.25)",
  },
  {
    covers: "Tensor.fill_",
    inputs: [floats([3, 4]), floats([])],
    run: ([a, b]) => [a.clone().fill_(1.7), a.clone().fill_(b)],
    torch: "(a.clone().fill_(1.7), a.clone().fill_(b))",
  },
  {
    covers: "Tensor.copy_",
    inputs: [floats([3, 4]), floats([4])],
    run: ([a, b]) => a.clone().copy_(b).mul(a),
    torch: "a.clone().copy_(b) * a",
  },
  {
    covers: "Tensor.maskedFill_",
    inputs: [floats([3, 4]), bools([3, 4])],
    run: ([a, mask]) => a.clone().maskedFill_(mask, 0.5).mul(a),
    torch: "a.clone().masked_fill_(b, 0.5) * a",
  },
  {
    covers: ["Tensor.add_", "Tensor.fill_", "Tensor.copy_", "Tensor.mul_"],
    name: "in-place changes of views",
    inputs: [floats([4, 5]), floats([4, 1])],
    run([a, b]) {
      const out = a.mul(2);
      out.narrow(1, 1, 2).add_(b);
      out.select(0, 2).fill_(3);
      out.transpose(0, 1).select(0, 4).mul_(-2);
      out.slice({ dim: 1, start: 3, end: 4 }).copy_(b);
      return out;
    },
    torch: "(lambda o: (o[:, 1:3].add_(b), o[2].fill_(3), o.T[4].mul_(-2), o[:, 3:4].copy_(b), o)[-1])(a * 2)",
    skip: { empty: "row 2 does not exist" },
  },
  {
    covers: ["Tensor.mul_", "Tensor.copy_"],
    name: "changes of views of a tensor without a gradient",
    inputs: [floats([4, 3]), floats([2, 3])],
    run([a, b]) {
      const base = a.detach().clone();
      const view = base.narrow(0, 1, 2);
      view.mul_(b);
      return [view.mul(2), base.exp(), view.select(0, 0).mul_(3).mul(view.select(0, 1))];
    },
    torch: "(lambda o: (lambda v: (v.mul_(b), (v * 2, o.exp(), v[0].mul_(3) * v[1]))[-1])(o[1:3]))(a.detach().clone())",
    skip: { numeric: "detach() hides a dependence on purpose", empty: "rows 1 and 2 do not exist" },
  },
  {
    covers: ["Tensor.mul_", "Tensor.exp_"],
    name: "views of a tensor that is changed in place",
    inputs: [floats([4, 3])],
    run([a]) {
      const out = a.mul(0.5);
      const column = out.select(1, 1);
      const row = out.narrow(0, 1, 1);
      out.mul_(a);
      row.exp_();
      return [out, column, row];
    },
    torch: "(lambda o: (lambda c, r: (o.mul_(a), r.exp_(), (o, c, r))[-1])(o[:, 1], o[1:2]))(a * 0.5)",
    skip: { empty: "row 1 does not exist" },
  },
);

export default rows;
