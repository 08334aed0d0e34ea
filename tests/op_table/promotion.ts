import type { DType } from "../../mod.ts";
import { type Input, integers, type Row } from "../_support/op_table/row.ts";

const DTYPES: DType[] = ["float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool"];

function input(dtype: DType, shape: number[]): Input {
  return { ...integers(shape, 0, dtype === "bool" ? 2 : 9), dtype };
}

/** Dtypes of results: every pair, a dimensioned tensor with a scalar one, and a tensor with a number. */
const rows: Row[] = DTYPES.map((first): Row => ({
  covers: ["Tensor.add", "Tensor.mul", "Tensor.eq"],
  name: `promotion of ${first}`,
  inputs: [input(first, [3]), ...DTYPES.map((dtype) => input(dtype, [3]))],
  run: ([a, ...others]) => others.flatMap((b) => [a.add(b), a.mul(b.select(0, 0)), a.select(0, 0).mul(b), a.eq(b)]),
  torch: "tuple(r for x in (b, c, d, e, f, g, h, i) for r in (a + x, a * x[0], a[0] * x, a == x))",
  skip: {
    empty: "element 0 does not exist",
    broadcast: "that is the table of binary operations",
    scopes: "it selects single elements",
  },
}));

rows.push(
  ...DTYPES.map((dtype): Row => ({
    covers: "Tensor.to",
    name: `to and from ${dtype}`,
    inputs: [input(dtype, [5])],
    run: ([x]) => DTYPES.map((wanted) => x.to({ dtype: wanted })),
    torch: `tuple(a.to(getattr(torch, n)) for n in ${JSON.stringify(DTYPES)})`,
  })),
  {
    covers: "Tensor.to",
    inputs: [{ shape: [3, 5], low: -2, high: 2 }],
    run: ([x]) => [x.to({ dtype: "float64" }), x.to({ dtype: "float32" }).to({ dtype: "float64" })],
    torch: "(a.to(torch.float64), a.to(torch.float32).to(torch.float64))",
    skip: { numeric: "a step of 1e-6 is lost in float32" },
  },
  ...(["int32", "int64", "uint8"] as const).map((dtype): Row => ({
    covers: ["Tensor.add", "Tensor.mul", "Tensor.div", "Tensor.sub"],
    name: `${dtype} with numbers`,
    inputs: [{ ...integers([5], 0, 9), dtype }],
    run: ([x]) => [x.add(2), x.add(0.5), x.mul(3), x.sub(1), x.div(2), x.div(x.add(1)), x.mul(2.5)],
    torch: "(a + 2, a + 0.5, a * 3, a - 1, a / 2, a / (a + 1), a * 2.5)",
  })),
);

export default rows;
