import { nn } from "../../mod.ts";
import { floats, listed, type Row } from "../_support/op_table/row.ts";

const { functional } = nn;
const NO_ELEMENTS = "nothing lies between the elements of an empty tensor";
const NO_DIFFERENCE = "central differences of infinite values are NaN";

const rows: Row[] = [];
for (const [name, torch] of [["softmax", "softmax"], ["logSoftmax", "log_softmax"]] as const) {
  for (const dim of [-1, 0, 1]) {
    rows.push({
      covers: `Tensor.${name}`,
      name: `${name} over dimension ${dim}`,
      inputs: [floats([3, 4, 5], -4, 4)],
      shapes: [[[1, 1, 1]], [[2, 67, 3]], [[5, 2, 130]], [[2, 3, 1]], [[70, 2, 201]]],
      run: ([x]) => x[name]({ dim }),
      torch: `a.${torch}(dim=${dim})`,
    });
  }
  rows.push(
    {
      covers: `functional.${name}`,
      inputs: [floats([3, 4])],
      run: ([x]) => functional[name](x, { dim: -1 }),
      torch: `F.${torch}(a, dim=-1)`,
    },
    {
      covers: `Tensor.${name}`,
      name: `${name} of a scalar`,
      inputs: [floats([])],
      run: ([x]) => x[name]({ dim: 0 }),
      torch: `a.${torch}(dim=0)`,
    },
    {
      covers: `Tensor.${name}`,
      name: `${name} of a dimension without elements`,
      inputs: [floats([3, 0])],
      shapes: [[[0, 3]]],
      run: ([x]) => x[name]({ dim: 1 }),
      torch: `a.${torch}(dim=1)`,
      skip: { strided: NO_ELEMENTS },
    },
    {
      covers: `Tensor.${name}`,
      name: `${name} of huge, equal and infinite values`,
      inputs: [
        listed([
          ...[1e4, 9999, -3e4, 1e4],
          ...[5, 5, 5, 5],
          ...[-Infinity, 0, 1, -Infinity],
          ...[-Infinity, -Infinity, -Infinity, -Infinity],
          ...[Infinity, 0, 1, 2],
          ...[NaN, 0, 1, 2],
          ...[0, -80, -100, -110],
        ], [7, 4]),
      ],
      run: ([x]) => x[name]({ dim: 1 }),
      torch: `a.${torch}(dim=1)`,
      skip: { numeric: NO_DIFFERENCE },
    },
    {
      covers: `Tensor.${name}`,
      name: `${name} of huge and infinite values over the first dimension`,
      inputs: [listed([1e4, -Infinity, 0, 9999, -Infinity, NaN, -3e4, -Infinity, 2], [3, 3])],
      run: ([x]) => x[name]({ dim: 0 }),
      torch: `a.${torch}(dim=0)`,
      skip: { numeric: NO_DIFFERENCE },
    },
  );
}

for (
  const [name, options, torch] of [
    ["the last dimension", { dim: -1 }, "dim=-1"],
    ["the first dimension, which stays", { dim: 0, keepDim: true }, "dim=0, keepdim=True"],
    ["the middle dimension", { dim: 1 }, "dim=1"],
    ["two dimensions", { dim: [0, 2] }, "dim=(0, 2)"],
  ] as const
) {
  rows.push({
    covers: "Tensor.logsumexp",
    name: `logsumexp over ${name}`,
    inputs: [floats([3, 4, 5], -4, 4)],
    shapes: [[[1, 1, 1]], [[2, 67, 3]], [[5, 2, 130]]],
    run: ([x]) => x.logsumexp(options),
    torch: `a.logsumexp(${torch})`,
  });
}
rows.push(
  {
    covers: "Tensor.logsumexp",
    name: "logsumexp over all dimensions",
    inputs: [floats([3, 4])],
    run: ([x]) => x.logsumexp(),
    torch: "a.logsumexp(dim=(0, 1))",
  },
  {
    covers: "Tensor.logsumexp",
    name: "logsumexp of huge and infinite values",
    inputs: [
      listed([1e4, 1e4, -3e4, -Infinity, -Infinity, -Infinity, Infinity, 0, -Infinity, NaN, 1, 2, -5, -Infinity, -5], [
        5,
        3,
      ]),
    ],
    run: ([x]) => x.logsumexp({ dim: 1 }),
    torch: "a.logsumexp(dim=1)",
    skip: { numeric: NO_DIFFERENCE },
  },
  {
    covers: "Tensor.logsumexp",
    name: "logsumexp of integers",
    inputs: [{ shape: [4], low: 0, high: 5, dtype: "int64" }],
    run: ([x]) => x.logsumexp({ dim: 0 }),
    torch: "a.logsumexp(dim=0)",
  },
);

export default rows;
