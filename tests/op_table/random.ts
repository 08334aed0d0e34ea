import { assert, assertEquals } from "@std/assert";
import { empty, manualSeed, nn, rand, randn, type Tensor } from "../../mod.ts";
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
