import { nn } from "../../mod.ts";
import { linear as fusedLinear } from "../../src/ops/matmul.ts";
import { feedForward, linearResidual } from "../../src/ops/residual.ts";
import { floats, type Row, type Shape } from "../_support/op_table/row.ts";

/** Pairs of shapes: vectors, batches, broadcast batches, and sizes around those of the tiles. */
const PRODUCTS: Shape[][] = [
  [[3, 4], [4]],
  [[4], [4, 3]],
  [[4], [4]],
  [[2, 3, 4], [4, 5]],
  [[2, 3, 4], [2, 4, 5]],
  [[2, 1, 3, 4], [3, 4, 2]],
  [[3, 4], [2, 4, 5]],
  [[1, 1], [1, 1]],
  [[2, 5], [5, 0]],
  [[2, 0], [0, 3]],
  [[13, 7], [7, 33]],
  [[17, 65], [65, 31]],
  [[65, 33], [33, 48]],
  [[145, 70], [70, 65]],
];

const rows: Row[] = [
  {
    covers: "Tensor.matmul",
    inputs: [floats([5, 7]), floats([7, 3])],
    shapes: PRODUCTS,
    run: ([a, b]) => a.matmul(b),
    torch: "a @ b",
  },
  {
    covers: "Tensor.matmul",
    name: "matmul of transposed operands",
    inputs: [floats([7, 5]), floats([3, 7])],
    shapes: [[[33, 13], [17, 33]]],
    run: ([a, b]) => a.transpose(0, 1).matmul(b.transpose(0, 1)),
    torch: "a.T @ b.T",
  },
  {
    covers: "functional.linear",
    inputs: [floats([2, 3, 4]), floats([5, 4]), floats([5])],
    shapes: [[[4], [5, 4], [5]], [[33, 17], [19, 17], [19]], [[0, 4], [5, 4], [5]]],
    run: ([x, weight, bias]) => nn.functional.linear(x, weight, bias),
    torch: "F.linear(a, b, c)",
  },
  {
    covers: "functional.linear",
    name: "linear without bias",
    inputs: [floats([3, 4]), floats([5, 4])],
    run: ([x, weight]) => nn.functional.linear(x, weight),
    torch: "F.linear(a, b)",
  },
  {
    covers: "Tensor.matmul",
    name: "matmul of views that need no copy",
    inputs: [floats([2, 5, 3, 4]), floats([2, 5, 3, 4])],
    shapes: [[[1, 3, 17, 2], [1, 3, 17, 2]], [[2, 1, 1, 3], [2, 1, 1, 3]]],
    run: ([a, b]) => a.transpose(1, 2).matmul(b.permute([0, 2, 3, 1])),
    torch: "a.transpose(1, 2) @ b.permute(0, 2, 3, 1)",
  },
  {
    covers: "Tensor.matmul",
    name: "matmul of a broadcast view",
    inputs: [floats([1, 3, 4]), floats([5, 4])],
    run: ([a, b]) => a.expand([6, 3, 4]).matmul(b.expand([2, 6, 5, 4]).transpose(2, 3)),
    torch: "a.expand(6, 3, 4) @ b.expand(2, 6, 5, 4).transpose(2, 3)",
  },
  {
    covers: "functional.linear",
    name: "linear with fused gelu (tanh)",
    inputs: [floats([3, 4]), floats([5, 4]), floats([5])],
    shapes: [[[33, 17], [19, 17], [19]], [[2, 3, 4], [5, 4], [5]]],
    run: ([x, weight, bias]) => fusedLinear(x, weight, bias, "gelu (tanh)"),
    torch: "F.gelu(F.linear(a, b, c), approximate='tanh')",
  },
  ...(["relu", "gelu"] as const).map((activation): Row => ({
    covers: "functional.linear",
    name: `linear with fused ${activation}`,
    inputs: [floats([3, 4]), floats([5, 4]), floats([5])],
    shapes: [[[33, 17], [19, 17], [19]]],
    run: ([x, weight, bias]) => fusedLinear(x, weight, bias, activation),
    torch: `F.${activation}(F.linear(a, b, c))`,
  })),
  {
    covers: "op:linearResidual",
    inputs: [floats([3, 4]), floats([3, 5]), floats([5, 4]), floats([5])],
    shapes: [[[33, 17], [33, 19], [19, 17], [19]], [[2, 3, 4], [2, 3, 5], [5, 4], [5]]],
    run: ([x, residual, weight, bias]) => linearResidual(x, residual, { weight, bias }),
    torch: "b + F.linear(a, c, d)",
    skip: { empty: "sizes belong together" },
  },
  {
    covers: "op:linearResidual",
    name: "linearResidual without bias",
    inputs: [floats([3, 4]), floats([3, 5]), floats([5, 4])],
    run: ([x, residual, weight]) => linearResidual(x, residual, { weight, bias: null }),
    torch: "b + F.linear(a, c)",
    skip: { empty: "sizes belong together" },
  },
  ...([["relu", ""], ["gelu", ""], ["gelu (tanh)", ", approximate='tanh'"]] as const).map((
    [activation, option],
  ): Row => ({
    covers: "op:feedForward",
    name: `feedForward, ${activation}`,
    inputs: [floats([3, 4]), floats([3, 5]), floats([6, 4]), floats([6]), floats([5, 6]), floats([5])],
    shapes: [[[33, 17], [33, 19], [35, 17], [35], [19, 35], [19]]],
    run: ([x, residual, weight1, bias1, weight2, bias2]) => {
      const [first, second] = [{ weight: weight1, bias: bias1 }, { weight: weight2, bias: bias2 }];
      return feedForward(x, residual, { first, second, activation });
    },
    torch: `b + F.linear(F.${activation.replace(" (tanh)", "")}(F.linear(a, c, d)${option}), e, f)`,
    skip: { empty: "sizes belong together" },
  })),
  {
    covers: "op:feedForward",
    name: "feedForward without biases",
    inputs: [floats([3, 4]), floats([3, 5]), floats([6, 4]), floats([5, 6])],
    run: ([x, residual, weight1, weight2]) => {
      const [first, second] = [{ weight: weight1, bias: null }, { weight: weight2, bias: null }];
      return feedForward(x, residual, { first, second, activation: "relu" });
    },
    torch: "b + F.linear(F.relu(F.linear(a, c)), d)",
    skip: { empty: "sizes belong together" },
  },
];

export default rows;
