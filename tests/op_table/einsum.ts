import { einsum } from "../../mod.ts";
import { floats, type Row, type Shape } from "../_support/op_table/row.ts";

function row(equation: string, ...shapes: Shape[]): Row {
  const operands = ["a", "b", "c", "d"].slice(0, shapes.length).join(", ");
  return {
    covers: "einsum",
    name: `einsum "${equation}"`,
    inputs: shapes.map((shape) => floats(shape)),
    run: (inputs) => einsum(equation, ...inputs),
    torch: `torch.einsum("${equation}", ${operands})`,
    skip: { empty: "an empty first dimension would have to be empty wherever its subscript stands" },
  };
}

const rows: Row[] = [
  row("ij,jk->ik", [3, 4], [4, 5]),
  row("ij,jk", [3, 4], [4, 5]),
  row("ba", [3, 4]),
  row("Ba", [3, 4]),
  row("ij->", [3, 4]),
  row("ii", [4, 4]),
  row("ii->i", [4, 4]),
  row("iij->ji", [3, 3, 2]),
  row("iii->i", [3, 3, 3]),
  row(" i j , k -> k j i ", [3, 4], [2]),
  row("i,i", [5], [5]),
  row("i,j->ij", [3], [4]),
  row("ij,ij->ij", [3, 4], [3, 4]),
  row("ij,ij->i", [3, 4], [1, 4]),
  row("ij,ij->i", [3, 1], [3, 4]),
  row("bhqd,bhkd->bhqk", [2, 3, 4, 5], [2, 3, 6, 5]),
  row("bqhd,bkhd->bhqk", [2, 4, 3, 5], [2, 6, 3, 5]),
  row("...ij,...jk->...ik", [5, 1, 2, 3], [4, 3, 6]),
  row("...,...", [2, 3], [4, 2, 3]),
  row("i...,j...->ij", [2, 3], [5, 3]),
  row("...j->j", [2, 3, 4]),
  row("i...->...i", [2, 3, 4]),
  row("ij,jk,kl->il", [2, 3], [3, 4], [4, 5]),
  row("ij,jk,ik->i", [2, 3], [3, 4], [2, 4]),
  row("ijk,ilm,njm,nlk->", [2, 3, 4], [2, 3, 2], [3, 3, 2], [3, 3, 4]),
  row("abcd,cdef->abef", [2, 3, 4, 2], [4, 2, 3, 2]),
].map((entry, i, all) => ({
  ...entry,
  // Two rows may share an equation.
  name: all.findIndex(({ name }) => name === entry.name) === i ? entry.name! : `${entry.name} (${i})`,
}));
export default rows;
