import { nn, ones, tensor, zeros } from "../../mod.ts";
import { batchNorm as fusedBatchNorm } from "../../src/ops/batch_norm.ts";
import { floats, type Row, type Shape } from "../_support/op_table/row.ts";

const { batchNorm } = nn.functional;

/**
 * Features of a batch, sequences, images, and more values in a channel than a block of a sum holds. Not two values in a channel: their
 * gradient is what cancellation leaves, a millionth of the terms, with the rounding of these.
 */
const SHAPES: Shape[][] = [
  [[5, 4], [4], [4]],
  [[1, 3, 4], [3], [3]],
  [[33, 2, 3], [2], [2]],
  [[2, 3, 4, 5], [3], [3]],
  [[3, 2, 40, 41], [2], [2]],
];

/** Running statistics that a run may change. */
const STATISTICS = "(torch.zeros(a.shape[1], dtype=dtype), torch.ones(a.shape[1], dtype=dtype))";

const rows: Row[] = [
  {
    covers: "functional.batchNorm",
    inputs: [floats([4, 3, 5]), floats([3]), floats([3])],
    shapes: SHAPES,
    run([x, weight, bias], { device, dtype }) {
      const runningMean = zeros([x.shape[1]], { device, dtype });
      const runningVar = ones([x.shape[1]], { device, dtype });
      const y = batchNorm(x, { runningMean, runningVar, weight, bias, training: true, momentum: 0.3 });
      return [y, runningMean, runningVar];
    },
    torch: `(lambda m, v: (F.batch_norm(a, m, v, b, c, True, 0.3), m, v))(*${STATISTICS})`,
    skip: { numeric: "the running statistics change with the input, but have no gradient" },
  },
  {
    covers: "functional.batchNorm",
    name: "batchNorm without parameters and running statistics",
    inputs: [floats([4, 3, 5])],
    run: ([x]) => batchNorm(x, { training: true, eps: 0.1 }),
    torch: "F.batch_norm(a, None, None, training=True, eps=0.1)",
  },
  {
    covers: "functional.batchNorm",
    name: "batchNorm with a weight alone",
    inputs: [floats([4, 3, 5]), floats([3])],
    run: ([x, weight]) => batchNorm(x, { weight, training: true }),
    torch: "F.batch_norm(a, None, None, b, training=True)",
  },
  {
    covers: "functional.batchNorm",
    name: "batchNorm with a bias alone",
    inputs: [floats([4, 3, 5]), floats([3])],
    run: ([x, bias]) => batchNorm(x, { bias, training: true }),
    torch: "F.batch_norm(a, None, None, None, b, training=True)",
  },
  {
    covers: "functional.batchNorm",
    name: "batchNorm in evaluation",
    inputs: [floats([4, 3, 5]), floats([3]), floats([3])],
    shapes: [[[1, 2], [2], [2]], [[2, 3, 4, 5], [3], [3]]],
    run([x, weight, bias], { device, dtype }) {
      const channels = x.shape[1];
      const runningMean = tensor([0.5, -1, 2].slice(0, channels), { device, dtype });
      const runningVar = tensor([2, 0.25, 1].slice(0, channels), { device, dtype });
      return batchNorm(x, { runningMean, runningVar, weight, bias });
    },
    torch: "F.batch_norm(a, torch.tensor([0.5, -1, 2], dtype=dtype)[:a.shape[1]], " +
      "torch.tensor([2, 0.25, 1], dtype=dtype)[:a.shape[1]], b, c)",
  },
  {
    covers: "functional.batchNorm",
    name: "batchNorm with fused ReLU",
    inputs: [floats([4, 3, 5]), floats([3]), floats([3])],
    shapes: [[[2, 3, 4, 5], [3], [3]], [[7, 2], [2], [2]]],
    run: ([x, weight, bias]) => fusedBatchNorm(x, { weight, bias, training: true }, true),
    torch: "F.batch_norm(a, None, None, b, c, training=True).relu()",
  },
];

export default rows;
