import { nn } from "../../mod.ts";
import { floats, indices, type Row } from "../_support/op_table/row.ts";

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
];

export default rows;
