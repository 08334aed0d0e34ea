import { cat, type DType, where } from "../../mod.ts";
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

const ELEMENTS = { empty: "element 0 does not exist", scopes: "it selects single elements" };

rows.push(
  ...DTYPES.map((first): Row => ({
    covers: ["where", "cat", "Tensor.maximum", "Tensor.lt"],
    name: `promotion of ${first} in where, cat and comparisons`,
    inputs: [input(first, [3]), ...DTYPES.map((dtype) => input(dtype, [3]))],
    run([a, ...others]) {
      const mask = a.gt(2);
      return others.flatMap((b) => [
        ...[where(mask, a, b), where(mask, a, b.select(0, 0)), where(mask, a.select(0, 0), b), cat([a, b])],
        ...[a.maximum(b), a.lt(b.select(0, 0)), a.select(0, 0).ge(b), a.select(0, 0).add(b.select(0, 0))],
      ]);
    },
    torch: "tuple(r for m in [a > 2] for x in (b, c, d, e, f, g, h, i) for r in (" +
      "torch.where(m, a, x), torch.where(m, a, x[0]), torch.where(m, a[0], x), torch.cat((a, x)), " +
      "torch.maximum(a, x), a < x[0], a[0] >= x, a[0] + x[0]))",
    skip: { ...ELEMENTS, broadcast: "cat does not broadcast" },
  })),
  ...DTYPES.map((dtype): Row => ({
    covers: ["Tensor.add", "Tensor.mul", "Tensor.div", "Tensor.eq", "Tensor.lt", "where", "Tensor.pow"],
    name: `${dtype} and its scalar with numbers`,
    inputs: [input(dtype, [5])],
    run: ([x]) =>
      [x, x.select(0, 0)].flatMap((a) => [
        ...[
          a.add(2),
          a.add(0.5),
          a.mul(3),
          a.mul(0.5),
          a.div(2),
          a.eq(1),
          a.eq(0.5),
          a.lt(300),
          a.ge(-1),
          a.ne(2 ** 40),
        ],
        ...[where(a.gt(1), a, 2), where(a.gt(1), 0.5, a), a.pow(2), a.remainder(2), a.floorDivide(0.75)],
      ]),
    torch:
      "tuple(r for x in (a, a[0]) for r in (x + 2, x + 0.5, x * 3, x * 0.5, x / 2, x == 1, x == 0.5, x < 300, x >= -1, " +
      "x != 2**40, torch.where(x > 1, x, 2), torch.where(x > 1, 0.5, x), x ** 2, x % 2, x // 0.75))",
    skip: ELEMENTS,
  })),
  ...DTYPES.map((dtype): Row => {
    const takes = DTYPES.filter((other) =>
      dtype.includes("float") || (other === "bool" || (dtype !== "bool" && !other.includes("float")))
    );
    return {
      covers: ["Tensor.add_", "Tensor.mul_", "Tensor.copy_"],
      name: `${dtype} changed in place keeps its dtype`,
      inputs: [input(dtype, [3]), ...takes.map((other) => input(other, [3]))],
      run: ([a, ...others]) =>
        others.flatMap((b) => [a.clone().add_(b), a.clone().mul_(b.select(0, 0)), a.clone().copy_(b)]),
      torch: `tuple(r for x in (${"bcdefghi".slice(0, takes.length).split("").join(", ")},) ` +
        "for r in (a.clone().add_(x), a.clone().mul_(x[0]), a.clone().copy_(x)))",
      skip: ELEMENTS,
    };
  }),
);

export default rows;
