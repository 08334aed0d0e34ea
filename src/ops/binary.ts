/**
 * Elementwise operations of two tensors, with broadcasting and PyTorch's dtype promotion.
 *
 * @module
 */
import { BINARY, COMPARE, REDUCE, UNARY } from "../../ffi/op_ids.ts";
import { type DType, isFloating, numberType, resultType } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import type { Gradient, Node } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { broadcastShapes } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast, readBytes } from "./copy.ts";
import { binary, compare, filled, scaled, select, unary } from "./launch.ts";
import { reduceInto, sumToShape } from "./reduce.ts";

type GradientRule = (g: Tensor, a: Tensor, b: Tensor, alpha: number) => Tensor;

interface Definition {
  readonly name: string;
  readonly id: number;
  readonly saves: boolean;
  /** Null for integers only. */
  readonly gradients: readonly [GradientRule, GradientRule] | null;
}

/** A binary operation, and what its change in place needs to know. */
export interface BinaryOp extends Op<number> {
  readonly id: number;
  readonly saves: boolean;
}

function define({ name, id, saves, gradients }: Definition): BinaryOp {
  const op: BinaryOp = {
    name,
    id,
    saves,
    outputShape: ([a, b]) => broadcastShapes(a.shape, b.shape, name),
    forward([a, b], alpha, shape, node) {
      if (saves) node?.save(a, b);
      return binary(id, a, b, shape, name, alpha);
    },
  };
  if (gradients === null) return op;
  return {
    ...op,
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

function squares(a: Tensor, b: Tensor, like: Tensor): Tensor {
  const square = (x: Tensor): Tensor => unary(UNARY.square, x, "grad");
  return binary(BINARY.add, square(a), square(b), like.shape, "grad");
}

/** The quotient is a step function. */
function nothing(g: Tensor): Tensor {
  return filled(g, g.shape, 0, "grad");
}

/** The slope of a remainder in its divisor. */
function byQuotient(id: number): GradientRule {
  return (g, a, b) => unary(UNARY.neg, product(g, binary(id, a, b, g.shape, "grad"), g), "grad");
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
      const slope = product(g, product(b, binary(BINARY.pow, a, exponent, g.shape, "grad"), g), g);
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
      return product(g, product(power, select(isZero, zero, logarithm, a.shape, "grad"), g), g);
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
  atan2: define({
    name: "atan2",
    id: BINARY.atan2,
    saves: true,
    gradients: [
      (g, a, b) => quotient(product(g, b, g), squares(a, b, g), g),
      (g, a, b) => unary(UNARY.neg, quotient(product(g, a, g), squares(a, b, g), g), "grad"),
    ],
  }),
  floorDivide: define({ name: "floorDivide", id: BINARY.floor_div, saves: false, gradients: [nothing, nothing] }),
  truncDivide: define({ name: "truncDivide", id: BINARY.trunc_div, saves: false, gradients: [nothing, nothing] }),
  remainder: define({
    name: "remainder",
    id: BINARY.remainder,
    saves: true,
    gradients: [(g) => g, byQuotient(BINARY.floor_div)],
  }),
  fmod: define({ name: "fmod", id: BINARY.fmod, saves: true, gradients: [(g) => g, byQuotient(BINARY.trunc_div)] }),
  bitwiseAnd: define({ name: "bitwiseAnd", id: BINARY.bitwise_and, saves: false, gradients: null }),
  bitwiseOr: define({ name: "bitwiseOr", id: BINARY.bitwise_or, saves: false, gradients: null }),
  bitwiseXor: define({ name: "bitwiseXor", id: BINARY.bitwise_xor, saves: false, gradients: null }),
  bitwiseLeftShift: define({ name: "bitwiseLeftShift", id: BINARY.shift_left, saves: false, gradients: null }),
  bitwiseRightShift: define({ name: "bitwiseRightShift", id: BINARY.shift_right, saves: false, gradients: null }),
} satisfies Record<string, BinaryOp>;

/** Name of a binary operation. */
export type BinaryName = keyof typeof binaryOps;

/** Operations whose result of integers is floating. */
const FRACTIONAL: ReadonlySet<BinaryName> = new Set(["div", "atan2"] as const);
const BITWISE: ReadonlySet<BinaryName> = new Set(
  ["bitwiseAnd", "bitwiseOr", "bitwiseXor", "bitwiseLeftShift", "bitwiseRightShift"] as const,
);
/** Divisions that stay in the integers. */
const DIVIDING: ReadonlySet<BinaryName> = new Set(["floorDivide", "truncDivide", "remainder", "fmod"] as const);
const NOT_OF_BOOL: ReadonlySet<BinaryName> = new Set(
  [...DIVIDING, "pow", "bitwiseLeftShift", "bitwiseRightShift"] as const,
);

/** The dtype that both operands are converted to. */
function operandType(name: BinaryName, a: Tensor, b: Tensor): DType {
  if (a.dtype === b.dtype && isFloating(a.dtype) && !BITWISE.has(name)) return a.dtype;
  const dtype = resultType(a.dtype, a.shape.length, b.dtype, b.shape.length);
  if (name === "sub" && (a.dtype === "bool" || b.dtype === "bool")) {
    throw new DTypeError(
      `Cannot subtract ${b.dtype} from ${a.dtype}: use ne() or logicalXor(), or convert with .to({ dtype })`,
    );
  }
  if (isFloating(dtype)) {
    if (BITWISE.has(name)) throw new DTypeError(`Cannot compute ${name} of ${dtype}: it is for integers and bool`);
    return dtype;
  }
  if (dtype === "bool" && NOT_OF_BOOL.has(name)) {
    throw new DTypeError(`Cannot compute ${name} of two bool tensors: convert one with .to({ dtype })`);
  }
  return FRACTIONAL.has(name) ? "float32" : dtype;
}

/**
 * Applies a binary operation after promoting both operands; division of integers gives float32.
 *
 * @throws {ShapeError} When the shapes do not broadcast.
 * @throws {DTypeError} When PyTorch refuses the dtypes.
 * @throws {RangeError} When integers are divided by zero.
 */
export function applyBinary(name: BinaryName, a: Tensor, b: Tensor, alpha = 1): Tensor {
  const dtype = operandType(name, a, b);
  const [left, right] = [cast(a, dtype), cast(b, dtype)];
  if (DIVIDING.has(name) && !isFloating(dtype) && hasZero(right)) {
    throw new RangeError(`Cannot compute ${name} of ${dtype}: the divisor holds a zero`);
  }
  return apply(binaryOps[name], [left, right], alpha);
}

/** Applies a binary operation to a tensor and a number. */
export function applyBinaryNumber(name: BinaryName, a: Tensor, b: number): Tensor {
  const dtype = numberType(a.dtype, b);
  return applyBinary(name, cast(a, dtype), filled(a, [], b, name, dtype));
}

function hasZero(x: Tensor): boolean {
  const zeros = compare(COMPARE.eq, x, filled(x, [], 0, "divide"), x.shape, "divide");
  const dims = x.shape.map((_, dim) => dim);
  const any = reduceInto(empty(x.storage.device, [], "bool", "divide"), REDUCE.any, zeros, dims);
  return new Uint8Array(readBytes(any))[0] !== 0;
}

/** Name of a comparison. */
export type CompareName = keyof typeof COMPARE;

const compareOps = Object.fromEntries(
  Object.entries(COMPARE).map(([name, id]) => {
    const words = name.replace("_a", "A").replace("_o", "O").replace("_x", "X");
    const op: Op<null> = {
      name: words,
      outputShape: ([a, b]) => broadcastShapes(a.shape, b.shape, words),
      forward: ([a, b], _attrs, shape) => compare(id, a, b, shape, words),
    };
    return [name, op];
  }),
) as Record<CompareName, Op<null>>;

/** Compares elementwise, or combines truth values; the result is bool and has no gradient. */
export function applyCompare(name: CompareName, a: Tensor, b: Tensor): Tensor {
  const dtype = resultType(a.dtype, a.shape.length, b.dtype, b.shape.length);
  return apply(compareOps[name], [cast(a, dtype), cast(b, dtype)], null);
}

/** Compares with a number, which an integer dtype wraps around, as in PyTorch. */
export function applyCompareNumber(name: CompareName, a: Tensor, b: number): Tensor {
  const dtype = numberType(a.dtype, b);
  return apply(compareOps[name], [cast(a, dtype), filled(a, [], b, name, dtype)], null);
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
    const zero = filled(g, [], 0, "grad");
    return [
      null,
      node.needs(1) ? sumToShape(select(condition, g, zero, g.shape, "grad"), node.inputShapes[1]) : null,
      node.needs(2) ? sumToShape(select(condition, zero, g, g.shape, "grad"), node.inputShapes[2]) : null,
    ];
  },
};

/**
 * Elements of `a` where the condition holds, of `b` elsewhere; all three are broadcast, and `a` and `b` promoted.
 *
 * @param condition bool.
 * @throws {DTypeError} When the condition is not bool.
 * @throws {ShapeError} When the shapes do not broadcast.
 */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  if (condition.dtype !== "bool" && condition.dtype !== "uint8") {
    throw new DTypeError(`Cannot choose by a condition of ${condition.dtype}: it must be bool. Compare first`);
  }
  let dtype: DType;
  if (typeof a === "number") {
    dtype = typeof b === "number" ? numberType(numberType("bool", a), b) : numberType(b.dtype, a);
  } else {
    dtype = typeof b === "number"
      ? numberType(a.dtype, b)
      : resultType(a.dtype, a.shape.length, b.dtype, b.shape.length);
  }
  const operand = (x: Tensor | number): Tensor =>
    typeof x === "number" ? filled(condition, [], x, "where", dtype) : cast(x, dtype);
  return apply(whereOp, [cast(condition, "bool"), operand(a), operand(b)], null);
}
