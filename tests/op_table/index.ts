import { nn } from "../../mod.ts";
import { bools, floats, indices, integers, type Row } from "../_support/op_table/row.ts";

const rows: Row[] = [
  ...(["int64", "int32"] as const).map((dtype): Row => ({
    covers: "Tensor.indexSelect",
    name: `indexSelect by ${dtype}`,
    inputs: [floats([4, 3, 2]), indices([5], 3, dtype)],
    shapes: [[[2, 3, 1], [0]]],
    run: ([x, index]) => x.indexSelect(1, index),
    torch: "a.index_select(1, b)",
  })),
  {
    covers: "functional.embedding",
    inputs: [indices([2, 4], 7), floats([7, 3])],
    shapes: [[[], [7, 5]], [[40], [7, 1]]],
    run: ([index, weight]) => nn.functional.embedding(index, weight),
    torch: "F.embedding(a, b)",
  },
  {
    covers: "Tensor.gather",
    inputs: [floats([3, 4, 2]), indices([3, 6, 2], 4), indices([2, 3, 1], 4), indices([3, 4, 5], 2, "int32")],
    run: ([x, a, b, c]) => [x.gather(1, a), x.gather(1, b), x.gather(-1, c)],
    torch: "(a.gather(1, b), a.gather(1, c), a.gather(-1, d.long()))",
    skip: { empty: "sizes of index and tensor belong together", broadcast: "it does not broadcast" },
  },
  {
    covers: "Tensor.scatterAdd",
    inputs: [floats([3, 4, 2]), indices([3, 6, 2], 4), floats([3, 6, 2]), indices([2, 3, 1], 4), floats([2, 3, 1])],
    run: ([x, a, source, b, other]) => [x.scatterAdd(1, a, source), x.scatterAdd(1, b, other)],
    torch: "(a.scatter_add(1, b, c), a.scatter_add(1, d, e))",
    skip: { empty: "sizes of index and tensor belong together" },
  },
  {
    covers: "Tensor.scatter",
    inputs: [floats([3, 4, 2]), { ...indices([3, 1, 2], 4), values: [0, 3, 2, 1, 1, 0] }, floats([3, 1, 2])],
    run: ([x, index, source]) => x.scatter(1, index, source),
    torch: "a.scatter(1, b, c)",
    skip: { empty: "sizes of index and tensor belong together" },
  },
  {
    covers: ["Tensor.scatterAdd", "Tensor.gather", "Tensor.scatter"],
    name: "gather and scatter of integers",
    inputs: [integers([5], -9, 9, "int32"), indices([7], 5), integers([7], -9, 9, "int32")],
    run: ([x, index, source]) => [x.gather(0, index), x.scatterAdd(0, index, source)],
    torch: "(a.gather(0, b), a.scatter_add(0, b, c))",
    skip: { empty: "there is nothing to index" },
  },
  {
    covers: ["Tensor.maskedFill", "op:where"],
    name: "maskedFill",
    inputs: [floats([3, 5]), bools([5])],
    run: ([x, mask]) => [x.maskedFill(mask, -2.5), x.maskedFill(mask, x.sum())],
    torch: "(a.masked_fill(b, -2.5), a.masked_fill(b, a.sum()))",
  },
  {
    covers: ["Tensor.maskedSelect", "Tensor.nonzero"],
    name: "maskedSelect",
    inputs: [floats([3, 5]), bools([5])],
    run: ([x, mask]) => [x.maskedSelect(mask), mask.nonzero(), x.gt(0).nonzero()],
    torch: "(a.masked_select(b), b.nonzero(), (a > 0).nonzero())",
    skip: { empty: "an empty mask has another shape in PyTorch" },
  },
  {
    covers: "Tensor.flip",
    inputs: [floats([3, 4, 2])],
    run: ([x]) => [x.flip(0), x.flip([1, -1])],
    torch: "(a.flip(0), a.flip(1, -1))",
  },
  {
    covers: "Tensor.roll",
    inputs: [floats([3, 4])],
    run: ([x]) => [x.roll(2), x.roll(-1, 1), x.roll([1, 6], [0, 1])],
    torch: "(a.roll(2), a.roll(-1, 1), a.roll((1, 6), (0, 1)))",
  },
  {
    covers: ["Tensor.repeat", "Tensor.repeatInterleave"],
    name: "repeat",
    inputs: [floats([2, 3])],
    run: ([x]) => [x.repeat([2, 1, 3]), x.repeat([1, 2]), x.repeatInterleave(2), x.repeatInterleave(3, { dim: -1 })],
    torch: "(a.repeat(2, 1, 3), a.repeat(1, 2), a.repeat_interleave(2), a.repeat_interleave(3, -1))",
  },
];

export default rows;
