/**
 * Variance, deviation and vector norms over dimensions. 16-bit dtypes are computed in float32 and rounded once.
 *
 * @module
 */
import { BINARY, COMPARE, REDUCE, UNARY } from "../../ffi/op_ids.ts";
import { isFloating } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { apply, type Op } from "../core/op.ts";
import { reducedShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { binary, compare, copied, filled, scaled, select, unary } from "./launch.ts";
import { expandView, reshapeView } from "./raw_view.ts";
import { attrsOf, checkNotEmpty, type ReduceAttrs, reduced, type ReduceOptions } from "./reduce.ts";

/** The tensor in the dtype that it is computed in. */
function wide(x: Tensor): Tensor {
  return x.dtype === "bfloat16" || x.dtype === "float16" ? copied(x, "float32", "float32") : x;
}

function rounded(x: Tensor, like: Tensor): Tensor {
  return x.dtype === like.dtype ? x : copied(x, "norm", like.dtype);
}

function keptShape(x: Tensor, { dims }: ReduceAttrs): Shape {
  return reducedShape(x.shape, dims, true);
}

/** A reduced tensor as one that broadcasts over the input. */
function over(x: Tensor, reduction: Tensor, attrs: ReduceAttrs): Tensor {
  return expandView(reshapeView(reduction, keptShape(x, attrs), "grad"), x.shape, "grad");
}

function product(a: Tensor, b: Tensor): Tensor {
  return binary(BINARY.mul, a, b, a.shape, "grad");
}

/** Zero where the divisor is. */
function safeQuotient(a: Tensor, b: Tensor): Tensor {
  const isZero = compare(COMPARE.eq, b, filled(b, [], 0, "grad"), b.shape, "grad");
  return select(isZero, filled(a, [], 0, "grad"), binary(BINARY.div, a, b, a.shape, "grad"), a.shape, "grad");
}

interface VarianceAttrs extends ReduceAttrs {
  readonly isRoot: boolean;
}

function centredAt(x: Tensor, attrs: ReduceAttrs): Tensor {
  const kept = keptShape(x, attrs);
  const count = x.size / sizeOf(kept);
  const mean = reduced(REDUCE.sum, x, attrs.dims, kept, "var", 1 / count);
  return binary(BINARY.sub, x, expandView(mean, x.shape, "var"), x.shape, "var");
}

/**
 * In two passes: the mean, then the squares of the distances from it, less what the rounding of the mean has added to them. `scale`
 * is 1 / (n - correction).
 */
const varianceOp: Op<VarianceAttrs> = {
  name: "var",
  outputShape: ([x], { dims, keepDim }) => reducedShape(x.shape, dims, keepDim),
  forward([x], attrs, shape, node) {
    const centred = centredAt(wide(x), attrs);
    const squares = reduced(REDUCE.sum_squares, centred, attrs.dims, shape, "var", attrs.scale);
    const count = x.size / sizeOf(shape);
    const rest = reduced(REDUCE.sum, centred, attrs.dims, shape, "var", 1 / count);
    const variance = binary(
      BINARY.sub,
      squares,
      scaled(unary(UNARY.square, rest, "var"), count * attrs.scale),
      shape,
      "var",
    );
    const y = rounded(attrs.isRoot ? unary(UNARY.sqrt, variance, "std") : variance, x);
    if (node !== null) {
      if (attrs.isRoot) node.save(x, y);
      else node.save(x);
    }
    return y;
  },
  vjp(node, gradient) {
    const { attrs } = node;
    const [x, y] = node.saved;
    let g = wide(gradient);
    if (attrs.isRoot) g = safeQuotient(scaled(g, 0.5), wide(y));
    const centred = centredAt(wide(x), attrs);
    return [rounded(scaled(product(centred, over(x, g, attrs)), 2 * attrs.scale), x)];
  },
};

/** Options of variance and deviation. */
export interface VarianceOptions extends ReduceOptions {
  /** What is subtracted from the number of elements before the division. Default 1. */
  correction?: number;
  /** `false` is a correction of 0. */
  unbiased?: boolean;
}

/**
 * Variance over dimensions, or its root.
 *
 * @throws {DTypeError} For integers, as PyTorch.
 */
export function variance(x: Tensor, options: VarianceOptions, isRoot: boolean): Tensor {
  const name = isRoot ? "std" : "var";
  if (!isFloating(x.dtype)) {
    throw new DTypeError(`Cannot take the ${name} of ${x.dtype}: convert it with .to({ dtype: "float32" }) first`);
  }
  const attrs = attrsOf(x, options, name);
  const correction = options.correction ?? (options.unbiased === false ? 0 : 1);
  const count = sizeOf(attrs.dims.map((dim) => x.shape[dim]));
  return apply(varianceOp, [x], { ...attrs, scale: 1 / Math.max(0, count - correction), isRoot });
}

interface NormAttrs extends ReduceAttrs {
  readonly p: number;
}

function magnitudes(x: Tensor): Tensor {
  return unary(UNARY.abs, x, "norm");
}

function isNonZero(x: Tensor): Tensor {
  return compare(COMPARE.ne, x, filled(x, [], 0, "norm"), x.shape, "norm");
}

function norm(x: Tensor, { p, dims }: NormAttrs, shape: Shape): Tensor {
  if (p === 2) return unary(UNARY.sqrt, reduced(REDUCE.sum_squares, x, dims, shape, "norm"), "norm");
  if (p === 1) return reduced(REDUCE.sum_abs, x, dims, shape, "norm");
  if (p === Infinity) return reduced(REDUCE.max, magnitudes(x), dims, shape, "norm");
  if (p === -Infinity) return reduced(REDUCE.min, magnitudes(x), dims, shape, "norm");
  if (p === 0) return reduced(REDUCE.sum, copied(isNonZero(x), "norm", x.dtype), dims, shape, "norm");
  const powers = unary(UNARY.pow_scalar, magnitudes(x), "norm", p);
  return unary(UNARY.pow_scalar, reduced(REDUCE.sum, powers, dims, shape, "norm"), "norm", 1 / p);
}

/** PyTorch's norm_backward. */
function normGradient(x: Tensor, y: Tensor, g: Tensor, attrs: NormAttrs): Tensor {
  const { p, dims } = attrs;
  const spread = (each: Tensor): Tensor => over(x, each, attrs);
  const sign = unary(UNARY.sign, x, "grad");
  if (p === 0) return filled(x, x.shape, 0, "grad");
  if (p === 1) return product(sign, spread(g));
  if (p === 2) return product(x, spread(safeQuotient(g, y)));
  if (!Number.isFinite(p)) {
    const isExtreme = copied(compare(COMPARE.eq, magnitudes(x), spread(y), x.shape, "grad"), "grad", x.dtype);
    const count = reduced(REDUCE.sum, isExtreme, dims, g.shape, "grad");
    return product(product(sign, isExtreme), spread(binary(BINARY.div, g, count, g.shape, "grad")));
  }
  const slope = safeQuotient(g, unary(UNARY.pow_scalar, y, "grad", p - 1));
  if (p >= 2) return product(product(x, unary(UNARY.pow_scalar, magnitudes(x), "grad", p - 2)), spread(slope));
  const power = unary(UNARY.pow_scalar, magnitudes(x), "grad", p - 1);
  const finite = p < 1 ? select(isNonZero(x), power, filled(x, [], 0, "grad"), x.shape, "grad") : power;
  return product(product(sign, finite), spread(slope));
}

const normOp: Op<NormAttrs> = {
  name: "norm",
  outputShape([x], attrs) {
    if (attrs.p === Infinity || attrs.p === -Infinity) checkNotEmpty(x, attrs.dims, "norm");
    return reducedShape(x.shape, attrs.dims, attrs.keepDim);
  },
  forward([x], attrs, shape, node) {
    const y = rounded(norm(wide(x), attrs, shape), x);
    node?.save(x, y);
    return y;
  },
  vjp(node, g) {
    const [x, y] = node.saved;
    return [rounded(normGradient(wide(x), wide(y), wide(g), node.attrs), x)];
  },
};

/** Options of {@link vectorNorm}. */
export interface NormOptions extends ReduceOptions {
  /** The exponent: any number, also 0, Infinity and -Infinity. Default 2. */
  p?: number;
}

/**
 * The vector norm over dimensions: (sum |x|^p)^(1/p); for 0 the number of elements that are not 0, for Infinity the largest magnitude.
 *
 * @throws {DTypeError} For integers, as PyTorch.
 */
export function vectorNorm(x: Tensor, { p = 2, ...options }: NormOptions = {}): Tensor {
  if (!isFloating(x.dtype)) {
    throw new DTypeError(`Cannot take the norm of ${x.dtype}: convert it with .to({ dtype: "float32" }) first`);
  }
  return apply(normOp, [x], { ...attrsOf(x, options, "norm"), p });
}
