/**
 * Sizes at which an algorithm changes: rows that a warp, a block or several share, tiles that are merged, chunks that are scanned. The
 * oracles are loops over float64.
 */
import { assertEquals } from "@std/assert";
import { devices, type DType, nn, type Tensor, tensor, tidy } from "../../mod.ts";
import { assertClose } from "../_support/close.ts";

const wide = (x: Tensor): Tensor => x.to({ dtype: "float64" });
const list = (x: Tensor): number[] => Array.from(wide(x).data(), Number);

/** Reproducible numbers in [-1, 1), with 16 bits. */
function noise(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) / 32768 - 1;
  });
}

/** Integers below `limit`, many of them equal. */
const whole = (count: number, limit: number, seed: number): number[] =>
  noise(count, seed).map((x) => Math.floor((x + 1) / 2 * limit));

const ROW_LENGTHS = [1, 3, 8, 40, 256, 264, 1000, 1024, 2048, 4096, 5000, 13000];

for (const device of devices()) {
  for (const dtype of ["float32", "bfloat16"] as const) {
    Deno.test(`softmax and normalisation of rows of many lengths, ${dtype} (${device})`, () => {
      for (const length of ROW_LENGTHS) tidy(() => checkRows(length, 3, dtype, device));
      tidy(() => checkRows(24, 1200, dtype, device));
    });
  }

  Deno.test(`sums over every direction of long shapes (${device})`, () => {
    tidy(() => {
      const shapes = [[70000], [3, 9000], [9000, 3], [700, 40], [5, 130, 66], [2, 3000, 9]];
      for (const shape of shapes) {
        const values = whole(shape.reduce((a, b) => a * b), 200, shape.length); // sums below 2^24
        const x = tensor(values, { shape, dtype: "float32", device });
        assertEquals(x.sum().item(), values.reduce((a, b) => a + b));
        assertEquals(x.argmax().item(), values.indexOf(values.reduce((a, b) => Math.max(a, b))));
        for (let dim = 0; dim < shape.length; dim++) {
          const inner = shape.slice(dim + 1).reduce((a, b) => a * b, 1);
          const outputs = values.length / shape[dim];
          const line = (k: number): number[] =>
            Array.from(
              { length: shape[dim] },
              (_, i) => values[Math.floor(k / inner) * shape[dim] * inner + i * inner + k % inner],
            );
          const all = Array.from({ length: outputs }, (_, k) => line(k));
          assertEquals(list(x.sum({ dim })), all.map((of) => of.reduce((a, b) => a + b)));
          assertEquals(list(x.max({ dim }).values), all.map((of) => Math.max(...of)));
          assertEquals(list(x.argmax({ dim })), all.map((of) => of.indexOf(Math.max(...of))));
        }
      }
    });
  });

  Deno.test(`sorting is stable for rows of many lengths (${device})`, () => {
    for (const [rows, length] of [[5, 1], [70, 3], [3, 33], [2, 1024], [2, 1025], [1, 5000]]) {
      tidy(() => {
        const values = whole(rows * length, 50, length);
        for (const dtype of ["float32", "int64"] as const) {
          const x = tensor(values, { shape: [rows, length], dtype, device });
          for (const descending of [false, true]) {
            const order = Array.from({ length: rows }, (_, row) => {
              const of = values.slice(row * length, (row + 1) * length);
              const sign = descending ? -1 : 1;
              return of.map((_, i) => i).sort((a, b) => sign * (of[a] - of[b]) || a - b);
            });
            assertEquals(list(x.sort({ descending }).indices), order.flat());
            const k = Math.min(3, length);
            if (descending) assertEquals(list(x.topk({ k }).indices), order.flatMap((of) => of.slice(0, k)));
          }
        }
      });
    }
  });

  Deno.test(`running totals of long rows (${device})`, () => {
    for (const [rows, length] of [[3, 1000], [2, 1024], [2, 1025], [1, 40000]]) {
      tidy(() => {
        const values = whole(rows * length, 10, length);
        const x = tensor(values, { shape: [rows, length], dtype: "float32", device, requiresGrad: true });
        const expected = values.map(() => 0);
        values.forEach((value, i) => expected[i] = value + (i % length === 0 ? 0 : expected[i - 1]));
        const total = x.cumsum(1);
        assertEquals(list(total), expected);
        total.sum().backward(); // a total from the end
        assertEquals(list(x.grad!), values.map((_, i) => length - i % length));
      });
    }
  });

  Deno.test(`gradients of rows that were taken several times are summed (${device})`, () => {
    for (const [count, inner] of [[3000, 1], [700, 3], [1500, 8], [40, 700]]) {
      tidy(() => {
        const size = 37;
        const index = whole(count, size, inner).map((i) => i === 5 ? 6 : i);
        const gradient = whole(count * inner, 9, count);
        for (const dtype of ["int32", "int64"] as const) {
          const weight = tensor(whole(size * inner, 9, 3), { shape: [size, inner], dtype: "float32", device });
          weight.requiresGrad_();
          const taken = nn.functional.embedding(tensor(index, { dtype, device }), weight);
          taken.mul(tensor(gradient, { shape: [count, inner], dtype: "float32", device })).sum().backward();
          const expected = new Array(size * inner).fill(0);
          gradient.forEach((value, i) => expected[index[Math.floor(i / inner)] * inner + i % inner] += value);
          assertEquals(list(weight.grad!), expected);
        }
      });
    }
  });

  Deno.test(`scattering along long rows (${device})`, () => {
    tidy(() => {
      for (const [rows, count] of [[1, 3000], [4, 100], [3, 7]]) {
        const size = 50;
        const index = whole(rows * count, size, 11);
        const values = whole(rows * count, 100, 12);
        const shape = [rows, count];
        const at = tensor(index, { shape, dtype: "int64", device });
        const source = tensor(values, { shape, dtype: "float32", device });
        const start = tensor(new Array(rows * size).fill(0.5), { shape: [rows, size], dtype: "float32", device });
        const summed = new Array(rows * size).fill(0.5);
        const last = [...summed];
        values.forEach((value, i) => {
          const to = Math.floor(i / count) * size + index[i];
          summed[to] += value;
          last[to] = value;
        });
        assertEquals(list(start.scatterAdd(1, at, source)), summed);
        assertEquals(list(start.scatter(1, at, source)), last);
      }
    });
  });

  Deno.test(`elementwise work over many layouts (${device})`, () => {
    tidy(() => {
      const [a, b, c, d] = [3, 5, 7, 24];
      const values = whole(a * b * c * d, 1000, 1);
      const x = tensor(values, { shape: [a, b, c, d], dtype: "float32", device });
      const row = tensor(values.slice(0, d), { dtype: "float32", device });
      const column = tensor(values.slice(0, c), { shape: [c, 1], dtype: "float32", device });
      assertEquals(list(x.add(row)), values.map((value, i) => value + values[i % d]));
      assertEquals(list(x.sub(column)), values.map((value, i) => value - values[Math.floor(i / d) % c]));
      const turned = [0, 1, 2, 3].map(() => 0);
      const expected = values.map((_, i) => {
        [turned[3], turned[1], turned[0], turned[2]] = [i % a, Math.floor(i / a) % d, Math.floor(i / (a * d)) % b, 0];
        const k = Math.floor(i / (a * d * b));
        return values[((turned[3] * b + turned[0]) * c + k) * d + turned[1]];
      });
      assertEquals(list(x.permute([2, 1, 3, 0]).contiguous()), expected);
      assertEquals(list(x.permute([2, 1, 3, 0]).mul(2)), expected.map((value) => 2 * value));
      for (const dtype of ["int64", "int32", "uint8", "float64", "float16", "bool"] as const) {
        const part = x.remainder(200).to({ dtype }).narrow(3, 1, 23);
        const want = values.filter((_, i) => i % d > 0).map((value) => value % 200);
        assertEquals(list(part.clone()), dtype === "bool" ? want.map((v) => v === 0 ? 0 : 1) : want);
      }
    });
  });
}

function checkRows(length: number, rows: number, dtype: DType, device: (ReturnType<typeof devices>)[number]): void {
  const shape = [rows, length];
  const values = noise(rows * length, length);
  const slopes = noise(rows * length, length + 1);
  const x = tensor(values, { shape, dtype: "float32", device }).to({ dtype }).requiresGrad_();
  const g = tensor(slopes, { shape, dtype: "float32", device }).to({ dtype });
  const [exact, up] = [list(x), list(g)];
  const perRow = (f: (x: number[], g: number[]) => number[]): number[] =>
    Array.from(
      { length: rows },
      (_, r) => f(exact.slice(r * length, (r + 1) * length), up.slice(r * length, (r + 1) * length)),
    ).flat();
  const total = (of: number[]): number => of.reduce((a, b) => a + b, 0);
  // One rounding to the dtype, and sums of up to 13,000 numbers in float32.
  const tolerance = dtype === "bfloat16" ? { rtol: 2 ** -8, atol: 1e-5 } : { rtol: 2e-5, atol: 2e-6 };
  const probabilities = (row: number[]): number[] => {
    const sum = total(row.map(Math.exp));
    return row.map((value) => Math.exp(value) / sum);
  };
  const softmax = x.softmax({ dim: 1 });
  assertClose(wide(softmax), perRow(probabilities), tolerance);
  softmax.backward(g);
  const rounded = list(softmax);
  const softmaxGradient = perRow((row, slope) => {
    const p = probabilities(row);
    const dot = total(p.map((value, i) => value * slope[i]));
    return p.map((value, i) => value * (slope[i] - dot));
  });
  // The backward pass starts from probabilities that were rounded.
  const loose = dtype === "bfloat16" ? { rtol: 0.02, atol: 0.01 * Math.max(...rounded) } : tolerance;
  assertClose(wide(x.grad!), softmaxGradient, loose);
  x.grad = null;
  const logs = x.logSoftmax({ dim: 1 });
  assertClose(wide(logs), perRow((row) => probabilities(row).map(Math.log)), { rtol: tolerance.rtol, atol: 2e-5 });
  if (length < 3) return;
  const weight = tensor(noise(length, 5), { dtype: "float32", device }).to({ dtype }).requiresGrad_();
  const bias = tensor(noise(length, 6), { dtype: "float32", device }).to({ dtype }).requiresGrad_();
  const [w, b] = [list(weight), list(bias)];
  const normal = (row: number[]): [number[], number] => {
    const mean = total(row) / length;
    const rstd = 1 / Math.sqrt(total(row.map((value) => (value - mean) ** 2)) / length + 1e-5);
    return [row.map((value) => (value - mean) * rstd), rstd];
  };
  const out = nn.functional.layerNorm(x, [length], { weight, bias });
  const scale = dtype === "bfloat16" ? { rtol: 2 ** -8, atol: 1e-4 } : { rtol: 1e-4, atol: 1e-5 };
  assertClose(wide(out), perRow((row) => normal(row)[0].map((value, i) => value * w[i] + b[i])), scale);
  out.backward(g);
  const inputGradient = perRow((row, slope) => {
    const [n, rstd] = normal(row);
    const h = slope.map((value, i) => value * w[i]);
    const [level, tilt] = [total(h) / length, total(h.map((value, i) => value * n[i])) / length];
    return h.map((value, i) => rstd * (value - level - n[i] * tilt));
  });
  assertClose(wide(x.grad!), inputGradient, { rtol: scale.rtol, atol: 10 * scale.atol });
  const weightGradient = new Array(length).fill(0), biasGradient = new Array(length).fill(0);
  for (let r = 0; r < rows; r++) {
    const [n] = normal(exact.slice(r * length, (r + 1) * length));
    n.forEach((value, i) => {
      weightGradient[i] += value * up[r * length + i];
      biasGradient[i] += up[r * length + i];
    });
  }
  assertClose(wide(weight.grad!), weightGradient, { rtol: scale.rtol, atol: 30 * scale.atol });
  assertClose(wide(bias.grad!), biasGradient, { rtol: scale.rtol, atol: 30 * scale.atol });
}
