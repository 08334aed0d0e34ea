import { cat, stack } from "../../mod.ts";
import { floats, type Row } from "../_support/op_table/row.ts";

const NOT_VIEWABLE = "view() refuses strided inputs, here and in PyTorch";

const rows: Row[] = [
  {
    covers: "Tensor.reshape",
    inputs: [floats([2, 3, 4])],
    shapes: [[[6, 4]], [[24]]],
    run: ([x]) => [x.reshape([4, 6]), x.reshape([-1, 3])],
    torch: "(a.reshape(4, 6), a.reshape(-1, 3))",
  },
  {
    covers: "Tensor.view",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => x.view([4, -1]),
    torch: "a.view(4, -1)",
    skip: { strided: NOT_VIEWABLE },
  },
  {
    covers: "Tensor.transpose",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => [x.transpose(0, 1), x.transpose(-1, 0)],
    torch: "(a.transpose(0, 1), a.transpose(-1, 0))",
  },
  {
    covers: "Tensor.permute",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => x.permute([2, 0, -2]),
    torch: "a.permute(2, 0, -2)",
  },
  {
    covers: "Tensor.flatten",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => [x.flatten(), x.flatten(1), x.flatten(0, 1), x.flatten(-2, -1)],
    torch: "(a.flatten(), a.flatten(1), a.flatten(0, 1), a.flatten(-2, -1))",
  },
  {
    covers: "Tensor.flatten",
    name: "flatten of a scalar",
    inputs: [floats([])],
    run: ([x]) => x.flatten(),
    torch: "a.flatten()",
  },
  {
    covers: "Tensor.unsqueeze",
    inputs: [floats([2, 3])],
    shapes: [[[]]],
    run: ([x]) => [x.unsqueeze(0), x.unsqueeze(-1)],
    torch: "(a.unsqueeze(0), a.unsqueeze(-1))",
  },
  {
    covers: "Tensor.squeeze",
    inputs: [floats([2, 1, 3, 1])],
    shapes: [[[1, 1]]],
    run: ([x]) => [x.squeeze(), x.squeeze(1), x.squeeze(-1), x.squeeze(0)],
    torch: "(a.squeeze(), a.squeeze(1), a.squeeze(-1), a.squeeze(0))",
  },
  {
    covers: "Tensor.expand",
    inputs: [floats([3, 1])],
    run: ([x]) => [x.expand([3, 4]), x.expand([2, -1, 4]), x.expand([3, 0])],
    torch: "(a.expand(3, 4), a.expand(2, -1, 4), a.expand(3, 0))",
  },
  {
    covers: "Tensor.narrow",
    inputs: [floats([5, 4])],
    run: ([x]) => [x.narrow(0, 1, 3), x.narrow(-1, 2, 2), x.narrow(1, 0, 0)],
    torch: "(a.narrow(0, 1, 3), a.narrow(-1, 2, 2), a.narrow(1, 0, 0))",
  },
  {
    covers: "Tensor.slice",
    inputs: [floats([7, 4])],
    run: ([x]) => [
      x.slice({ start: 1, end: -1 }),
      x.slice({ dim: 0, step: 3 }),
      x.slice({ dim: 1, start: -3, end: 99, step: 2 }),
      x.slice({ start: 5, end: 2 }),
    ],
    torch: "(a[1:-1], a[::3], a[:, -3:99:2], a[5:2])",
  },
  {
    covers: "Tensor.select",
    inputs: [floats([3, 4])],
    run: ([x]) => [x.select(0, 2), x.select(1, -1)],
    torch: "(a.select(0, 2), a.select(1, -1))",
  },
  {
    covers: "Tensor.viewAs",
    inputs: [floats([2, 6]), floats([3, 4])],
    run: ([x, other]) => x.viewAs(other),
    torch: "a.view_as(b)",
    skip: { strided: NOT_VIEWABLE },
  },
  {
    covers: "Tensor.expandAs",
    inputs: [floats([3, 1]), floats([2, 3, 4])],
    run: ([x, other]) => x.expandAs(other),
    torch: "a.expand_as(b)",
  },
  {
    covers: "Tensor.unflatten",
    inputs: [floats([6, 4])],
    run: ([x]) => [x.unflatten(0, [2, 3]), x.unflatten(-1, [2, -1])],
    torch: "(a.unflatten(0, (2, 3)), a.unflatten(-1, (2, -1)))",
  },
  {
    covers: "Tensor.t",
    inputs: [floats([2, 3])],
    shapes: [[[4]], [[]]],
    run: ([x]) => x.t(),
    torch: "a.t()",
  },
  {
    covers: "Tensor.transpose",
    name: "mT",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => x.mT,
    torch: "a.mT",
  },
  {
    covers: "Tensor.movedim",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => [x.movedim(0, 2), x.movedim([0, -1], [1, 0])],
    torch: "(a.movedim(0, 2), a.movedim((0, -1), (1, 0)))",
  },
  {
    covers: "Tensor.unbind",
    inputs: [floats([2, 3])],
    run: ([x]) => [...x.unbind(), ...x.unbind(-1)],
    torch: "(*a.unbind(), *a.unbind(-1))",
    skip: { empty: "the number of outputs depends on the size" },
  },
  {
    covers: "Tensor.split",
    inputs: [floats([7, 4])],
    run: ([x]) => [...x.split(3), ...x.split([1, 0, 3], { dim: 1 })],
    torch: "(*a.split(3), *a.split([1, 0, 3], 1))",
  },
  {
    covers: "Tensor.chunk",
    inputs: [floats([7, 4])],
    run: ([x]) => [...x.chunk(3), ...x.chunk(3, { dim: -1 })],
    torch: "(*a.chunk(3), *a.chunk(3, -1))",
  },
  {
    covers: "Tensor.diagonal",
    inputs: [floats([3, 4])],
    shapes: [[[2, 2, 3]], [[1, 5]]],
    run: (
      [x],
    ) => [x.diagonal(), x.diagonal({ offset: 1 }), x.diagonal({ offset: -2 }), x.diagonal({ dim1: -1, dim2: 0 })],
    torch: "(a.diagonal(), a.diagonal(1), a.diagonal(-2), a.diagonal(0, -1, 0))",
  },
  {
    covers: "Tensor.detach",
    inputs: [floats([3])],
    run: ([x]) => x.mul(x.detach()),
    torch: "a * a.detach()",
    skip: { numeric: "detach() hides a dependence on purpose" },
  },
  { covers: "Tensor.clone", inputs: [floats([3, 2])], run: ([x]) => x.clone().mul(x), torch: "a.clone() * a" },
  {
    covers: "Tensor.contiguous",
    inputs: [floats([3, 2])],
    run: ([x]) => x.transpose(0, 1).contiguous(),
    torch: "a.transpose(0, 1).contiguous()",
    verify([out]) {
      if (!out.isContiguous) throw new Error("the result is not contiguous");
    },
  },
  {
    covers: "cat",
    inputs: [floats([2, 3]), floats([2, 1])],
    shapes: [[[2, 3], [2, 0]]],
    run: ([a, b]) => [cat([a, b], { dim: 1 }), cat([b, a, b], { dim: -1 })],
    torch: "(torch.cat([a, b], 1), torch.cat([b, a, b], -1))",
  },
  {
    covers: "cat",
    name: "cat along the first dimension",
    inputs: [floats([2, 3]), floats([2, 3])],
    shapes: [[[2, 3], [0, 3]], [[4], [1]]],
    run: ([a, b]) => cat([a, b]),
    torch: "torch.cat([a, b])",
  },
  {
    covers: "stack",
    inputs: [floats([2, 3]), floats([2, 3])],
    shapes: [[[], []]],
    run: ([a, b]) => [stack([a, b]), stack([a, b], { dim: -1 })],
    torch: "(torch.stack([a, b]), torch.stack([a, b], -1))",
  },
  {
    covers: ["Tensor.permute", "Tensor.slice", "Tensor.reshape", "Tensor.transpose"],
    name: "a chain of views",
    inputs: [floats([2, 3, 4])],
    run: ([x]) => x.permute([2, 0, 1]).slice({ dim: 0, step: 2 }).reshape([4, 3]).transpose(0, 1).select(0, 1),
    torch: "a.permute(2, 0, 1)[::2].reshape(4, 3).transpose(0, 1).select(0, 1)",
  },
];

export default rows;
