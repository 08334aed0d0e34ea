/**
 * What initialisation needs beyond the operations of tensors: the inverse error function and orthonormal vectors, in float64.
 *
 * @module
 */
import { tensor } from "../creation.ts";
import { cat } from "../ops/cat.ts";
import { applyUnary } from "../ops/unary.ts";
import type { Tensor } from "../tensor.ts";

/** A start for {@link inverseErf}, right to 7 digits (Giles, "Approximating the erfinv function", 2012). */
function inverseErfStart(x: number): number {
  let w = -Math.log((1 - x) * (1 + x));
  const tail = w >= 5;
  w = tail ? Math.sqrt(w) - 3 : w - 2.5;
  const coefficients = tail ? TAIL : CENTRE;
  let p = 0;
  for (const c of coefficients) p = p * w + c;
  return p * x;
}

const CENTRE = [
  2.81022636e-08,
  3.43273939e-07,
  -3.5233877e-06,
  -4.39150654e-06,
  0.00021858087,
  -0.00125372503,
  -0.00417768164,
  0.246640727,
  1.50140941,
];
const TAIL = [
  -0.000200214257,
  0.000100950558,
  0.00134934322,
  -0.00367342844,
  0.00573950773,
  -0.0076224613,
  0.00943887047,
  1.00167406,
  2.83297682,
];

/** The numbers whose error function is x, for a tensor of float64; two steps of Newton's method make them exact. */
export function inverseErf(x: Tensor): Tensor {
  const start = Float64Array.from(x.data() as Float64Array, inverseErfStart);
  let y = tensor(start, { shape: x.shape, device: x.device });
  for (let i = 0; i < 2; i++) {
    const slope = y.square().neg().exp().mul(2 / Math.sqrt(Math.PI));
    y = y.sub(applyUnary("erf", y).sub(x).div(slope));
  }
  return y;
}

/** Vectors that are made orthogonal on the host at a time; the rest is matrix products. */
const BLOCK = 32;

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Gram-Schmidt within a block, in place; everything twice, which is enough for orthogonality to rounding. */
function orthonormalizeBlock(vectors: readonly Float64Array[]): void {
  vectors.forEach((v, i) => {
    for (let round = 0; round < 2; round++) {
      for (let j = 0; j < i; j++) {
        const part = dot(v, vectors[j]);
        for (let k = 0; k < v.length; k++) v[k] -= part * vectors[j][k];
      }
    }
    const length = Math.sqrt(dot(v, v));
    for (let k = 0; k < v.length; k++) v[k] /= length;
  });
}

/**
 * The rows of a matrix (few, long) of float64 made orthonormal, one after another: the Q of its QR decomposition with a positive
 * diagonal of R.
 */
export function orthonormalRows(x: Tensor): Tensor {
  const [few, long] = x.shape;
  let done: Tensor | undefined;
  for (let first = 0; first < few; first += BLOCK) {
    let block = x.narrow(0, first, Math.min(BLOCK, few - first)).contiguous();
    for (let round = 0; done !== undefined && round < 2; round++) {
      block = block.sub(block.matmul(done.t()).matmul(done));
    }
    const values = block.data() as Float64Array<ArrayBuffer>;
    orthonormalizeBlock(Array.from({ length: block.shape[0] }, (_, i) => values.subarray(i * long, (i + 1) * long)));
    const made = tensor(values, { shape: block.shape, device: x.device });
    done = done === undefined ? made : cat([done, made]);
  }
  return done ?? x;
}
