/**
 * Elementwise operations of two tensors, with broadcasting and PyTorch's dtype promotion.
 *
 * @module
 */
import { BINARY, COMPARE, UNARY } from "../../ffi/op_ids.ts";
import { isFloating, promote } from "../core/dtype.ts";
import type { Gradient, Node } from "../core/node.ts";
import { apply, type Op } from "../core/op.ts";
import { broadcastShapes } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { binary, compare, scaled, select, unary } from "./launch.ts";
import { sumToShape } from "./reduce.ts";

type GradientRule = (g: Tensor, a: Tensor, b: Tensor, alpha: number) => Tensor;

interface Definition {
  readonly name: string;
  readonly id: number;
  readonly saves: boolean;
  readonly gradients: readonly [GradientRule, GradientRule];
}

/** A binary operation, and what its change in place needs to know. */
export interface BinaryOp extends Op<number> {
  readonly id: number;
  readonly saves: boolean;
}

function define({ name, id, saves, gradients }: Definition): BinaryOp {
  return {
    name,
    id,
    saves,
    outputShape: ([a, b]) => broadcastShapes(a.shape, b.shape, name),
    forward([a, b], alpha, shape, node) {
      if (saves) node?.save(a, b);
      return binary(id, a, b, shape, name, alpha);
    },
    vjp(node: Node<number>, g: Tensor): Gradient[] {
      const [a, b] = saves ? node.saved : [g, g];
      return [0, 1].map((i) =>
        node.needs(i) ? sumToShape(gradients[i](g, a, b, node.attrs), node.inputShapes[i]) : null
      );
    },
  };
}

function product(a: Tensor, b: Tensor, like: Tensor): Tensor {
  return binary(BINARY.mul, a, b, like.shape, "grad");
}

function quotient(a: Tensor, b: Tensor, like: Tensor): Tensor {
  return binary(BINARY.div, a, b, like.shape, "grad");
}

/** The gradient unless the comparison says that the operand lost, half of it where both are equal; all of it beside a NaN. */
function winner(loses: number): GradientRule {
  return (g, a, b) => {
    const lost = compare(loses, a, b, g.shape, "grad");
    const tied = compare(COMPARE.eq, a, b, g.shape, "grad");
    return select(lost, scaled(g, 0), select(tied, scaled(g, 0.5), g, g.shape, "grad"), g.shape, "grad");
  };
}

const powOp = define({
  name: "pow",
  id: BINARY.pow,
  saves: true,
  gradients: [
    (g, a, b) => {
      const exponent = unary(UNARY.add_scalar, b, "grad", -1);
      const slope = product(product(g, b, g), binary(BINARY.pow, a, exponent, g.shape, "grad"), g);
      // The slope of x^0 is 0, not 0 * inf, where x = 0.
      const zero = scaled(unary(UNARY.sign, b, "grad"), 0);
      return select(compare(COMPARE.eq, b, zero, b.shape, "grad"), zero, slope, g.shape, "grad");
    },
    (g, a, b) => {
      const power = binary(BINARY.pow, a, b, g.shape, "grad");
      // x^y ln x is 0, not 0 * -inf, where x = 0.
      const logarithm = unary(UNARY.log, a, "grad");
      const zero = scaled(unary(UNARY.sign, a, "grad"), 0);
      const isZero = compare(COMPARE.eq, a, zero, a.shape, "grad");
      return product(product(g, power, g), select(isZero, zero, logarithm, a.shape, "grad"), g);
    },
  ],
});

/** All binary operations by name. */
export const binaryOps = {
  add: define({
    name: "add",
    id: BINARY.add,
    saves: false,
    gradients: [(g) => g, (g, _a, _b, alpha) => alpha === 1 ? g : scaled(g, alpha)],
  }),
  sub: define({
    name: "sub",
    id: BINARY.sub,
    saves: false,
    gradients: [(g) => g, (g, _a, _b, alpha) => scaled(g, -alpha)],
  }),
  mul: define({
    name: "mul",
    id: BINARY.mul,
    saves: true,
    gradients: [(g, _a, b) => product(g, b, g), (g, a) => product(g, a, g)],
  }),
  div: define({
    name: "div",
    id: BINARY.div,
    saves: true,
    gradients: [
      (g, _a, b) => quotient(g, b, g),
      (g, a, b) => unary(UNARY.neg, quotient(quotient(product(g, a, g), b, g), b, g), "grad"),
    ],
  }),
  pow: powOp,
  maximum: define({
    name: "maximum",
    id: BINARY.maximum,
    saves: true,
    gradients: [winner(COMPARE.lt), winner(COMPARE.gt)],
  }),
  minimum: define({
    name: "minimum",
    id: BINARY.minimum,
    saves: true,
    gradients: [winner(COMPARE.gt), winner(COMPARE.lt)],
  }),
} satisfies Record<string, BinaryOp>;

/** Name of a binary operation. */
export type BinaryName = keyof typeof binaryOps;

const FRACTIONAL: ReadonlySet<BinaryName> = new Set(["div", "pow"]);

/**
 * Applies a binary operation after promoting both operands; division of integers gives float32.
 *
 * @throws {ShapeError} When the shapes do not broadcast.
 */
export function applyBinary(name: BinaryName, a: Tensor, b: Tensor, alpha = 1): Tensor {
  let dtype = a.dtype;
  if (a.dtype !== b.dtype) {
    // A tensor without dimensions does not widen one of the same kind, as in PyTorch.
    const aWins = b.shape.length === 0 && a.shape.length > 0 && isFloating(a.dtype) === isFloating(b.dtype);
    const bWins = a.shape.length === 0 && b.shape.length > 0 && isFloating(a.dtype) === isFloating(b.dtype);
    dtype = aWins ? a.dtype : bWins ? b.dtype : promote(a.dtype, b.dtype);
  }
  if (!isFloating(dtype) && FRACTIONAL.has(name)) dtype = "float32";
  else if (dtype === "bool") dtype = "int64";
  return apply(binaryOps[name], [cast(a, dtype), cast(b, dtype)], alpha);
}

const compareOps = Object.fromEntries(
  Object.entries(COMPARE).map(([name, id]) => {
    const op: Op<null> = {
      name,
      outputShape: ([a, b]) => broadcastShapes(a.shape, b.shape, name),
      forward: ([a, b], _attrs, shape) => compare(id, a, b, shape, name),
    };
    return [name, op];
  }),
) as Record<keyof typeof COMPARE, Op<null>>;

/** Compares elementwise; the result is bool and has no gradient. */
export function applyCompare(name: keyof typeof COMPARE, a: Tensor, b: Tensor): Tensor {
  const dtype = promote(a.dtype, b.dtype);
  return apply(compareOps[name], [cast(a, dtype), cast(b, dtype)], null);
}

const whereOp: Op<null> = {
  name: "where",
  outputShape: ([condition, a, b]) =>
    broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, "where"), "where"),
  forward([condition, a, b], _attrs, shape, node) {
    node?.save(condition);
    return select(condition, a, b, shape, "where");
  },
  vjp(node, g) {
    const [condition] = node.saved;
    const zero = scaled(g, 0);
    return [
      null,
      node.needs(1) ? sumToShape(select(condition, g, zero, g.shape, "grad"), node.inputShapes[1]) : null,
      node.needs(2) ? sumToShape(select(condition, zero, g, g.shape, "grad"), node.inputShapes[2]) : null,
    ];
  },
};

/** Elements of `a` where the condition holds, of `b` elsewhere. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  const dtype = promote(a.dtype, b.dtype);
  return apply(whereOp, [cast(condition, "bool"), cast(a, dtype), cast(b, dtype)], null);
}
