import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  device,
  type DeviceName,
  type DType,
  DTypeError,
  manualSeed,
  memoryStats,
  nn,
  rand,
  randn,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../../mod.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { assertClose, decode } from "../_support/close.ts";
import { sequence } from "../_support/sequence.ts";
import golden from "../golden/attention.json" with { type: "json" };
import { testDevices } from "../_support/devices.ts";

const DEVICES = testDevices(import.meta.url);

const attend = nn.functional.scaledDotProductAttention;

interface Case {
  name: string;
  q: number[];
  k: number[];
  v: number[];
  scale?: number;
  causal?: boolean;
  bool?: number[];
  added?: number[];
  blind?: number[];
  fixed?: boolean;
  gqa?: boolean;
  shape: number[];
  out: (number | string)[];
  grads: (number | string)[][];
}

function values(shape: number[], seed: number, dtype: DType, device: DeviceName): Tensor {
  return tensor(sequence(sizeOf(shape), seed), { shape, device }).to({ dtype });
}

/** The mask of a golden: its generator makes the same one. */
function maskOf({ bool, added, blind = [] }: Case, dtype: DType, device: DeviceName): Tensor | null {
  const shape = bool ?? added;
  if (shape === undefined) return null;
  const columns = shape.at(-1)!;
  const numbers = sequence(sizeOf(shape), 3).map((value, i) => {
    const isBlind = blind.includes(Math.floor(i / columns) % shape.at(-2)!);
    if (bool !== undefined) return !isBlind && value > -0.4 ? 1 : 0;
    return isBlind || i % columns % 3 === 1 ? -Infinity : value;
  });
  return tensor(numbers, { shape, device }).to({ dtype: bool === undefined ? dtype : "bool" });
}

for (const device of DEVICES) {
  // Float64 repeats PyTorch's sums in another order; float32 has 24 bits, and a gradient sums products of about ten such values.
  for (const [dtype, tolerance] of [["float64", 1e-12], ["float32", 3e-6]] as const) {
    Deno.test(`attention gives PyTorch's values and gradients in ${dtype} (${device})`, async (t) => {
      assert(golden.cases.length > 0);
      for (const test of golden.cases as Case[]) {
        await t.step(test.name, () => {
          const leaves = [test.q, test.k, test.v].map((shape, seed) =>
            values(shape, seed, dtype, device).requiresGrad_()
          );
          const mask = maskOf(test, dtype, device);
          if (mask !== null && test.added !== undefined && test.fixed !== true) leaves.push(mask.requiresGrad_());
          const out = attend(leaves[0], leaves[1], leaves[2], {
            mask,
            isCausal: test.causal ?? false,
            enableGqa: test.gqa ?? false,
            ...(test.scale === undefined ? {} : { scale: test.scale }),
          });
          assertEquals([out.shape, out.dtype], [test.shape, dtype]);
          assertClose(out, decode(test.out), { atol: tolerance });
          out.mul(values(test.shape, 9, dtype, device)).sum().backward();
          assertEquals(leaves.length, test.grads.length);
          leaves.forEach((leaf, i) => {
            if (leaf.size > 0) assertClose(leaf.grad!, decode(test.grads[i]), { atol: tolerance });
          });
        });
      }
    });
  }

  Deno.test(`attention in 16 bits errs at most twice as much as PyTorch's (${device})`, () => {
    for (const { dtype, causal, shape, errors } of golden.low) {
      const run = (type: DType): Tensor[] => {
        const leaves = [0, 1, 2].map((seed) =>
          values(shape, seed, dtype as DType, device).to({ dtype: type }).requiresGrad_()
        );
        const out = attend(leaves[0], leaves[1], leaves[2], { isCausal: causal });
        out.backward(values(shape, 9, dtype as DType, device).to({ dtype: type }));
        return [out, ...leaves.map(({ grad }) => grad!)];
      };
      const exact = run("float64");
      run(dtype as DType).forEach((rough, i) => {
        assertEquals(rough.dtype, dtype);
        assertClose(rough.to({ dtype: "float64" }), Array.from(exact[i].data(), Number), { atol: 2 * errors[i] });
      });
    }
  });

  Deno.test(`attention over many blocks equals the products written out (${device})`, () => {
    manualSeed(11);
    // Lengths around the sizes of blocks, tiles and vectors, and head sizes that are not whole vectors.
    for (
      const [queries, keys, dim, valueDim, isCausal] of [
        [300, 270, 40, 24, false],
        [257, 257, 64, 64, true],
        [131, 300, 8, 70, true],
        [300, 131, 5, 3, true],
        [1, 400, 32, 32, false],
        [64, 1, 130, 129, false],
      ] as const
    ) {
      const at = { dtype: "float64", device } as const;
      const [q, k, v] = [[queries, dim], [keys, dim], [keys, valueDim]].map(([rows, cols]) =>
        randn([2, 2, rows, cols], at).requiresGrad_()
      );
      const weights = randn([2, 2, queries, valueDim], at);
      const hidden = tensor(
        Array.from(
          { length: queries * keys },
          (_, i) => isCausal && i % keys > Math.floor(i / keys) ? -Infinity : 0,
        ),
        { shape: [queries, keys], ...at },
      );
      const plain = (): Tensor => {
        const scores = q.matmul(k.transpose(-2, -1)).mul(1 / Math.sqrt(dim)).add(hidden);
        const exponentials = scores.sub(scores.max({ dim: -1, keepDim: true }).values.detach()).exp();
        return exponentials.div(exponentials.sum({ dim: -1, keepDim: true })).matmul(v);
      };
      const results = [plain, () => attend(q, k, v, { isCausal })].map((compute) => {
        const out = compute();
        out.mul(weights).sum().backward();
        const found = [out, q, k, v].map((x, i) => Array.from((i === 0 ? x : x.grad!).data(), Number));
        for (const x of [q, k, v]) x.grad = null;
        return found;
      });
      results[0].forEach((expected, i) => {
        assertClose(tensor(results[1][i], { dtype: "float64" }), expected, { atol: 1e-12 });
      });
    }
  });

  Deno.test(`attention reads slices of one matrix, and its result joins the heads, without copies (${device})`, () => {
    manualSeed(5);
    const qkv = randn([2, 6, 3, 4, 8], { device, requiresGrad: true });
    const parts = qkv.permute([2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => parts.select(0, i));
    const out = attend(q, k, v, { isCausal: true });
    assert(out.transpose(1, 2).isContiguous);
    const copies = [q, k, v].map((x) => x.detach().contiguous().requiresGrad_());
    const expected = attend(copies[0], copies[1], copies[2], { isCausal: true });
    assertClose(out, Array.from(expected.data(), Number));
    const weights = randn(out.shape, { device });
    out.mul(weights).sum().backward();
    expected.mul(weights).sum().backward();
    const joined = copies.map((x) => x.grad!.transpose(1, 2).unsqueeze(2));
    joined.forEach((grad, i) => assertClose(qkv.grad!.narrow(2, i, 1), Array.from(grad.data(), Number)));
  });

  Deno.test(`dropout of attention drops the share p and draws the same again in backward (${device})`, () => {
    const p = 0.25;
    const [rows, keys] = [40, 50];
    const at = { dtype: "float64", device } as const;
    manualSeed(3);
    const q = randn([1, 2, rows, 4], at).requiresGrad_();
    const k = randn([1, 2, keys, 4], at).requiresGrad_();
    // With the unit matrix as values the output is the matrix of weights itself.
    const unit = tensor(
      Array.from({ length: keys * keys }, (_, i) => i % (keys + 1) === 0 ? 1 : 0),
      { shape: [1, 1, keys, keys], ...at },
    ).expand([1, 2, keys, keys]);
    const run = (dropoutP: number): Tensor => {
      manualSeed(8);
      return attend(q, k, unit, { dropoutP });
    };
    const weights = Array.from(run(0).data(), Number);
    const dropped = Array.from(run(p).data(), Number);
    const kept = dropped.map((value) => value === 0 ? 0 : 1 / (1 - p));
    const share = kept.filter((value) => value === 0).length / kept.length;
    // Four standard deviations of a binomial share.
    assert(Math.abs(share - p) < 4 * Math.sqrt(p * (1 - p) / kept.length), `dropped ${share}`);
    assertClose(run(p), weights.map((value, i) => value * kept[i]), { atol: 1e-12 });
    const probe = rand(q.shape.with(3, keys), at);
    run(p).mul(probe).sum().backward();
    // The same factors applied from outside give the same gradient.
    const gradients = [q, k].map((x) => Array.from(x.grad!.data(), Number));
    q.grad = k.grad = null;
    attend(q, k, unit).mul(tensor(kept, { shape: [1, 2, rows, keys], ...at })).mul(probe).sum().backward();
    [q, k].forEach((x, i) => assertClose(x.grad!, gradients[i], { atol: 1e-12 }));
    assertClose(attend(q, k, unit, { dropoutP: 1 }), new Array(2 * rows * keys).fill(0));
  });
}

for (const name of DEVICES) {
  Deno.test(`attention keeps no matrix of scores in memory (${name})`, () => {
    const length = 2048;
    tidy(() => {
      const [q, k, v] = [1, 2, 3].map(() => randn([1, 1, length, 16], { device: name, requiresGrad: true }));
      device(name).library.ax_memory_trim(0); // sets the peak to what is live
      const before = memoryStats(name).peakBytes;
      attend(q, k, v).sum().backward();
      const grown = memoryStats(name).peakBytes - before;
      assert(grown > 0 && grown < length * length * 4 / 8, `${grown} bytes`);
    });
  });
}

Deno.test("attention refuses what does not fit", () => {
  const q = zeros([2, 3, 5, 4]);
  assertThrows(() => attend(q, zeros([2, 3, 5, 6]), q), ShapeError, "same last size, got 4 and 6");
  assertThrows(() => attend(q, q, zeros([2, 3, 6, 4])), ShapeError, "as many values as keys, got 6 and 5");
  assertThrows(() => attend(zeros([4]), q, q), ShapeError, "at least the dimensions (length, dim)");
  assertThrows(() => attend(zeros([2, 6, 5, 4]), q, q), ShapeError, "sizes must be equal or 1, got 6 and 3");
  const options = { enableGqa: true };
  assertThrows(
    () => attend(zeros([2, 4, 5, 4]), q, q, options),
    ShapeError,
    "divide those of the query, got 3, 3 and 4",
  );
  assertThrows(() => attend(q, q, q, { mask: zeros([4, 5]) }), ShapeError, "broadcast to (2, 3, 5, 5), got (4, 5)");
  const double = zeros([2, 3, 5, 4], { dtype: "float64" });
  assertThrows(() => attend(q, double, q), DTypeError, "got float32, float64 and float32");
  assertThrows(() => attend(q, q, q, { mask: double }), DTypeError, "must be bool or float32");
  assertThrows(() => attend(q, q, q, { dropoutP: 1.5 }), RangeError, "dropoutP = 1.5: it must be in [0, 1]");
});
