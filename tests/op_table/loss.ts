import { nn, tensor } from "../../mod.ts";
import { floats, indices, integers, listed, type Row } from "../_support/op_table/row.ts";

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
    {
      covers: "functional.crossEntropy",
      name: `crossEntropy with class weights and smoothing, ${reduction}`,
      inputs: [floats([6, 4], -4, 4), integers([6], 0, 4), floats([4], 0.1, 2)],
      run: ([logits, target, weight]) =>
        functional.crossEntropy(logits, target, {
          reduction,
          weight: weight.detach(),
          labelSmoothing: 0.2,
          ignoreIndex: 1,
        }),
      torch: `F.cross_entropy(a, b, c.detach(), reduction="${reduction}", label_smoothing=0.2, ignore_index=1)`,
    },
    {
      covers: "functional.crossEntropy",
      name: `crossEntropy with class weights, ${reduction}`,
      inputs: [floats([6, 4], -4, 4), integers([6], 0, 4), floats([4], 0.1, 2)],
      run: ([logits, target, weight]) =>
        functional.crossEntropy(logits, target, { reduction, weight: weight.detach() }),
      torch: `F.cross_entropy(a, b, c.detach(), reduction="${reduction}")`,
    },
    {
      covers: "functional.crossEntropy",
      name: `crossEntropy of images, ${reduction}`,
      inputs: [floats([2, 3, 4, 5], -4, 4), indices([2, 4, 5], 3)],
      run: ([logits, target]) => functional.crossEntropy(logits, target, { reduction, labelSmoothing: 0.1 }),
      torch: `F.cross_entropy(a, b, reduction="${reduction}", label_smoothing=0.1)`,
    },
    {
      covers: "functional.crossEntropy",
      name: `crossEntropy of one position, ${reduction}`,
      inputs: [floats([4], -4, 4), indices([], 4)],
      run: ([logits, target]) => functional.crossEntropy(logits, target, { reduction }),
      torch: `F.cross_entropy(a, b, reduction="${reduction}")`,
      skip: { empty: "an empty dimension of classes: PyTorch's index check differs" },
    },
    {
      covers: "functional.crossEntropy",
      name: `crossEntropy of probabilities, ${reduction}`,
      inputs: [floats([5, 4], -4, 4), floats([5, 4], 0, 1), floats([4], 0.1, 2)],
      shapes: [[[2, 3, 4], [2, 3, 4], [3]], [[4], [4], [4]]],
      run: ([logits, target, weight]) =>
        functional.crossEntropy(logits, target, { reduction, weight: weight.detach(), labelSmoothing: 0.1 }),
      torch: `F.cross_entropy(a, b, c.detach(), reduction="${reduction}", label_smoothing=0.1)`,
    },
    {
      covers: "functional.nllLoss",
      name: `nllLoss with class weights and an ignored class, ${reduction}`,
      inputs: [floats([6, 4], -4, 0), integers([6], 0, 4), floats([4], 0.1, 2)],
      run: ([x, target, weight]) =>
        functional.nllLoss(x, target, { reduction, weight: weight.detach(), ignoreIndex: 2 }),
      torch: `F.nll_loss(a, b, c.detach(), reduction="${reduction}", ignore_index=2)`,
    },
    {
      covers: "functional.nllLoss",
      name: `nllLoss, ${reduction}`,
      inputs: [floats([2, 3, 5], -4, 0), indices([2, 5], 3)],
      shapes: [[[6, 4], [6]], [[2, 3, 2, 2], [2, 2, 2]]],
      run: ([x, target]) => functional.nllLoss(x, target, { reduction }),
      torch: `F.nll_loss(a, b, reduction="${reduction}")`,
    },
    {
      covers: "functional.l1Loss",
      name: `l1Loss, ${reduction}`,
      inputs: [floats([3, 4]), floats([3, 4])],
      shapes: [[[], []], [[67], [67]]],
      run: ([a, b]) => functional.l1Loss(a, b, { reduction }),
      torch: `F.l1_loss(a, b, reduction="${reduction}")`,
    },
    {
      covers: "functional.smoothL1Loss",
      name: `smoothL1Loss, ${reduction}`,
      inputs: [floats([3, 4]), floats([3, 4])],
      shapes: [[[], []], [[67], [67]]],
      run: ([a, b]) => functional.smoothL1Loss(a, b, { reduction }),
      torch: `F.smooth_l1_loss(a, b, reduction="${reduction}")`,
    },
    {
      covers: "functional.smoothL1Loss",
      name: `smoothL1Loss with beta 0.4, ${reduction}`,
      inputs: [floats([3, 4]), floats([3, 4])],
      run: ([a, b]) => functional.smoothL1Loss(a, b, { reduction, beta: 0.4 }),
      torch: `F.smooth_l1_loss(a, b, reduction="${reduction}", beta=0.4)`,
    },
    {
      covers: "functional.smoothL1Loss",
      name: `smoothL1Loss with beta 0, ${reduction}`,
      inputs: [floats([3, 4]), floats([3, 4])],
      run: ([a, b]) => functional.smoothL1Loss(a, b, { reduction, beta: 0 }),
      torch: `F.smooth_l1_loss(a, b, reduction="${reduction}", beta=0)`,
    },
    {
      covers: "functional.binaryCrossEntropyWithLogits",
      name: `binaryCrossEntropyWithLogits, ${reduction}`,
      inputs: [floats([3, 4], -9, 9), floats([3, 4], 0, 1)],
      shapes: [[[], []], [[67], [67]]],
      run: ([x, y]) => functional.binaryCrossEntropyWithLogits(x, y, { reduction }),
      torch: `F.binary_cross_entropy_with_logits(a, b, reduction="${reduction}")`,
      skip: { broadcast: "input and target must have one shape, as in PyTorch" },
    },
    {
      covers: "functional.binaryCrossEntropyWithLogits",
      name: `binaryCrossEntropyWithLogits with weight and posWeight, ${reduction}`,
      inputs: [floats([3, 4], -9, 9), floats([3, 4], 0, 1), floats([3, 1], 0, 2), floats([4], 0, 3)],
      run: ([x, y, weight, posWeight]) =>
        functional.binaryCrossEntropyWithLogits(x, y, {
          reduction,
          weight: weight.detach(),
          posWeight: posWeight.detach(),
        }),
      torch: `F.binary_cross_entropy_with_logits(a, b, c.detach(), pos_weight=d.detach(), reduction="${reduction}")`,
    },
    {
      covers: "functional.binaryCrossEntropyWithLogits",
      name: `binaryCrossEntropyWithLogits with weight, ${reduction}`,
      inputs: [floats([3, 4], -9, 9), floats([3, 4], 0, 1), floats([4], 0, 2)],
      run: ([x, y, weight]) => functional.binaryCrossEntropyWithLogits(x, y, { reduction, weight: weight.detach() }),
      torch: `F.binary_cross_entropy_with_logits(a, b, c.detach(), reduction="${reduction}")`,
    },
  );
}
for (const reduction of ["mean", "sum", "none", "batchmean"] as const) {
  rows.push(
    {
      covers: "functional.klDiv",
      name: `klDiv, ${reduction}`,
      inputs: [floats([3, 4], -5, 0), floats([3, 4], 0.01, 1)],
      run: ([x, y]) => functional.klDiv(x, y, { reduction }),
      torch: `F.kl_div(a, b, reduction="${reduction}")`,
    },
    {
      covers: "functional.klDiv",
      name: `klDiv of a logarithmic target, ${reduction}`,
      inputs: [floats([3, 4], -5, 0), floats([3, 4], -5, 0)],
      run: ([x, y]) => functional.klDiv(x, y, { reduction, logTarget: true }),
      torch: `F.kl_div(a, b, reduction="${reduction}", log_target=True)`,
    },
  );
}
const NO_DIFFERENCE = "central differences of infinite values, and across a kink, mean nothing";
rows.push(
  {
    covers: "functional.klDiv",
    name: "klDiv of targets 0",
    inputs: [listed([-1, -2, -Infinity, -3]), listed([0, 0.5, 0, 1])],
    run: ([x, y]) => functional.klDiv(x, y.detach(), { reduction: "none" }),
    torch: 'F.kl_div(a, b.detach(), reduction="none")',
    skip: { numeric: NO_DIFFERENCE },
  },
  {
    covers: "functional.binaryCrossEntropyWithLogits",
    name: "binaryCrossEntropyWithLogits of huge and infinite logits",
    inputs: [listed([1e4, -1e4, 200, -200, Infinity, -Infinity, 0, -0]), listed([1, 0, 0, 1, 1, 0, 0.5, 0])],
    run: ([x, y]) => functional.binaryCrossEntropyWithLogits(x, y, { reduction: "none" }),
    torch: 'F.binary_cross_entropy_with_logits(a, b, reduction="none")',
    skip: { numeric: NO_DIFFERENCE },
  },
  {
    covers: "functional.l1Loss",
    name: "l1Loss of equal, infinite and missing values",
    inputs: [listed([1, -2, Infinity, NaN, 0]), listed([1, 3, 1, 1, -0])],
    run: ([x, y]) => functional.l1Loss(x, y, { reduction: "none" }),
    torch: 'F.l1_loss(a, b, reduction="none")',
    skip: { numeric: NO_DIFFERENCE },
  },
  {
    covers: "functional.mseLoss",
    name: "mseLoss, broadcast on both sides",
    inputs: [floats([3, 1]), floats([4])],
    run: ([x, y]) => functional.mseLoss(x, y),
    torch: "F.mse_loss(a, b)",
  },
  {
    covers: "functional.crossEntropy",
    name: "crossEntropy of huge and infinite logits",
    inputs: [listed([1e4, -1e4, 0, 5, -Infinity, 5, Infinity, 0, 0, -Infinity, -Infinity, -Infinity], [4, 3])],
    run: ([x]) =>
      functional.crossEntropy(x, tensor([1, 1, 0, 2], { dtype: "int64", device: x.device }).slice({ end: x.length }), {
        reduction: "none",
      }),
    torch: 'F.cross_entropy(a, torch.tensor([1, 1, 0, 2])[:len(a)], reduction="none")',
    skip: { numeric: NO_DIFFERENCE },
  },
  {
    covers: "functional.crossEntropy",
    name: "crossEntropy where nothing counts",
    inputs: [floats([2, 3])],
    run: ([x]) =>
      functional.crossEntropy(x, tensor([-100, -100], { dtype: "int32", device: x.device }).slice({ end: x.length })),
    torch: "F.cross_entropy(a, torch.tensor([-100, -100])[:len(a)])",
    skip: { numeric: "the loss is NaN" },
  },
);

export default rows;
