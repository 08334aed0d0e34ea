/**
 * Products of vectors and matrices of fixed numbers of dimensions, made of matmul.
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { matmul } from "./matmul.ts";

function checkDims(name: string, wanted: number, a: Tensor, b: Tensor): void {
  if (a.shape.length === wanted && b.shape.length === wanted) return;
  throw new ShapeError(
    `Cannot multiply ${formatShape(a.shape)} by ${formatShape(b.shape)} with ${name}(): both must have ${wanted} ` +
      `dimension${wanted === 1 ? "" : "s"}. Use matmul()`,
  );
}

/** Inner product of two vectors: a tensor without dimensions. */
export function dot(a: Tensor, b: Tensor): Tensor {
  checkDims("dot", 1, a, b);
  return matmul(a, b);
}

/** Product of two matrices, without broadcasting. */
export function mm(a: Tensor, b: Tensor): Tensor {
  checkDims("mm", 2, a, b);
  return matmul(a, b);
}

/** Products of two batches of matrices (b, n, m) and (b, m, p), without broadcasting. */
export function bmm(a: Tensor, b: Tensor): Tensor {
  checkDims("bmm", 3, a, b);
  if (a.shape[0] !== b.shape[0]) {
    throw new ShapeError(
      `Cannot multiply ${formatShape(a.shape)} by ${formatShape(b.shape)} with bmm(): the batches must be equal, got ` +
        `${a.shape[0]} and ${b.shape[0]}. Use matmul()`,
    );
  }
  return matmul(a, b);
}

/** Outer product (n, m) of vectors (n) and (m). */
export function outer(a: Tensor, b: Tensor): Tensor {
  checkDims("outer", 1, a, b);
  return a.unsqueeze(1).mul(b.unsqueeze(0));
}

/** `beta * x + alpha * (a @ b)` of matrices; `x` is broadcast. */
export function addmm(
  x: Tensor,
  a: Tensor,
  b: Tensor,
  { beta = 1, alpha = 1 }: { beta?: number; alpha?: number } = {},
): Tensor {
  const product = mm(a, b);
  // What beta = 0 leaves out may hold anything.
  if (beta === 0) return alpha === 1 ? product : product.mul(alpha);
  return (beta === 1 ? x : x.mul(beta)).add(product, { alpha });
}
