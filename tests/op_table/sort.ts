import { floats, listed, type Row } from "../_support/op_table/row.ts";

const rows: Row[] = [
  ...[0, 1, -1].map((dim): Row => ({
    covers: ["Tensor.sort", "Tensor.argsort", "Tensor.topk"],
    name: `order along ${dim}`,
    inputs: [floats([3, 5, 4])],
    shapes: [[[4, 3, 70]], [[3, 600, 3]]],
    run: ([x]) => {
      const [up, down] = [x.sort({ dim }), x.sort({ dim, descending: true })];
      const [top, bottom] = [x.topk({ k: 2, dim }), x.topk({ k: 3, dim, largest: false })];
      return [
        ...[up.values, up.indices, down.values, down.indices, top.values, top.indices, bottom.values, bottom.indices],
        x.argsort({ dim }),
      ];
    },
    torch:
      `(*a.sort(${dim}), *a.sort(${dim}, descending=True), *a.topk(2, ${dim}), *a.topk(3, ${dim}, largest=False), a.argsort(${dim}))`,
    skip: {
      lowPrecision: "equal rounded elements come in any order in PyTorch",
      empty: "there are no top elements",
    },
  })),
  {
    covers: "Tensor.sort",
    name: "stable sort of equal values and NaN",
    inputs: [listed([2, NaN, 1, -0, 0, 1, Infinity, NaN, -Infinity, 2, 1, 0])],
    run: ([x]) => {
      const [up, down] = [x.sort({ stable: true }), x.sort({ descending: true, stable: true })];
      return [up.values, up.indices, down.values, down.indices];
    },
    torch: "(*a.sort(stable=True), *a.sort(stable=True, descending=True))",
    skip: { numeric: "NaN has no gradient" },
  },
  {
    covers: "Tensor.sort",
    name: "sort of a scalar",
    inputs: [floats([])],
    run: ([x]) => [x.sort().values, x.sort({ dim: 0 }).indices, x.topk({ k: 1 }).values],
    torch: "(a.sort().values, a.sort(0).indices, a.topk(1).values)",
  },
];
export default rows;
