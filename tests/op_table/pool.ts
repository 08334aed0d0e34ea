import { nn, type Tensor } from "../../mod.ts";
import { floats, listed, type Row, type Shape } from "../_support/op_table/row.ts";

const { adaptiveAvgPool2d, avgPool1d, avgPool2d, maxPool1d, maxPool2d } = nn.functional;

function pool(
  name: string,
  covers: string,
  shape: Shape,
  run: (x: Tensor) => Tensor | readonly Tensor[],
  torch: string,
): Row {
  return {
    covers: `functional.${covers}`,
    name: `${covers} ${name}`,
    inputs: [floats(shape)],
    run: ([x]) => run(x),
    torch,
  };
}

const rows: Row[] = [
  {
    covers: "functional.maxPool2d",
    inputs: [floats([2, 3, 6, 8])],
    shapes: [[[1, 1, 2, 2]], [[3, 5, 7]], [[2, 1, 29, 35]]],
    run: ([x]) => maxPool2d(x, 2),
    torch: "F.max_pool2d(a, 2)",
  },
  pool(
    "overlapping",
    "maxPool2d",
    [2, 3, 7, 9],
    (x) => maxPool2d(x, 3, { stride: 2, padding: 1 }),
    "F.max_pool2d(a, 3, 2, 1)",
  ),
  pool(
    "by direction",
    "maxPool2d",
    [2, 2, 9, 11],
    (x) => maxPool2d(x, [2, 3], { stride: [1, 3], padding: [1, 0] }),
    "F.max_pool2d(a, (2, 3), (1, 3), (1, 0))",
  ),
  pool(
    "dilated",
    "maxPool2d",
    [2, 2, 9, 11],
    (x) => maxPool2d(x, 3, { stride: 1, padding: 1, dilation: [2, 3] }),
    "F.max_pool2d(a, 3, 1, 1, (2, 3))",
  ),
  pool(
    "rounded up",
    "maxPool2d",
    [2, 2, 8, 6],
    (x) => maxPool2d(x, 3, { stride: 2, padding: 1, ceilMode: true }),
    "F.max_pool2d(a, 3, 2, 1, ceil_mode=True)",
  ),
  pool(
    "rounded up beyond the border",
    "maxPool2d",
    [1, 2, 5, 5],
    (x) => maxPool2d(x, 2, { stride: 3, padding: 1, ceilMode: true }),
    "F.max_pool2d(a, 2, 3, 1, ceil_mode=True)",
  ),
  pool(
    "with indices",
    "maxPool2d",
    [2, 2, 7, 6],
    (x) => maxPool2d(x, 3, { stride: 2, padding: 1, returnIndices: true }),
    "F.max_pool2d(a, 3, 2, 1, return_indices=True)",
  ),
  {
    covers: "functional.maxPool2d",
    name: "maxPool2d of NaN, infinities and equal values",
    inputs: [
      listed([NaN, 1, 2, NaN, NaN, 0, -Infinity, -Infinity, -Infinity, -Infinity, 3, 3, 3, 3, Infinity, 1], [1, 2, 8]),
    ],
    run: ([x]) => maxPool2d(x, 2, { returnIndices: true }),
    torch: "F.max_pool2d(a, 2, return_indices=True)",
    skip: { numeric: "not differentiable there" },
  },
  {
    covers: "functional.maxPool1d",
    inputs: [floats([2, 3, 12])],
    shapes: [[[3, 7]], [[1, 1, 2]]],
    run: ([x]) => maxPool1d(x, 2),
    torch: "F.max_pool1d(a, 2)",
  },
  pool(
    "with indices",
    "maxPool1d",
    [2, 3, 13],
    (x) => maxPool1d(x, 3, { stride: 2, padding: 1, dilation: 2, ceilMode: true, returnIndices: true }),
    "F.max_pool1d(a, 3, 2, 1, 2, ceil_mode=True, return_indices=True)",
  ),
  {
    covers: "functional.avgPool2d",
    inputs: [floats([2, 3, 6, 8])],
    shapes: [[[1, 1, 2, 2]], [[3, 5, 7]], [[2, 1, 29, 35]]],
    run: ([x]) => avgPool2d(x, 2),
    torch: "F.avg_pool2d(a, 2)",
  },
  pool(
    "overlapping",
    "avgPool2d",
    [2, 3, 7, 9],
    (x) => avgPool2d(x, 3, { stride: 2, padding: 1 }),
    "F.avg_pool2d(a, 3, 2, 1)",
  ),
  pool(
    "without the border",
    "avgPool2d",
    [2, 3, 7, 9],
    (x) => avgPool2d(x, [3, 2], { stride: [2, 1], padding: 1, countIncludePad: false }),
    "F.avg_pool2d(a, (3, 2), (2, 1), 1, count_include_pad=False)",
  ),
  pool(
    "rounded up",
    "avgPool2d",
    [2, 2, 8, 6],
    (x) => avgPool2d(x, 3, { stride: 2, padding: 1, ceilMode: true }),
    "F.avg_pool2d(a, 3, 2, 1, ceil_mode=True)",
  ),
  pool(
    "rounded up without the border",
    "avgPool2d",
    [2, 2, 8, 6],
    (x) => avgPool2d(x, 3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false }),
    "F.avg_pool2d(a, 3, 2, 1, ceil_mode=True, count_include_pad=False)",
  ),
  pool(
    "with its own divisor",
    "avgPool2d",
    [2, 2, 7, 6],
    (x) => avgPool2d(x, 3, { padding: 1, divisorOverride: 5 }),
    "F.avg_pool2d(a, 3, padding=1, divisor_override=5)",
  ),
  {
    covers: "functional.avgPool1d",
    inputs: [floats([2, 3, 12])],
    shapes: [[[3, 7]], [[1, 1, 2]]],
    run: ([x]) => avgPool1d(x, 2),
    torch: "F.avg_pool1d(a, 2)",
  },
  pool(
    "padded",
    "avgPool1d",
    [2, 3, 13],
    (x) => avgPool1d(x, 3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false }),
    "F.avg_pool1d(a, 3, 2, 1, True, False)",
  ),
  {
    covers: "functional.adaptiveAvgPool2d",
    inputs: [floats([2, 3, 7, 11])],
    shapes: [[[3, 5, 4]], [[2, 1, 3, 2]]],
    run: ([x]) => adaptiveAvgPool2d(x, [3, 4]),
    torch: "F.adaptive_avg_pool2d(a, (3, 4))",
  },
  pool(
    "to one value",
    "adaptiveAvgPool2d",
    [2, 3, 7, 7],
    (x) => adaptiveAvgPool2d(x, 1),
    "F.adaptive_avg_pool2d(a, 1)",
  ),
  pool(
    "of one direction",
    "adaptiveAvgPool2d",
    [2, 3, 6, 5],
    (x) => adaptiveAvgPool2d(x, [null, 2]),
    "F.adaptive_avg_pool2d(a, (None, 2))",
  ),
];

export default rows;
