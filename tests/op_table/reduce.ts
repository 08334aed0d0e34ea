import { floats, integers, listed, type Row } from "../_support/op_table/row.ts";

type Dims = number | number[] | undefined;

function python(dim: Dims, keepDim = false): string {
  const first = dim === undefined ? [] : [Array.isArray(dim) ? `(${dim.join(", ")})` : String(dim)];
  return [...first, ...(keepDim ? ["keepdim=True"] : [])].join(", ");
}

const rows: Row[] = [];
for (
  const [dim, keepDim] of [[undefined, false], [0, false], [1, true], [-1, false], [[0, 2], false], [[1, 2], true]] as [
    Dims,
    boolean,
  ][]
) {
  const options = dim === undefined ? {} : { dim, keepDim };
  const suffix = dim === undefined ? "" : ` over ${python(dim, keepDim)}`;
  for (const name of ["sum", "mean", "var"] as const) {
    rows.push({
      covers: `Tensor.${name}`,
      name: `${name}${suffix}`,
      inputs: [floats([2, 3, 4])],
      shapes: [[[3, 1, 5]], [[2, 11, 9]]],
      run: ([x]) => x[name](options),
      torch: `a.${name}(${python(dim, keepDim)})`,
    });
  }
}
for (const name of ["max", "min"] as const) {
  rows.push({ covers: `Tensor.${name}`, inputs: [floats([3, 5])], run: ([x]) => x[name](), torch: `a.${name}()` });
  for (const [dim, keepDim] of [[0, false], [1, true], [-1, false]] as const) {
    rows.push({
      covers: [`Tensor.${name}`, `Tensor.arg${name}`],
      name: `${name} over ${python(dim, keepDim)}`,
      inputs: [floats([3, 5, 4])],
      run: ([x]) => {
        const { values, indices } = x[name]({ dim, keepDim });
        return [values, indices, x[`arg${name}`]({ dim, keepDim }), x[`arg${name}`]()];
      },
      torch: `(*a.${name}(${python(dim, keepDim)}), a.arg${name}(${python(dim, keepDim)}), a.arg${name}())`,
    });
  }
  rows.push({
    covers: `Tensor.${name}`,
    name: `${name} of equal values and NaN`,
    inputs: [listed([1, 1, 0, NaN, 2, 2, 0, 0, 0], [3, 3])],
    run: ([x]) => [x[name]({ dim: 1 }).values, x[`arg${name}`]({ dim: 1 }), x[name](), x[`arg${name}`]()],
    torch: `(a.${name}(1).values, a.arg${name}(1), a.${name}(), a.arg${name}())`,
    skip: { gradient: "ties have no unique gradient", empty: "the values are listed" },
  });
}
rows.push(
  {
    covers: "Tensor.var",
    name: "var, biased",
    inputs: [floats([3, 5])],
    run: ([x]) => x.var({ dim: 1, unbiased: false }),
    torch: "a.var(1, unbiased=False)",
  },
  {
    covers: "Tensor.sum",
    name: "sum of int32",
    inputs: [integers([3, 5], -9, 9, "int32")],
    run: ([x]) => [x.sum(), x.sum({ dim: 1 })],
    torch: "(a.sum(), a.sum(1))",
  },
);

export default rows;
