import { assert, assertEquals } from "@std/assert";
import { type DeviceName, devices, type DType, manualSeed, nn, rand, randn, type Tensor, tensor } from "../../mod.ts";
import { attentionInLoops, type AttentionSizes } from "../_support/attention.ts";

const attend = nn.functional.scaledDotProductAttention;

type Mask = "bool" | "added" | "fixed";

interface Case {
  /** Queries, keys, dim of queries and keys, dim of values. */
  readonly sizes: readonly [number, number, number, number];
  readonly heads?: readonly [number, number];
  readonly batch?: number;
  readonly isCausal?: boolean;
  readonly mask?: Mask;
  readonly dropoutP?: number;
  readonly scale?: number;
}

// Lengths around the sizes of blocks, each compiled head dimension and some that are filled up, rows that 16-byte copies cannot read
// (17, 20), rows that need several parts (160), and every kind of mask, alone and together.
const CASES: readonly Case[] = [
  { sizes: [1, 1, 8, 8] },
  { sizes: [1, 300, 64, 64] },
  { sizes: [7, 65, 32, 32], heads: [2, 2], batch: 2 },
  { sizes: [64, 64, 64, 64], isCausal: true },
  { sizes: [65, 129, 96, 96], isCausal: true },
  { sizes: [129, 65, 128, 128], isCausal: true },
  { sizes: [300, 300, 32, 32], isCausal: true },
  { sizes: [129, 300, 64, 64] },
  { sizes: [129, 7, 40, 72] },
  { sizes: [65, 64, 17, 20], isCausal: true },
  { sizes: [7, 65, 160, 136] },
  { sizes: [70, 70, 24, 24], scale: -0.4 },
  { sizes: [65, 130, 64, 64], heads: [6, 2], isCausal: true },
  { sizes: [65, 129, 64, 64], mask: "bool" },
  { sizes: [129, 65, 32, 32], mask: "added", isCausal: true },
  { sizes: [9, 40, 128, 128], mask: "added", heads: [2, 1] },
  { sizes: [7, 129, 16, 80], mask: "fixed" },
  { sizes: [65, 66, 17, 17], mask: "added" },
  { sizes: [66, 129, 64, 64], dropoutP: 0.25, heads: [2, 2], batch: 2 },
  { sizes: [65, 65, 128, 128], dropoutP: 0.5, isCausal: true, mask: "bool", heads: [2, 1] },
];

/**
 * The allowed error relative to the largest value of a result, or to 1, of which inputs are made. float64 and float32: sums of some hundred products in another order.
 * 16 bits: probabilities, gradients of scores and the result are each rounded to 8 or 11 bits.
 */
const TOLERANCES: Partial<Record<DType, number>> = {
  float64: 1e-13,
  float32: 3e-6,
  bfloat16: 2 ** -6,
  float16: 2 ** -9,
};

function numbers(x: Tensor): Float64Array {
  return Float64Array.from(x.detach().to({ dtype: "float64" }).data(), Number);
}

/** A mask for all batches and heads and its values; one row sees nothing. */
function maskOf(kind: Mask | undefined, queries: number, keys: number, dtype: DType, device: DeviceName) {
  if (kind === undefined) return { mask: null, added: () => 0 };
  const blind = Math.floor(queries / 2);
  const drawn = numbers(rand([queries, keys], { dtype: "float64" }));
  const values = drawn.map((value, i) =>
    Math.floor(i / keys) === blind || value < 0.3 ? -Infinity : kind === "bool" ? 0 : value
  );
  const isBool = kind === "bool";
  const mask = tensor(isBool ? Array.from(values, (value) => value === 0 ? 1 : 0) : values, {
    shape: [1, 1, queries, keys],
    device,
  })
    .to({ dtype: isBool ? "bool" : kind === "fixed" && dtype !== "float64" ? "float32" : dtype });
  const stored = isBool ? values : numbers(mask);
  return { mask, added: (query: number, key: number) => stored[query * keys + key] };
}

/** Factors of dropout, as the CPU draws them: with equal scores and the unit matrix as values they are the output. */
function factorsOf(sizes: AttentionSizes, dropoutP: number): (row: number, key: number) => number {
  if (dropoutP === 0) return () => 1;
  const { batch, heads, queries, keys } = sizes;
  const at = { dtype: "float64" } as const;
  const unit = tensor(Array.from({ length: keys * keys }, (_, i) => i % (keys + 1) === 0 ? keys : 0), {
    shape: [keys, keys],
    ...at,
  });
  manualSeed(21);
  const drawn = attend(
    tensor(new Float64Array(batch * heads * queries), { shape: [batch, heads, queries, 1], ...at }),
    tensor(new Float64Array(batch * heads * keys), { shape: [batch, heads, keys, 1], ...at }),
    unit.expand([batch, heads, keys, keys]),
    { dropoutP },
  );
  const factors = numbers(drawn).map((value) => value < 0.5 ? 0 : 1 / (1 - dropoutP));
  const share = factors.filter((value) => value === 0).length / factors.length;
  assert(Math.abs(share - dropoutP) < 0.05, `dropped ${share}`);
  return (row, key) => factors[row * keys + key];
}

function assertNear(name: string, actual: Tensor, expected: Float64Array, tolerance: number): void {
  const values = numbers(actual);
  assertEquals(values.length, expected.length);
  assert(values.length > 0);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const worst = values.reduce((most, value, i) => {
    const error = Math.abs(value - expected[i]);
    return error <= most ? most : error;
  }, 0);
  assert(worst <= tolerance * largest, `${name}: error ${worst} of values up to ${largest}`);
}

function check(test: Case, dtype: DType, device: DeviceName): void {
  const [queries, keys, dim, valueDim] = test.sizes;
  const [heads, kvHeads] = test.heads ?? [1, 1];
  const { batch = 1, isCausal = false, dropoutP = 0, scale = 1 / Math.sqrt(dim) } = test;
  const sizes = { batch, heads, kvHeads, queries, keys, dim, valueDim };
  const factor = factorsOf(sizes, dropoutP);
  manualSeed(20);
  const [q, k, v, gradOut] = [[heads, queries, dim], [kvHeads, keys, dim], [kvHeads, keys, valueDim], [
    heads,
    queries,
    valueDim,
  ]]
    .map((shape) => randn([batch, ...shape], { device }).to({ dtype }));
  const { mask, added } = maskOf(test.mask, queries, keys, dtype, device);
  const leaves = [q, k, v, ...(test.mask === "added" ? [mask!] : [])];
  for (const leaf of leaves) leaf.requiresGrad_();
  const run = (): Tensor[] => {
    for (const leaf of leaves) leaf.grad = null;
    manualSeed(21);
    const out = attend(q, k, v, { mask, isCausal, scale, dropoutP, enableGqa: heads !== kvHeads });
    out.backward(gradOut);
    return [out.detach(), ...leaves.map((leaf) => leaf.grad!)];
  };
  const results = run();
  const [eq, ek, ev, eg] = [q, k, v, gradOut].map(numbers);
  const expected = attentionInLoops(sizes, { q: eq, k: ek, v: ev, gradOut: eg, scale, isCausal, added, factor });
  const tolerance = TOLERANCES[dtype]!;
  const names = ["out", "gradQ", "gradK", "gradV", "gradAdded"] as const;
  results.forEach((result, i) => {
    assertEquals(result.dtype, dtype);
    assertNear(names[i], result, expected[names[i]], tolerance);
  });
  // Every sum has one owner and one order.
  run().forEach((again, i) => assertEquals(numbers(again), numbers(results[i]), names[i]));
}

for (const device of devices()) {
  for (const dtype of ["float64", "float32", "bfloat16", "float16"] as const) {
    Deno.test(`attention in blocks equals plain loops, forward and backward, twice the same, in ${dtype} (${device})`, async (t) => {
      for (const test of CASES) await t.step(JSON.stringify(test), () => check(test, dtype, device));
    });

    Deno.test(`a query or key that is not a number spoils only rows that see it, in ${dtype} (${device})`, () => {
      const shape = [1, 2, 70, 32];
      const values = (spoiled: number | null, value: number): Tensor => {
        manualSeed(4);
        const data = Array.from(randn(shape, { dtype: "float64" }).data(), Number);
        if (spoiled !== null) data[spoiled * 32 + 5] = value;
        return tensor(data, { shape, device }).to({ dtype });
      };
      const plain = values(null, 0);
      const clean = numbers(attend(plain, plain, plain, { isCausal: true }));
      for (const [position, value] of [["query", NaN], ["query", Infinity], ["key", NaN]] as const) {
        const spoiled = values(66, value);
        const out = numbers(
          attend(position === "query" ? spoiled : plain, position === "key" ? spoiled : plain, plain, {
            isCausal: true,
          }),
        );
        out.forEach((result, i) => {
          const row = Math.floor(i / 32);
          const isSpoiled = position === "query" ? row === 66 : row >= 66 && row < 70;
          if (isSpoiled) assert(Number.isNaN(result), `${position} ${value}: row ${row} is ${result}`);
          else assertEquals(result, clean[i]);
        });
      }
    });
  }
}
