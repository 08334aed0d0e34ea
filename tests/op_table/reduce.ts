import { bools, floats, integers, listed, type Row } from "../_support/op_table/row.ts";

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
  for (const name of ["sum", "mean", "var", "std", "amax", "amin"] as const) {
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

for (const [dim, keepDim] of [[undefined, false], [1, true], [-1, false]] as [number | undefined, boolean][]) {
  const options = dim === undefined ? {} : { dim, keepDim };
  const suffix = dim === undefined ? "" : ` over ${python(dim, keepDim)}`;
  rows.push(
    {
      covers: "Tensor.prod",
      name: `prod${suffix}`,
      inputs: [floats([2, 3, 4], 0.4, 1.6)],
      run: ([x]) => x.prod(options),
      torch: `a.prod(${python(dim, keepDim)})`,
    },
    ...[2, 1, 0, 3, 1.5, 0.5, Infinity, -Infinity].map((p): Row => ({
      covers: "Tensor.norm",
      name: `norm ${p}${suffix}`,
      inputs: [floats([2, 3, 4], 0.3, 2)],
      shapes: [[[2, 11, 9]]],
      run: ([x]) => x.sub(1).norm({ p, ...options }),
      torch: `torch.linalg.vector_norm(a - 1, ${Number.isFinite(p) ? p : `${p > 0 ? "" : "-"}math.inf`}${
        dim === undefined ? "" : `, dim=${dim}, keepdim=${keepDim ? "True" : "False"}`
      })`,
      tolerance: { factor: 3, reason: "PyTorch rounds the powers in another order" },
    })),
    ...(["any", "all"] as const).map((name): Row => ({
      covers: `Tensor.${name}`,
      name: `${name}${suffix}`,
      inputs: [
        integers([2, 3, 4], 0, 3),
        bools([2, 3, 4]),
        { ...integers([2, 3, 4], 0, 3), dtype: "uint8" },
        listed([0, NaN, 1, -0, 0, 2], [1, 2, 3]),
      ],
      run: (list) => list.map((x) => x[name](options)),
      torch: `tuple(x.${name}(${python(dim, keepDim)}) for x in (a, b, c, d))`,
    })),
  );
}
rows.push(
  {
    covers: "Tensor.prod",
    name: "prod with zeros",
    inputs: [listed([1, 0, 3, 0, 0, 2, 4, 5, 6], [3, 3])],
    run: ([x]) => [x.prod({ dim: 1 }), x.prod({ dim: 0, keepDim: true })],
    torch: "(a.prod(1), a.prod(0, keepdim=True))",
    skip: { empty: "the values are listed" },
  },
  {
    covers: "Tensor.norm",
    name: "norm of zeros",
    inputs: [listed([0, 0, 0, 3, 0, -4], [2, 3])],
    run: (
      [x],
    ) => [x.norm({ dim: 1 }), x.norm({ dim: 1, p: 3 }), x.norm({ dim: 1, p: 1 }), x.norm({ dim: 1, p: Infinity })],
    torch: "tuple(torch.linalg.vector_norm(a, p, dim=1) for p in (2, 3, 1, math.inf))",
    skip: { numeric: "it has no gradient there", empty: "the values are listed" },
  },
  {
    covers: ["Tensor.std", "Tensor.var"],
    name: "std and var with a correction",
    inputs: [floats([3, 5])],
    run: ([x]) => [x.std({ dim: 1, correction: 2 }), x.var({ dim: 0, correction: 0 }), x.std({ unbiased: false })],
    torch: "(a.std(1, correction=2), a.var(0, correction=0), a.std(unbiased=False))",
  },
  {
    covers: "Tensor.var",
    name: "var of large numbers",
    inputs: [floats([4, 50], 1e4, 1e4 + 1)],
    run: ([x]) => x.var({ dim: 1 }),
    torch: "a.var(1)",
    skip: { numeric: "a step is lost in the large numbers", lowPrecision: "all of them round to one number" },
  },
  ...(["int32", "int64", "uint8", "bool"] as const).map((dtype): Row => ({
    covers: ["Tensor.sum", "Tensor.prod", "Tensor.max", "Tensor.min", "Tensor.cumsum", "Tensor.cumprod", "Tensor.sort"],
    name: `reductions of ${dtype}`,
    inputs: [{ ...integers([3, 5], dtype === "uint8" || dtype === "bool" ? 0 : -3, dtype === "bool" ? 2 : 4), dtype }],
    shapes: [[[40, 33]], [[3, 2000]]],
    run: ([x]) => [
      ...[x.sum(), x.sum({ dim: 0 }), x.sum({ dim: 1, keepDim: true }), x.prod({ dim: 1 }).remainder(1000)],
      ...[x.max(), x.min(), x.max({ dim: 0 }).values, x.min({ dim: 1 }).values, x.amax({ dim: 0 }), x.amin({ dim: 1 })],
      ...[x.cumsum(0), x.cumsum(1), x.sort({ dim: 0 }).values, x.sort({ dim: 1, descending: true }).values],
      ...[x.sum({ dtype: "float32" }), x.mean({ dim: 0, dtype: "float64" }), x.tril(), x.triu({ diagonal: 1 })],
    ],
    torch:
      "(a.sum(), a.sum(0), a.sum(1, keepdim=True), a.prod(1) % 1000, a.max(), a.min(), a.max(0).values, a.min(1).values, a.amax(0), a.amin(1), a.cumsum(0), a.cumsum(1), a.sort(0).values, a.sort(1, descending=True).values, a.sum(dtype=torch.float32), a.mean(0, dtype=torch.float64), a.tril(), a.triu(1))",
  })),
  {
    covers: "Tensor.sum",
    name: "sums over many layouts",
    inputs: [floats([3, 40, 2, 17])],
    run: ([x]) => [
      ...[
        x.sum({ dim: [0, 1] }),
        x.sum({ dim: [1, 3] }),
        x.sum({ dim: 2 }),
        x.permute([3, 1, 0, 2]).sum({ dim: [0, 2] }),
      ],
      ...[
        x.permute([1, 3, 2, 0]).sum({ dim: 1 }),
        x.slice({ dim: 1, step: 3 }).sum({ dim: 1 }),
        x.expand([2, ...x.shape]).sum({ dim: 1 }),
      ],
    ],
    torch:
      "(a.sum((0, 1)), a.sum((1, 3)), a.sum(2), a.permute(3, 1, 0, 2).sum((0, 2)), a.permute(1, 3, 2, 0).sum(1), a[:, ::3].sum(1), a.expand(2, *a.shape).sum(1))",
  },
  {
    covers: ["Tensor.sum", "Tensor.max", "Tensor.argmin"],
    name: "reductions of many elements",
    inputs: [floats([70000], 0.5, 2), floats([300, 700]), floats([9000, 20], 0, 2)],
    run: ([x, y, z]) => [
      ...[
        x.sum(),
        x.max(),
        x.argmin(),
        y.sum({ dim: 0 }),
        y.sum({ dim: 1 }),
        y.max({ dim: 0 }).indices,
        y.min({ dim: 1 }).indices,
      ],
      ...[z.sum({ dim: 0 }), z.argmax({ dim: 0 }), z.sum({ dim: 1 })],
    ],
    torch:
      "(a.sum(), a.max(), a.argmin(), b.sum(0), b.sum(1), b.max(0).indices, b.min(1).indices, c.sum(0), c.argmax(0), c.sum(1))",
    tolerance: { factor: 4, reason: "the partial sums are others, and the result holds the luck of their roundings" },
    skip: {
      lowPrecision: "equal rounded elements have no first one in common",
      strided: "the inputs are large",
      numeric: "the inputs are large",
      gradient: "the inputs are large",
    },
  },
);

export default rows;
