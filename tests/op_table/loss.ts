import { nn } from "../../mod.ts";
import { floats, indices, integers, type Row } from "../_support/op_table/row.ts";

const { functional } = nn;

const rows: Row[] = [];
for (const reduction of ["mean", "sum", "none"] as const) {
  rows.push(
    {
      covers: "functional.mseLoss",
      name: `mseLoss, ${reduction}`,
      inputs: [floats([3, 4]), floats([3, 4])],
      shapes: [[[], []], [[67], [67]]],
      run: ([a, b]) => functional.mseLoss(a, b, { reduction }),
      torch: `F.mse_loss(a, b, reduction="${reduction}")`,
      skip: { broadcast: "input and target must have one shape; PyTorch warns" },
    },
    {
      covers: "functional.crossEntropy",
      name: `crossEntropy, ${reduction}`,
      inputs: [floats([5, 4], -4, 4), indices([5], 4)],
      shapes: [[[1, 7], [1]], [[67, 4], [67]]],
      run: ([logits, target]) => functional.crossEntropy(logits, target, { reduction }),
      torch: `F.cross_entropy(a, b, reduction="${reduction}")`,
    },
    {
      covers: "functional.crossEntropy",
      name: `crossEntropy with smoothing and an ignored class, ${reduction}`,
      inputs: [floats([6, 4], -4, 4), integers([6], 0, 4)],
      run: ([logits, target]) =>
        functional.crossEntropy(logits, target, { reduction, labelSmoothing: 0.1, ignoreIndex: 2 }),
      torch: `F.cross_entropy(a, b, reduction="${reduction}", label_smoothing=0.1, ignore_index=2)`,
    },
  );
}

export default rows;
