import { nn } from "../../mod.ts";
import { convolution, convolutionAttrs } from "../../src/ops/convolution.ts";
import { floats, type Row, type Shape } from "../_support/op_table/row.ts";

const { conv1d, conv2d } = nn.functional;

/** Batches, odd sizes, more rows and taps than a tile holds, a kernel as large as the input. */
const SHAPES: Shape[][] = [
  [[1, 1, 1, 1], [1, 1, 1, 1], [1]],
  [[3, 2, 5, 4], [13, 2, 3, 3], [13]],
  [[1, 3, 3, 9], [4, 3, 3, 9], [4]],
  [[9, 1, 4, 3], [25, 1, 2, 2], [25]],
  [[1, 7, 6, 19], [2, 7, 1, 1], [2]],
  [[2, 5, 33], [3, 2, 2, 2], [3]],
  [[3, 6, 7], [4, 3, 3, 3], [4]],
];

type Options = Parameters<typeof conv2d>[2];

/** A row with bias, whose values also pass through strides, paddings, dilations and groups. */
function variant(name: string, x: Shape, weight: Shape, options: NonNullable<Options>, torch: string): Row {
  const [call, letter] = weight.length === 3 ? [conv1d, "1d"] : [conv2d, "2d"];
  return {
    covers: `functional.conv${letter}`,
    name: `conv${letter} ${name}`,
    inputs: [floats(x), floats(weight), floats([weight[0]])],
    run: ([a, b, bias]) => call(a, b, { ...options, bias }),
    torch: `F.conv${letter}(a, b, c, ${torch})`,
  };
}

const rows: Row[] = [
  {
    covers: "functional.conv2d",
    inputs: [floats([2, 3, 6, 7]), floats([4, 3, 3, 2]), floats([4])],
    shapes: SHAPES,
    run: ([x, weight, bias]) => conv2d(x, weight, { bias }),
    torch: "F.conv2d(a, b, c)",
  },
  {
    covers: "functional.conv2d",
    name: "conv2d without bias, padded",
    inputs: [floats([2, 3, 6, 7]), floats([4, 3, 3, 3])],
    shapes: [[[5, 2, 3, 3], [30, 2, 3, 3]], [[1, 40, 9, 10], [12, 40, 3, 3]], [[2, 1, 2, 2], [3, 1, 1, 1]]],
    run: ([x, weight]) => conv2d(x, weight, { padding: 1 }),
    torch: "F.conv2d(a, b, padding=1)",
  },
  {
    covers: "functional.conv2d",
    name: "conv2d with fused ReLU",
    inputs: [floats([2, 3, 6, 7]), floats([4, 3, 3, 3], -0.5, 0.5), floats([4])],
    run: ([x, weight, bias]) => convolution(x, weight, bias, convolutionAttrs(2, { padding: 1 }, true)),
    torch: "F.conv2d(a, b, c, padding=1).relu()",
  },
  variant("stride", [2, 4, 9, 8], [6, 4, 3, 3], { stride: 2, padding: 1 }, "2, 1"),
  variant("stride by direction", [1, 4, 11, 10], [6, 4, 3, 2], { stride: [2, 3], padding: [1, 0] }, "(2, 3), (1, 0)"),
  variant("stride of one direction", [2, 3, 8, 9], [5, 3, 3, 3], { stride: [2, 1], padding: 1 }, "(2, 1), 1"),
  variant("stride above the kernel", [2, 3, 8, 7], [4, 3, 1, 2], { stride: 3 }, "3"),
  variant("patches", [2, 3, 8, 12], [17, 3, 4, 4], { stride: 4 }, "4"),
  variant("wide padding", [2, 2, 3, 4], [3, 2, 2, 2], { padding: [3, 2] }, "1, (3, 2)"),
  variant("wide padding and stride", [2, 2, 3, 4], [3, 2, 2, 2], { stride: 3, padding: 3 }, "3, 3"),
  variant("dilation", [2, 2, 9, 11], [3, 2, 3, 3], { padding: 2, dilation: [2, 3] }, "1, 2, (2, 3)"),
  variant(
    "dilation and stride",
    [2, 2, 12, 13],
    [3, 2, 3, 3],
    { stride: 2, padding: [2, 1], dilation: [3, 2] },
    "2, (2, 1), (3, 2)",
  ),
  variant("groups", [2, 6, 6, 5], [9, 2, 3, 3], { padding: 1, groups: 3 }, "1, 1, 1, 3"),
  variant("depthwise", [3, 5, 6, 7], [5, 1, 3, 3], { padding: 1, groups: 5 }, "1, 1, 1, 5"),
  variant("depthwise with two outputs each", [3, 4, 6, 7], [8, 1, 3, 3], { stride: 2, groups: 4 }, "2, 0, 1, 4"),
  {
    ...variant("of small images and many channels", [16, 4, 5, 5], [60, 4, 3, 3], { padding: 1 }, "1, 1"),
    tolerance: { factor: 3, reason: "540 products are summed in order; PyTorch sums them in parts and rounds less" },
  },
  variant("same", [2, 3, 5, 6], [4, 3, 4, 3], { padding: "same", dilation: [1, 2] }, "1, 'same', (1, 2)"),
  variant("valid", [2, 3, 5, 6], [4, 3, 4, 3], { padding: "valid" }, "1, 'valid'"),
  {
    covers: "functional.conv1d",
    inputs: [floats([2, 3, 11]), floats([4, 3, 3]), floats([4])],
    shapes: [[[3, 20], [5, 3, 4], [5]], [[1, 1, 1], [1, 1, 1], [1]], [[2, 5, 100], [14, 5, 7], [14]]],
    run: ([x, weight, bias]) => conv1d(x, weight, { bias }),
    torch: "F.conv1d(a, b, c)",
  },
  variant("stride and dilation", [2, 4, 17], [6, 2, 3], {
    stride: 2,
    padding: 3,
    dilation: 2,
    groups: 2,
  }, "2, 3, 2, 2"),
  variant("same", [2, 4, 7], [3, 4, 4], { padding: "same" }, "1, 'same'"),
  {
    covers: "functional.conv2d",
    name: "conv2d of more planes than one block holds",
    inputs: [floats([1, 40, 50, 60], -1, 1), floats([3, 40, 3, 3], -1, 1), floats([3])],
    shapes: [[[2, 40, 1, 800], [3, 40, 1, 3], [3]]],
    run: ([x, weight, bias]) => conv2d(x, weight, { bias, stride: [1, 2], padding: [0, 1] }),
    torch: "F.conv2d(a, b, c, (1, 2), (0, 1))",
    skip: {
      empty: "the rows above have it",
      strided: "the rows above have it",
      lowPrecision: "the rows above have it",
    },
  },
];

export default rows;
