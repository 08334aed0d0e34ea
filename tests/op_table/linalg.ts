import { floats, type Row } from "../_support/op_table/row.ts";

const rows: Row[] = [
  {
    covers: "Tensor.dot",
    inputs: [floats([7]), floats([7])],
    run: ([a, b]) => a.dot(b),
    torch: "a.dot(b)",
    skip: { broadcast: "it does not broadcast" },
  },
  {
    covers: "Tensor.outer",
    inputs: [floats([3]), floats([4])],
    run: ([a, b]) => a.outer(b),
    torch: "a.outer(b)",
    skip: { broadcast: "it does not broadcast" },
  },
  {
    covers: "Tensor.mm",
    inputs: [floats([3, 4]), floats([4, 5])],
    run: ([a, b]) => a.mm(b),
    torch: "a.mm(b)",
    skip: { empty: "inner sizes belong together" },
  },
  {
    covers: "Tensor.bmm",
    inputs: [floats([2, 3, 4]), floats([2, 4, 5])],
    run: ([a, b]) => a.bmm(b),
    torch: "a.bmm(b)",
    skip: { empty: "inner sizes belong together" },
  },
  {
    covers: "Tensor.addmm",
    inputs: [floats([5]), floats([3, 4]), floats([4, 5])],
    run: ([x, a, b]) => [x.addmm(a, b), x.addmm(a, b, { beta: 0.5, alpha: 2 })],
    torch: "(a.addmm(b, c), a.addmm(b, c, beta=0.5, alpha=2))",
    skip: { empty: "inner sizes belong together" },
    tolerance: { factor: 3, reason: "PyTorch rounds once, after the sum" },
  },
];
export default rows;
