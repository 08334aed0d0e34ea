import { assert, assertEquals, assertThrows } from "@std/assert";
import { arange, type DeviceName, ShapeError, type Tensor, tensor, zeros } from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";

function count(shape: number[], device: DeviceName): Tensor {
  return arange(shape.reduce((a, b) => a * b, 1), { dtype: "float32", device }).reshape(shape);
}

function shares(a: Tensor, b: Tensor): boolean {
  return a.storage === b.storage;
}

for (const device of testDevices(import.meta.url)) {
  const test = (name: string, fn: () => void): void => Deno.test(`${name} (${device})`, fn);

  test("views share memory; their shapes, strides and offsets are PyTorch's", () => {
    // x = torch.arange(24).view(2, 3, 4); each line is (tuple(v.shape), v.stride(), v.storage_offset()) of the Python beside it.
    const x = count([2, 3, 4], device);
    const cases: [Tensor, number[], number[], number][] = [
      [x.reshape([4, -1]), [4, 6], [6, 1], 0], // x.reshape(4, -1)
      [x.view([3, 2, 4]), [3, 2, 4], [8, 4, 1], 0], // x.view(3, 2, 4)
      [x.transpose(0, -1), [4, 3, 2], [1, 4, 12], 0], // x.transpose(0, -1)
      [x.transpose(1, 2).view([2, 2, 2, 3]), [2, 2, 2, 3], [12, 2, 1, 4], 0], // x.transpose(1, 2).view(2, 2, 2, 3)
      [x.permute([2, 0, 1]), [4, 2, 3], [1, 12, 4], 0], // x.permute(2, 0, 1)
      [x.movedim(0, -1), [3, 4, 2], [4, 1, 12], 0], // x.movedim(0, -1)
      [x.movedim([0, 1], [2, 0]), [3, 4, 2], [4, 1, 12], 0], // x.movedim((0, 1), (2, 0))
      [x.mT, [2, 4, 3], [12, 1, 4], 0], // x.mT
      [x.narrow(1, -2, 2), [2, 2, 4], [12, 4, 1], 4], // x.narrow(1, -2, 2)
      [x.slice({ dim: -1, start: -3, end: 100, step: 2 }), [2, 3, 2], [12, 4, 2], 1], // x[..., -3:100:2]
      [x.select(1, -1), [2, 4], [12, 1], 8], // x.select(1, -1)
      [x.unsqueeze(-1), [2, 3, 4, 1], [12, 4, 1, 1], 0], // x.unsqueeze(-1)
      [x.select(0, 1).expand([5, -1, 4]), [5, 3, 4], [0, 4, 1], 12], // x[1].expand(5, -1, 4)
      [x.flatten(1), [2, 12], [12, 1], 0], // x.flatten(1)
      [x.unflatten(-1, [2, -1]), [2, 3, 2, 2], [12, 4, 2, 1], 0], // x.unflatten(-1, (2, -1))
      [x.diagonal(), [4, 2], [1, 16], 0], // x.diagonal()
      [x.diagonal({ offset: -1, dim1: 1, dim2: 2 }), [2, 2], [12, 5], 4], // x.diagonal(-1, 1, 2)
      [x.diagonal({ offset: 2, dim1: 2, dim2: 1 }), [2, 1], [12, 5], 8], // x.diagonal(2, 2, 1)
      [x.split(2, { dim: 1 })[1], [2, 1, 4], [12, 4, 1], 8], // x.split(2, 1)[1]
      [x.split([1, 3], { dim: -1 })[1], [2, 3, 3], [12, 4, 1], 1], // x.split([1, 3], -1)[1]
      [x.chunk(3, { dim: 2 })[1], [2, 3, 2], [12, 4, 1], 2], // x.chunk(3, 2)[1]
      [x.unbind(1)[2], [2, 4], [12, 1], 8], // x.unbind(1)[2]
      [x.select(0, 0).t(), [4, 3], [1, 4], 0], // x[0].t()
      [x.viewAs(zeros([8, 3], { device })), [8, 3], [3, 1], 0], // x.view_as(torch.zeros(8, 3))
    ];
    for (const [i, [view, shape, strides, offset]] of cases.entries()) {
      assert(shares(view, x), `case ${i} is a copy`);
      assertEquals([view.shape, view.strides, view.offset - x.offset], [shape, strides, offset], `case ${i}`);
    }
    assertEquals(x.diagonal().toArray(), [[0, 16], [1, 17], [2, 18], [3, 19]]);
    assertEquals(x.narrow(1, -2, 1).toArray(), [[[4, 5, 6, 7]], [[16, 17, 18, 19]]]);
  });

  test("reshape() copies only where no strides can express the shape; view() then says so", () => {
    const x = count([2, 3, 4], device);
    const t = x.transpose(1, 2);
    assert(shares(t.reshape([2, 2, 2, 3]), x));
    assert(shares(t.reshape([2, 1, 4, 3]), x));
    assert(!shares(t.reshape([2, 12]), x));
    assertEquals(t.select(0, 0).reshape([12]).toArray(), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    assertThrows(
      () => t.view([2, 12]),
      ShapeError,
      "Cannot view (2, 4, 3) as (2, 12): with strides (12, 1, 4) a dimension would span two separate ranges of memory. " +
        "Use reshape(), which copies",
    );
    // torch.zeros(3, 1).expand(3, 4).reshape(12) copies, torch.zeros(1, 1).expand(3, 4).view(12) does not.
    const column = zeros([3, 1], { device });
    assert(!shares(column.expand([3, 4]).reshape([12]), column));
    const one = zeros([1, 1], { device });
    assertEquals(one.expand([3, 4]).view([12]).strides, [0]);
    assertEquals([x.slice({ dim: 0, step: 2 }).isContiguous, x.select(1, 0).isContiguous, t.isContiguous], [
      true,
      false,
      false,
    ]);
    assert(x.contiguous() === x && t.contiguous().isContiguous);
  });

  test("empty and scalar tensors have views too", () => {
    const empty = zeros([2, 0, 3], { device });
    assertEquals(empty.reshape([0, 7]).shape, [0, 7]);
    assertEquals(empty.flatten().shape, [0]);
    assertEquals(empty.transpose(0, 2).reshape([3, 0]).shape, [3, 0]);
    assertEquals(empty.chunk(2, { dim: 1 }).map(({ shape }) => shape), [[2, 0, 3], [2, 0, 3]]);
    assertEquals(empty.split(1, { dim: 1 }).map(({ shape }) => shape), [[2, 0, 3]]);
    assertEquals(empty.split(0, { dim: 1 }).map(({ shape }) => shape), [[2, 0, 3]]);
    assertEquals(empty.unbind(1), []);
    assertEquals(empty.select(0, 1).shape, [0, 3]);
    assertEquals(empty.diagonal({ dim1: 0, dim2: 1 }).shape, [3, 0]);
    assertEquals(zeros([3, 4], { device }).diagonal({ offset: 9 }).shape, [0]);
    assertEquals(zeros([1, 3], { device }).expand([0, 3]).shape, [0, 3]);
    assertThrows(() => empty.reshape([-1, 0]), ShapeError, "-1 could be any size beside a size of 0");
    const scalar = tensor(5, { device });
    assertEquals([scalar.flatten().shape, scalar.reshape([1, 1]).shape, scalar.unsqueeze(-1).shape], [[1], [1, 1], [
      1,
    ]]);
    assertEquals([scalar.squeeze().shape, scalar.squeeze(-1).shape, scalar.t().shape], [[], [], []]);
    assertEquals([scalar.transpose(0, -1).shape, scalar.permute([]).shape], [[], []]);
    assertEquals(scalar.expand([2, 2]).toArray(), [[5, 5], [5, 5]]);
    assertEquals(zeros([1, 2, 1], { device }).squeeze([0, 1]).shape, [2, 1]);
    assertEquals(zeros([1, 2, 1], { device }).squeeze([0, -1]).shape, [2]);
    assertEquals(tensor([7], { device }).view([]).item(), 7);
    assertEquals(tensor([7, 8], { device }).unbind().map((x) => x.item()), [7, 8]);
  });

  test("bad dimensions, indices and sizes are refused with what is allowed", () => {
    const x = zeros([2, 3], { device });
    const scalar = zeros([], { device });
    const refused: [() => unknown, string][] = [
      [() => x.reshape([4, -1]), "Cannot reshape (2, 3) into (4, -1): the number of elements must stay 6"],
      [() => x.reshape([-1, -1]), "one of them may be -1"],
      [() => x.reshape([1.5, 4]), "sizes must be non-negative integers"],
      [() => x.view([7]), "the number of elements must stay 6"],
      [() => x.flatten(1, 0), "startDim 1 lies after endDim 0"],
      [() => x.flatten(0, 2), "dim must be in [-2, 1], got 2"],
      [() => x.unflatten(1, [2, 2]), "Cannot unflatten dimension 1 of (2, 3) into (2, 2)"],
      [() => x.unflatten(1, []), "no sizes given"],
      [() => x.transpose(0, 2), "dim must be in [-2, 1], got 2"],
      [() => x.transpose(0, 0.5), "dim must be in [-2, 1], got 0.5"],
      [() => x.permute([0, 0]), "each dimension must be named once"],
      [() => x.permute([0]), "each dimension must be named once"],
      [() => x.movedim([0, 1], [0]), "as many must be given on both sides"],
      [() => x.movedim([0, 0], [0, 1]), "each once"],
      [() => zeros([1, 1, 1], { device }).t(), "at most 2 dimensions"],
      [() => zeros([3], { device }).mT, "it must be a matrix or a batch of matrices"],
      [() => x.squeeze(2), "dim must be in [-2, 1], got 2"],
      [() => x.squeeze([0, -2]), "names a dimension twice"],
      [() => x.unsqueeze(4), "dim must be in [-3, 2], got 4"],
      [() => x.expand([3]), "only sizes of 1 may grow"],
      [() => x.expand([-1, 2, 3]), "-1 keeps the size of one that exists"],
      [() => x.expand([2, 4]), "only sizes of 1 may grow"],
      [() => x.expandAs(scalar), "only sizes of 1 may grow"],
      [() => x.narrow(0, 1, 2), "start 1 and length 2 leave its size 2"],
      [() => x.narrow(0, 0.5, 1), "start 0.5 and length 1 leave its size 2"],
      [() => x.narrow(0, 0, -1), "leave its size 2"],
      [() => scalar.narrow(0, 0, 1), "Cannot narrow a scalar: it has no dimension"],
      [() => x.slice({ step: 0 }), "step must be a positive integer, got 0"],
      [() => x.slice({ start: 0.5 }), "start and end must be integers, got 0.5 and 2"],
      [() => scalar.slice({}), "Cannot slice a scalar: it has no dimension"],
      [() => x.select(0, 2), "it must be an integer in [-2, 1]"],
      [() => x.select(0, -3), "Cannot select index -3 of dimension 0 of (2, 3)"],
      [() => scalar.select(0, 0), "Cannot select a scalar: it has no dimension"],
      [() => x.split(0), "the size must be a positive integer"],
      [() => x.split([1, 1, 1]), "sizes must be non-negative integers that sum up to 2"],
      [() => x.split([3, -1]), "sum up to 2"],
      [() => x.chunk(0), "the number of chunks must be a positive integer, got 0"],
      [() => x.chunk(2, { dim: 2 }), "dim must be in [-2, 1], got 2"],
      [() => scalar.unbind(), "Cannot unbind a scalar: it has no dimension"],
      [() => x.diagonal({ dim2: 0 }), "dim1 and dim2 must differ"],
    ];
    for (const [action, message] of refused) assertThrows(action, ShapeError, message);
  });

  test("split() and chunk() give PyTorch's sizes", () => {
    const sizes = (parts: Tensor[]): number[] => parts.map(({ shape }) => shape[0]);
    const x = zeros([7], { device });
    assertEquals([sizes(x.chunk(3)), sizes(x.chunk(5)), sizes(x.chunk(9))], [
      [3, 3, 1],
      [2, 2, 2, 1],
      [1, 1, 1, 1, 1, 1, 1],
    ]);
    assertEquals([sizes(x.split(3)), sizes(x.split(9)), sizes(x.split([0, 7]))], [[3, 3, 1], [7], [0, 7]]);
  });
}
