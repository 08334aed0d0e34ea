import { assert, assertEquals } from "@std/assert";
import { empty, manualSeed, nn, rand, randint, randLike, randn, randnLike, randperm, type Tensor } from "../../mod.ts";
import { floats, type Row } from "../_support/op_table/row.ts";

const RANDOM = { golden: "PyTorch's generator gives other numbers", gradient: "made from no input" };

function numbers(x: Tensor): number[] {
  return Array.from(x.to({ dtype: "float32" }).data(), Number);
}

/** Checks mean and deviation at six standard errors. */
function assertMoments(values: number[], mean: number, deviation: number): void {
  const n = values.length;
  const found = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - found) ** 2, 0) / n;
  assert(Math.abs(found - mean) < 6 * deviation / Math.sqrt(n), `mean ${found}`);
  assert(Math.abs(Math.sqrt(variance) / deviation - 1) < 6 / Math.sqrt(n), `deviation ${Math.sqrt(variance)}`);
}

const FIXED = [[0.43108, 0.52233, 0.70237, 0.29654, 0.98828], [-0.16317, -0.83871, 0.30604, -0.21315, 0.69253], [
  637,
  155,
  712,
  180,
  315,
], [2, 1, 3, 0, 4, 5]];

const rows: Row[] = [
  {
    covers: "rand",
    inputs: [],
    run(_, context) {
      manualSeed(5);
      const first = rand([5000], context);
      manualSeed(5);
      return [first, rand([5000], context)];
    },
    torch: "",
    skip: RANDOM,
    verify([first, again]) {
      const values = numbers(first);
      assertEquals(numbers(again), values);
      assert(values.every((value) => value >= 0 && value < 1));
      assertMoments(values, 0.5, Math.sqrt(1 / 12));
    },
  },
  {
    covers: "randn",
    inputs: [],
    run(_, context) {
      manualSeed(5);
      const first = randn([5000], context);
      manualSeed(5);
      return [first, randn([5000], context)];
    },
    torch: "",
    skip: RANDOM,
    verify([first, again]) {
      assertEquals(numbers(again), numbers(first));
      assertMoments(numbers(first), 0, 1);
    },
  },
  {
    covers: ["randLike", "randnLike"],
    inputs: [floats([500])],
    run([x], { dtype, device }) {
      manualSeed(5);
      const like = [randLike(x), randnLike(x)];
      manualSeed(5);
      return [...like, rand([500], { dtype, device }), randn([500], { dtype, device })];
    },
    torch: "",
    skip: { golden: RANDOM.golden, empty: "the shape is fixed", gradient: RANDOM.gradient },
    verify([uniform, normal, ...same]) {
      assertEquals([uniform, normal].map(numbers), same.map(numbers));
    },
  },
  ...(["int64", "int32", "uint8"] as const).map((dtype): Row => ({
    covers: ["randint", "randperm"],
    name: `random integers of ${dtype}`,
    inputs: [],
    run(_, { device }) {
      manualSeed(5);
      const first = randint(3, 13, [5000], { device, dtype });
      const order = randperm(200, { device, dtype });
      manualSeed(5);
      return [first, order, randint(3, 13, [5000], { device, dtype }), randperm(200, { device, dtype })];
    },
    torch: "",
    skip: RANDOM,
    verify([integers, order, ...again]) {
      const values = numbers(integers);
      assertEquals([integers.dtype, order.dtype], [dtype, dtype]);
      assertEquals([integers, order].map(numbers), again.map(numbers));
      assertEquals([Math.min(...values), Math.max(...values)], [3, 12]);
      assertMoments(values, 7.5, Math.sqrt(99 / 12));
      assertEquals(numbers(order).sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i));
    },
  })),
  {
    covers: ["rand", "randn", "randint", "randperm"],
    name: "a seed gives these numbers on every device",
    inputs: [],
    run(_, { device }) {
      manualSeed(2026);
      return [
        rand([5], { device }),
        randn([5], { device }),
        randint(0, 1000, [5], { device }),
        randperm(6, { device }),
      ];
    },
    torch: "",
    skip: RANDOM,
    verify(outputs) {
      // sin, cos and log of two platforms may differ in the last place.
      const rounded = outputs.map((x) => numbers(x).map((value) => Number(value.toPrecision(5))));
      assertEquals(rounded, FIXED);
    },
  },
  {
    covers: "empty",
    inputs: [],
    run: (_, context) => empty([2, 3], context),
    torch: "",
    skip: { golden: "the elements may be anything", gradient: "made from no input" },
    verify([out], _, { dtype }) {
      assertEquals([out.dtype, out.shape], [dtype, [2, 3]]);
    },
  },
  {
    covers: "functional.dropout",
    inputs: [floats([50, 40], 1, 2)],
    run([x]) {
      manualSeed(3);
      const dropped = nn.functional.dropout(x, { p: 0.25 });
      return [dropped, nn.functional.dropout(x, { training: false }), nn.functional.dropout(x, { p: 0 })];
    },
    torch: "",
    skip: { golden: RANDOM.golden, empty: "there is nothing to count" },
    verify([dropped, ...same], [x]) {
      const before = numbers(x);
      const values = numbers(dropped);
      const kept = values.filter((value) => value !== 0).length;
      // 2000 draws at six standard errors.
      assert(Math.abs(kept / values.length - 0.75) < 6 * Math.sqrt(0.25 * 0.75 / values.length), `${kept} are kept`);
      const rounding = x.dtype === "bfloat16" ? 2 ** -8 : 2 ** -11;
      values.forEach((value, i) =>
        assert(value === 0 || Math.abs(value * 0.75 / before[i] - 1) <= rounding, `${before[i]} became ${value}`)
      );
      for (const each of same) assertEquals(numbers(each), before);
    },
  },
];

export default rows;
