import { assertThrows } from "@std/assert";
import {
  arange,
  cat,
  devices,
  DTypeError,
  eye,
  linspace,
  NativeError,
  rand,
  randint,
  randperm,
  ShapeError,
  tensor,
  where,
} from "../../mod.ts";

const bools = tensor([true, false]);
const ints = tensor([1, 0], { dtype: "int32" });
const floats = tensor([1.5, 2]);

type ErrorClass = typeof ShapeError | typeof DTypeError | typeof RangeError;

/** Each call must be refused before the native library is reached, with a sentence that says what to do. */
const refused: [string, () => unknown, ErrorClass, string][] = [
  ["neg of bool", () => bools.neg(), DTypeError, "Cannot take the neg of a bool tensor: use logicalNot()"],
  ["sub of bools", () => bools.sub(bools), DTypeError, "Cannot subtract bool from bool: use ne() or logicalXor()"],
  ["sub of a bool and a number", () => bools.sub(1), DTypeError, "Cannot subtract bool"],
  ["pow of bools", () => bools.pow(bools), DTypeError, "Cannot compute pow of two bool tensors"],
  ["a negative power", () => ints.pow(-1), RangeError, "Cannot raise int32 to the power -1"],
  ["remainder by zero", () => ints.remainder(ints), RangeError, "the divisor holds a zero"],
  ["floorDivide by zero", () => ints.floorDivide(0), RangeError, "Cannot compute floorDivide of int32"],
  ["bitwiseAnd of floats", () => floats.bitwiseAnd(ints), DTypeError, "Cannot compute bitwiseAnd of float32"],
  ["bitwiseNot of floats", () => floats.bitwiseNot(), DTypeError, "Cannot take the bitwiseNot of float32"],
  ["mean of integers", () => ints.mean(), DTypeError, 'Cannot take the mean of int32: pass { dtype: "float32" }'],
  ["var of integers", () => ints.var(), DTypeError, "Cannot take the var of int32"],
  ["norm of integers", () => ints.norm(), DTypeError, "Cannot take the norm of int32"],
  [
    "max of nothing",
    () => rand([0, 3]).max(),
    ShapeError,
    "Cannot take the max of (0, 3): a reduced dimension is empty",
  ],
  ["argmin of nothing", () => rand([3, 0]).argmin({ dim: 1 }), ShapeError, "a reduced dimension is empty"],
  ["the infinite norm of nothing", () => rand([0]).norm({ p: Infinity }), ShapeError, "a reduced dimension is empty"],
  ["topk of more than there are", () => floats.topk({ k: 3 }), RangeError, "k must be in [0, 2]"],
  [
    "sort along a missing dimension",
    () => floats.sort({ dim: 1 }),
    ShapeError,
    "Cannot sort: dim must be in [-1, 0], got 1",
  ],
  [
    "cumsum along a missing dimension",
    () => floats.cumsum(2),
    ShapeError,
    "Cannot cumsum: dim must be in [-1, 0], got 2",
  ],
  [
    "gather with a float index",
    () => floats.gather(0, floats),
    DTypeError,
    "Cannot gather from with an index of float32",
  ],
  [
    "gather with an index of other dimensions",
    () => floats.gather(0, ints.unsqueeze(0)),
    ShapeError,
    "it needs as many dimensions",
  ],
  [
    "scatterAdd of another dtype",
    () => floats.scatterAdd(0, ints, ints),
    DTypeError,
    "Cannot scatter int32 into float32",
  ],
  ["scatter of too few", () => floats.scatter(0, ints, tensor([1])), ShapeError, "no size may be larger"],
  ["tril of a vector", () => floats.tril(), ShapeError, "Cannot take tril of (2): it needs at least two dimensions"],
  [
    "where of numbers",
    () => where(floats, 1, 2),
    DTypeError,
    "Cannot choose by a condition of float32: it must be bool",
  ],
  ["where of other shapes", () => where(bools, rand([3]), 1), ShapeError, "Cannot where (2) and (3)"],
  ["dot of matrices", () => rand([2, 2]).dot(floats), ShapeError, "with dot(): both must have 1 dimension."],
  [
    "bmm of other batches",
    () => rand([2, 1, 1]).bmm(rand([3, 1, 1])),
    ShapeError,
    "the batches must be equal, got 2 and 3",
  ],
  [
    "repeat by too few counts",
    () => rand([2, 2]).repeat([2]),
    ShapeError,
    "there must be a count of at least 0 for each dimension",
  ],
  [
    "roll along fewer dimensions",
    () => rand([2, 2]).roll([1, 1], [0]),
    ShapeError,
    "Cannot roll by 2 shifts along 1 dimensions",
  ],
  ["lerp of integers", () => ints.lerp(ints, 0.5), DTypeError, "both must have one floating dtype"],
  ["cat of nothing", () => cat([]), ShapeError, "Cannot join an empty list of tensors"],
  [
    "arange away from its end",
    () => arange(3, { step: -1 }),
    RangeError,
    "the step must lead from the start to the end",
  ],
  ["arange without a step", () => arange(3, { step: 0 }), RangeError, "the step must lead from the start to the end"],
  ["linspace of fractions", () => linspace(0, 1, 2.5), RangeError, "it must be a non-negative integer"],
  ["eye of a negative size", () => eye(-1), ShapeError, "sizes must be non-negative integers"],
  ["rand of integers", () => rand([2], { dtype: "int32" }), DTypeError, "Cannot make int32 with rand(): use randint()"],
  ["randint without integers", () => randint(3, 3, [2]), RangeError, "Cannot draw integers from 3 to before 3"],
  ["randperm of a fraction", () => randperm(2.5), RangeError, "n must be a non-negative integer"],
];

for (const [name, call, type, message] of refused) {
  Deno.test(`${name} is refused`, () => void assertThrows(call, type, message));
}

Deno.test("an index outside the dimension is an error of the library", () => {
  for (const device of devices()) {
    const x = rand([3], { device });
    const index = tensor([0, 3], { dtype: "int64", device });
    // A GPU notices it later, when the host asks for values, and does not know which index it was.
    const message = device === "cpu" ? "index 3 at position 1 is outside [0, 3)" : "a value outside its dimension";
    for (
      const call of [
        () => x.gather(0, index).data(),
        () => x.scatterAdd(0, index, rand([2], { device })).data(),
        () => x.indexSelect(0, index).data(),
      ]
    ) {
      assertThrows(call, NativeError, message);
    }
  }
});
