import { assertEquals, assertThrows } from "@std/assert";
import { einsum, ShapeError, tensor, zeros } from "../mod.ts";

Deno.test("einsum() of integers stays exact, and of scalars is a product", () => {
  const a = tensor([[1, 2], [3, 4]], { dtype: "int32" });
  const product = einsum("ij,jk->ik", a, a);
  assertEquals([product.toArray(), einsum("ij,ij", a, a).item()], [[[7, 10], [15, 22]], 30]);
  assertEquals(einsum(",", tensor(3), tensor(2)).item(), 6);
  assertEquals(einsum("", tensor(3)).item(), 3);
});

Deno.test("einsum() refuses malformed equations and operands that do not fit", () => {
  const a = zeros([2, 3]);
  const cases: [string, number, string][] = [
    ["ij", 2, "as many operands as terms, got 2 and 1"],
    ["ij,jk", 1, "as many operands as terms, got 1 and 2"],
    ["ijk", 1, "operand 0 must have 3 dimensions, got (2, 3)"],
    ["...ijk", 1, "operand 0 must have at least 3 dimensions, got (2, 3)"],
    ["ii", 1, "sizes of the repeated subscript i of operand 0 must be equal, got 2 and 3"],
    ["ij->iij", 1, "subscript i must appear once in the output"],
    ["ij->ijz", 1, "the output's subscript z must appear in an operand"],
    ["i1", 1, 'subscripts must be letters or one ellipsis "...", got "1" in operand 0'],
    ["...i...", 1, "operand 0 must have at most one ellipsis"],
    ["i..", 1, 'got "." in operand 0'],
    ["ij->i->j", 1, 'at most one "->"'],
    ["ij,ji->", 2, "sizes of subscript j must be equal or 1, got 3 and 2"],
  ];
  for (const [equation, count, message] of cases) {
    assertThrows(() => einsum(equation, ...Array.from({ length: count }, () => a)), ShapeError, message);
  }
});
