import { assertEquals, assertThrows } from "@std/assert";
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { device as deviceOf, type DeviceName, type DType, DTypeError, type Tensor, tensor } from "../../mod.ts";
import { dtypeId } from "../../src/core/dtype.ts";
import { assertClose } from "../_support/close.ts";
import { testDevices } from "../_support/devices.ts";

const FLOATING = ["float32", "float64", "bfloat16", "float16"] as const;
type Floating = (typeof FLOATING)[number];

/** The distance from 1 to the next number. */
const EPSILON: Record<Floating, number> = {
  float32: 2 ** -23,
  float64: 2 ** -52,
  bfloat16: 2 ** -7,
  float16: 2 ** -10,
};

/** Repeatable numbers in [-1, 1] that every floating dtype holds exactly. */
function numbers(count: number, seed: number): Float64Array {
  const out = new Float64Array(count);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = ((state >>> 24) - 128) / 128;
  }
  return out;
}

function make(values: ArrayLike<number>, dtype: DType, device: DeviceName): Tensor {
  return tensor(Float64Array.from(values), { device }).to({ dtype });
}

function valuesOf(x: Tensor): number[] {
  return Array.from(x.to({ dtype: "float64" }).data(), Number);
}

/** One call of ax_matmul, with leading dimensions and batch strides larger than they need be by `gap`. */
interface Product {
  dtype: Floating;
  batch?: number;
  m: number;
  n: number;
  k: number;
  transposeA?: boolean;
  transposeB?: boolean;
  gap?: number;
  shareA?: boolean;
  shareB?: boolean;
  alpha?: number;
  beta?: number;
  epilogue?: number;
  bias?: boolean;
  aux?: "none" | "separate" | "out";
}

const SQRT_2 = Math.SQRT2;

/** erf to double precision: its Maclaurin series, whose terms stay small for the arguments here. */
function erf(x: number): number {
  let sum = 0;
  let term = x;
  for (let n = 0; n < 200; n++) {
    sum += term / (2 * n + 1);
    term *= -x * x / (n + 1);
  }
  return Math.abs(x) > 5 ? Math.sign(x) : 2 / Math.sqrt(Math.PI) * sum;
}
const density = (x: number) => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
const inner = (x: number) => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);

const geluTanhSlope = (x: number) => {
  const t = Math.tanh(inner(x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
};

/** What each epilogue makes of the product plus bias, and of aux. */
const EPILOGUES: Record<number, (x: number, aux: number) => number> = {
  [AX.EPILOGUE_NONE]: (x) => x,
  [AX.EPILOGUE_BIAS]: (x) => x,
  [AX.EPILOGUE_BIAS_RELU]: (x) => Math.max(x, 0),
  [AX.EPILOGUE_BIAS_GELU]: (x) => 0.5 * x * (1 + erf(x / SQRT_2)),
  [AX.EPILOGUE_BIAS_GELU_TANH]: (x) => 0.5 * x * (1 + Math.tanh(inner(x))),
  [AX.EPILOGUE_BIAS_RESIDUAL]: (x, aux) => x + aux,
  [AX.EPILOGUE_RELU_GRAD]: (x, aux) => aux > 0 ? x : 0,
  [AX.EPILOGUE_GELU_GRAD]: (x, aux) => x * (0.5 * (1 + erf(aux / SQRT_2)) + aux * density(aux)),
  [AX.EPILOGUE_GELU_TANH_GRAD]: (x, aux) => x * geluTanhSlope(aux),
};

/** Runs the product, and compares out and aux, gaps included, with the same computed in double precision. */
function verify(device: DeviceName, p: Product): void {
  const { dtype, m, n, k, batch = 1, transposeA = false, transposeB = false, gap = 0, alpha = 1, beta = 0 } = p;
  const { shareA = false, shareB = false, epilogue = AX.EPILOGUE_NONE, bias = false, aux = "none" } = p;
  const lda = (transposeA ? m : k) + gap;
  const ldb = (transposeB ? k : n) + gap;
  const ldc = n + gap;
  const strideA = shareA ? 0 : lda * (transposeA ? k : m) + gap;
  const strideB = shareB ? 0 : ldb * (transposeB ? n : k) + gap;
  const strideOut = ldc * m + gap;
  const a = numbers(lda * (transposeA ? k : m) * batch + gap * batch + 1, 1);
  const b = numbers(ldb * (transposeB ? n : k) * batch + gap * batch + 1, 2);
  const before = numbers(strideOut * batch + 1, 3);
  if (beta === 0 && aux !== "out") before.fill(NaN); // which must not be read
  const auxBefore = aux === "out" ? before : numbers(strideOut * batch + 1, 4);
  const biases = numbers(n + 1, 5);
  const tensors = [a, b, before, biases].map((values) => make(values, dtype, device));
  const [left, right, out, offsets] = tensors;
  const other = aux === "separate" ? make(auxBefore, dtype, device) : aux === "out" ? out : null;

  const library = deviceOf(device).library;
  check(
    library.ax_matmul(
      dtypeId(dtype),
      out.storage.id,
      1,
      left.storage.id,
      1,
      right.storage.id,
      1,
      bias ? offsets.storage.id : 0,
      bias ? 1 : 0,
      other === null ? 0 : other.storage.id,
      other === null ? 0 : 1,
      Int32Array.of(
        ...[batch, m, n, k, Number(transposeA), Number(transposeB)],
        ...[lda, ldb, ldc, strideA, strideB, strideOut, 0],
      ),
      epilogue,
      alpha,
      beta,
    ),
    "ax_matmul",
    library,
  );

  const expected = Array.from(before);
  const expectedAux = Array.from(auxBefore);
  const writesAux = epilogue === AX.EPILOGUE_BIAS_GELU || epilogue === AX.EPILOGUE_BIAS_GELU_TANH;
  for (let i = 0; i < batch * m * n; i++) {
    const [item, row, col] = [Math.floor(i / (m * n)), Math.floor(i / n) % m, i % n];
    let sum = 0;
    for (let q = 0; q < k; q++) {
      const x = a[1 + item * strideA + (transposeA ? q * lda + row : row * lda + q)];
      sum += x * b[1 + item * strideB + (transposeB ? col * ldb + q : q * ldb + col)];
    }
    const at = 1 + item * strideOut + row * ldc + col;
    const value = alpha * sum + (beta === 0 ? 0 : beta * before[at]) + (bias ? biases[1 + col] : 0);
    if (writesAux) expectedAux[at] = value;
    expected[at] = EPILOGUES[epilogue](value, auxBefore[at]);
  }
  // The float32 sums err by less than k units of the largest term, 1; the result is rounded once more.
  const sumEpsilon = dtype === "float64" ? EPSILON.float64 : EPSILON.float32;
  const tolerance = { atol: 4 * sumEpsilon * Math.max(k, 8), rtol: EPSILON[dtype] };
  assertClose(out.to({ dtype: "float64" }), expected, tolerance);
  if (writesAux && other !== null) assertClose(other.to({ dtype: "float64" }), expectedAux, tolerance);
  for (const x of tensors) x.dispose();
}

const LAYOUTS = [[false, false], [false, true], [true, false], [true, true]] as const;
const NAMES = ["NN", "NT", "TN", "TT"];

for (const device of testDevices(import.meta.url)) {
  for (const dtype of FLOATING) {
    Deno.test(`matrix products of ${dtype} have the values of double precision (${device})`, async (t) => {
      for (const [index, [transposeA, transposeB]] of LAYOUTS.entries()) {
        await t.step(NAMES[index], () => {
          const sizes = [1, 2, 3, 4, 5, 7, 12, 13, 16, 17, 31, 32, 33, 48, 65];
          sizes.forEach((m, i) => {
            sizes.forEach((n, j) => {
              const k = sizes[(3 * i + 5 * j) % sizes.length];
              verify(device, { dtype, m, n, k, transposeA, transposeB, gap: (i + j) % 3 });
            });
          });
          // More than one block of each size.
          verify(device, { dtype, m: 13, n: 1043, k: 37, transposeA, transposeB });
          verify(device, { dtype, m: 29, n: 37, k: 1061, transposeA, transposeB, gap: 1 });
          verify(device, { dtype, m: 1063, n: 19, k: 31, transposeA, transposeB });
          verify(device, { dtype, m: 131, n: 137, k: 139, transposeA, transposeB });
          verify(device, { dtype, m: 1031, n: 5, k: 530, transposeA, transposeB });
        });
      }
    });

    Deno.test(`alpha, beta and batches of ${dtype} products (${device})`, () => {
      for (const [transposeA, transposeB] of LAYOUTS) {
        for (const k of [0, 1, 40, 600]) {
          for (const [alpha, beta] of [[1, 1], [0.5, 0], [-2, 0.5], [0, 1]]) {
            verify(device, { dtype, m: 14, n: 35, k, alpha, beta, transposeA, transposeB, gap: 1 });
            verify(device, { dtype, m: 14, n: 3, k, alpha, beta, transposeA, transposeB, gap: 1 });
          }
        }
        for (const batch of [2, 3, 7]) {
          for (const [shareA, shareB] of [[false, false], [true, false], [false, true], [true, true]]) {
            verify(device, { dtype, batch, m: 9, n: 34, k: 21, shareA, shareB, transposeA, transposeB, gap: 2 });
            verify(device, { dtype, batch, m: 9, n: 34, k: 21, shareA, shareB, transposeA, transposeB, beta: 1 });
          }
        }
        verify(device, { dtype, batch: 2, m: 70, n: 65, k: 64, transposeA, transposeB });
      }
    });

    Deno.test(`epilogues of ${dtype} products (${device})`, () => {
      for (const epilogue of Object.keys(EPILOGUES).map(Number)) {
        const reads = epilogue >= AX.EPILOGUE_BIAS_RESIDUAL;
        for (const k of [0, 21, 700]) {
          for (const aux of (reads ? ["separate", "out"] : ["none", "separate"]) as ("none" | "separate" | "out")[]) {
            for (const [m, n] of [[13, 37], [3, 2]]) {
              // Small sums keep the arguments of the GELU where it is curved.
              const p = { dtype, m, n, k, alpha: 1 / 16, epilogue, aux, gap: 1 };
              verify(device, p);
              if (epilogue !== AX.EPILOGUE_NONE) verify(device, { ...p, bias: true });
              if (epilogue !== AX.EPILOGUE_NONE) verify(device, { ...p, bias: true, batch: 2, transposeB: true });
            }
          }
        }
      }
    });
  }

  Deno.test(`NaN and infinity come through matrix products (${device})`, () => {
    for (const dtype of FLOATING) {
      for (const [m, n, k] of [[1, 1, 1], [5, 3, 4], [20, 40, 30], [70, 70, 70]]) {
        const a = numbers(m * k, 1);
        const b = numbers(k * n, 2);
        a[0] = NaN;
        b[n - 1] = Infinity;
        const product = make(a, dtype, device).reshape([m, k]).matmul(make(b, dtype, device).reshape([k, n]));
        const values = valuesOf(product);
        for (let col = 0; col < n; col++) assertEquals(values[col], NaN);
        for (let row = 1; row < m; row++) {
          const first = a[row * k];
          const want = first === 0 ? NaN : Math.sign(first) * Infinity;
          assertEquals(values[row * n + n - 1], want);
        }
        assertEquals(values.filter(Number.isNaN).length >= n, true);
      }
    }
  });
}

Deno.test("a product of two dtypes is an error, as in PyTorch", () => {
  const [a, b] = [tensor([1, 2]), tensor([3, 4], { dtype: "bfloat16" })];
  assertThrows(() => a.matmul(b), DTypeError, 'Convert one with .to({ dtype: "float32" })');
  assertThrows(() => b.matmul(a), DTypeError, "Cannot multiply bfloat16 by float32: matrices must have one dtype");
});
