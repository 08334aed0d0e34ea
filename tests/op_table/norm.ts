import { nn } from "../../mod.ts";
import { floats, listed, type Row } from "../_support/op_table/row.ts";

const { functional } = nn;

const rows: Row[] = [
  {
    covers: "functional.layerNorm",
    name: "layerNorm with weight and bias",
    inputs: [floats([6, 5]), floats([5]), floats([5])],
    shapes: [[[67, 130], [130], [130]], [[2, 3, 4], [4], [4]]],
    run: ([x, weight, bias]) => functional.layerNorm(x, weight.shape, { weight, bias }),
    torch: "F.layer_norm(a, b.shape, b, c)",
  },
  {
    covers: "functional.layerNorm",
    name: "layerNorm with weight",
    inputs: [floats([6, 5]), floats([5])],
    run: ([x, weight]) => functional.layerNorm(x, [5], { weight }),
    torch: "F.layer_norm(a, [5], b)",
  },
  {
    covers: "functional.layerNorm",
    name: "layerNorm with bias",
    inputs: [floats([6, 5]), floats([5])],
    run: ([x, bias]) => functional.layerNorm(x, [5], { bias }),
    torch: "F.layer_norm(a, [5], None, b)",
  },
  {
    covers: "functional.layerNorm",
    name: "layerNorm over two dimensions, eps 0.1",
    inputs: [floats([3, 4, 5]), floats([4, 5]), floats([4, 5])],
    run: ([x, weight, bias]) => functional.layerNorm(x, [4, 5], { weight, bias, eps: 0.1 }),
    torch: "F.layer_norm(a, [4, 5], b, c, 0.1)",
  },
  {
    covers: "functional.layerNorm",
    name: "layerNorm without parameters",
    inputs: [floats([6, 5])],
    shapes: [[[5]], [[3, 1, 5]]],
    run: ([x]) => functional.layerNorm(x, [5]),
    torch: "F.layer_norm(a, [5])",
  },
  {
    covers: "functional.layerNorm",
    name: "layerNorm of constant rows and rows far from 0",
    inputs: [listed([3, 3, 3, 0, 0, 0, 4096, 4098, 4100, -1e-3, 1e-3, 0], [4, 3])],
    run: ([x]) => functional.layerNorm(x, [3]),
    torch: "F.layer_norm(a, [3])",
    skip: {
      numeric: "a constant row is a maximum of the curvature: differences of 1e-6 are not small beside sqrt(eps)",
    },
  },
  {
    covers: "functional.layerNorm",
    name: "layerNorm over no element",
    inputs: [floats([3, 0])],
    run: ([x]) => functional.layerNorm(x, [0]),
    torch: "F.layer_norm(a, [0])",
    skip: { strided: "nothing lies between the elements of an empty tensor" },
  },
  {
    covers: "functional.rmsNorm",
    name: "rmsNorm with weight",
    inputs: [floats([6, 5]), floats([5])],
    shapes: [[[67, 130], [130]], [[2, 3, 4], [4]]],
    run: ([x, weight]) => functional.rmsNorm(x, weight.shape, { weight }),
    torch: "F.rms_norm(a, b.shape, b)",
  },
  {
    covers: "functional.rmsNorm",
    name: "rmsNorm over two dimensions, eps 0.1",
    inputs: [floats([3, 4, 5])],
    run: ([x]) => functional.rmsNorm(x, [4, 5], { eps: 0.1 }),
    torch: "F.rms_norm(a, [4, 5], None, 0.1)",
  },
  {
    covers: "functional.rmsNorm",
    name: "rmsNorm of zeros and tiny values: the default eps",
    inputs: [listed([0, 0, 1e-3, -1e-3, 2e-4, 1e-4], [3, 2])],
    run: ([x]) => functional.rmsNorm(x, [2], { eps: 1.1920928955078125e-7 }),
    torch: "F.rms_norm(a, [2], None, 1.1920928955078125e-7)",
    skip: { numeric: "differences of 1e-6 are not small beside sqrt(eps)" },
  },
  {
    covers: "functional.layerNorm",
    name: "layerNorm of rows of one element",
    inputs: [floats([4, 1]), floats([1])],
    run: ([x, bias]) => functional.layerNorm(x.detach(), [1], { bias }),
    torch: "F.layer_norm(a.detach(), [1], None, b)",
  },
  {
    covers: "functional.rmsNorm",
    name: "rmsNorm of rows of one element",
    inputs: [floats([4, 1], 1, 2)],
    run: ([x]) => functional.rmsNorm(x, [1]).detach(),
    torch: "F.rms_norm(a, [1]).detach()",
  },
  {
    covers: "functional.groupNorm",
    name: "groupNorm with weight and bias",
    inputs: [floats([2, 6, 5]), floats([6]), floats([6])],
    shapes: [[[3, 6, 4, 3], [6], [6]], [[2, 9], [9], [9]]],
    run: ([x, weight, bias]) => functional.groupNorm(x, 3, { weight, bias }),
    torch: "F.group_norm(a, 3, b, c)",
  },
  {
    covers: "functional.groupNorm",
    name: "groupNorm of one group without parameters, eps 0.1",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => functional.groupNorm(x, 1, { eps: 0.1 }),
    torch: "F.group_norm(a, 1, None, None, 0.1)",
  },
  {
    covers: "functional.groupNorm",
    name: "groupNorm of as many groups as channels, with weight",
    inputs: [floats([2, 3, 40]), floats([3])],
    run: ([x, weight]) => functional.groupNorm(x, 3, { weight }),
    torch: "F.group_norm(a, 3, b)",
  },
];

export default rows;
