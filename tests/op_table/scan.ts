import { floats, listed, type Row } from "../_support/op_table/row.ts";

const rows: Row[] = [
  ...[0, 1, -1].flatMap((dim): Row[] => [
    {
      covers: "Tensor.cumsum",
      name: `cumsum over ${dim}`,
      inputs: [floats([3, 5, 4])],
      shapes: [[[2, 1, 37]]],
      run: ([x]) => x.cumsum(dim),
      torch: `a.cumsum(${dim})`,
    },
    {
      covers: "Tensor.cumprod",
      name: `cumprod over ${dim}`,
      inputs: [floats([3, 5, 4], 0.4, 1.6)],
      run: ([x]) => x.cumprod(dim),
      torch: `a.cumprod(${dim})`,
      tolerance: { factor: 2, reason: "PyTorch rounds the gradient's sums in another order" },
    },
  ]),
  {
    covers: ["Tensor.cumsum", "Tensor.cumprod"],
    name: "running totals of a scalar",
    inputs: [floats([])],
    run: ([x]) => [x.cumsum(0), x.cumprod(-1), x.cumsum({ dim: 0, dtype: "float32" })],
    torch: "(a.cumsum(0), a.cumprod(-1), a.cumsum(0, dtype=torch.float32))",
    skip: { numeric: "a step of 1e-6 is lost in float32" },
  },
  {
    covers: "Tensor.cumprod",
    name: "cumprod with zeros",
    inputs: [listed([2, 0, 3, 4, 1, 2, 0, 0, 5, 3, 2, 4], [3, 4])],
    run: ([x]) => x.cumprod(1),
    torch: "a.cumprod(1)",
    skip: { empty: "the values are listed" },
  },
  ...(["tril", "triu"] as const).map((name): Row => ({
    covers: [`Tensor.${name}`, "op:triangle"],
    name,
    inputs: [floats([2, 4, 5])],
    shapes: [[[3, 3]], [[5, 2]]],
    run: ([x]) => [x[name](), x[name]({ diagonal: 1 }), x[name]({ diagonal: -2 })],
    torch: `(a.${name}(), a.${name}(1), a.${name}(-2))`,
  })),
];
export default rows;
