import { floats, type Row } from "../_support/op_table/row.ts";

const NO_GRADIENT = { gradient: "in-place operations are not recorded yet" };

/** Each changes a copy, whose layout is that of the input. */
const rows: Row[] = [
  {
    covers: "Tensor.add_",
    inputs: [floats([3, 4]), floats([3, 4])],
    run: ([a, b]) => [a.clone().add_(b), a.clone().add_(b, { alpha: -2 }), a.clone().add_(0.75, { alpha: 3 })],
    torch: "(a + b, a.clone().add_(b, alpha=-2), a.clone().add_(0.75, alpha=3))",
    skip: NO_GRADIENT,
  },
  {
    covers: "Tensor.sub_",
    inputs: [floats([3, 4]), floats([3, 4])],
    run: ([a, b]) => [a.clone().sub_(b, { alpha: 2 }), a.clone().sub_(0.75)],
    torch: "(a.clone().sub_(b, alpha=2), a - 0.75)",
    skip: NO_GRADIENT,
  },
  {
    covers: "Tensor.mul_",
    inputs: [floats([3, 4]), floats([3, 4])],
    run: ([a, b]) => [a.clone().mul_(b), a.clone().mul_(0.75)],
    torch: "(a * b, a * 0.75)",
    skip: NO_GRADIENT,
  },
  {
    covers: ["Tensor.zero_", "Tensor.fill_"],
    inputs: [floats([3, 4])],
    run: ([a]) => [a.clone().zero_(), a.clone().fill_(1.7)],
    torch: "(a.clone().zero_(), a.clone().fill_(1.7))",
    skip: NO_GRADIENT,
  },
  {
    covers: "Tensor.copy_",
    inputs: [floats([3, 4]), floats([4])],
    run: ([a, b]) => a.clone().copy_(b),
    torch: "a.clone().copy_(b)",
    skip: NO_GRADIENT,
  },
  {
    covers: ["Tensor.add_", "Tensor.fill_", "Tensor.copy_", "Tensor.mul_"],
    name: "in-place changes of a view",
    inputs: [floats([4, 5]), floats([4, 1])],
    run([a, b]) {
      const out = a.clone();
      out.narrow(1, 1, 2).add_(b);
      out.select(0, 2).fill_(3);
      out.transpose(0, 1).select(0, 4).mul_(-2);
      out.slice({ dim: 1, start: 3, end: 4 }).copy_(b);
      return out;
    },
    torch: "(lambda o: (o[:, 1:3].add_(b), o[2].fill_(3), o.T[4].mul_(-2), o[:, 3:4].copy_(b), o)[-1])(a.clone())",
    skip: { ...NO_GRADIENT, empty: "row 2 does not exist" },
  },
];

export default rows;
