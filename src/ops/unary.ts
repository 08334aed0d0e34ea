/**
 * Elementwise operations of one tensor.
 *
 * @module
 */
import { BINARY, UNARY } from "../../ffi/op_ids.ts";
import { type DType, isFloating } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import type { Node } from "../core/node.ts";
import { apply, type Op } from "../core/op.ts";
import type { Tensor } from "../tensor.ts";
import { cast, clone } from "./copy.ts";
import { binary, scaled, unary } from "./launch.ts";

/** The numbers that parameterise an operation: see its line in common/math.h. */
export interface UnaryAttrs {
  readonly alpha: number;
  readonly beta: number;
}

type UnaryGradient = (gradient: Tensor, saved: Tensor, attrs: UnaryAttrs) => Tensor;

interface Definition {
  readonly name: string;
  readonly id: number;
  /** What the derivative needs: the input, the output, or neither. */
  readonly saves?: "input" | "output" | undefined;
  readonly gradient: UnaryGradient | null;
}

/** A unary operation, and what its change in place needs to know. */
export interface UnaryOp extends Op<UnaryAttrs> {
  readonly id: number;
  readonly saves: Definition["saves"];
}

function define({ name, id, saves, gradient }: Definition): UnaryOp {
  const op: UnaryOp = {
    name,
    id,
    saves,
    outputShape: ([x]) => x.shape,
    forward([x], attrs, _shape, node) {
      const output = unary(id, x, name, attrs.alpha, attrs.beta);
      if (node !== null && saves !== undefined) node.save(saves === "input" ? x : output);
      return output;
    },
  };
  if (gradient === null) return op;
  return {
    ...op,
    vjp: (node: Node<UnaryAttrs>, g: Tensor) => [gradient(g, node.saved[0] ?? g, node.attrs)],
  };
}

/** A derivative that is one binary operation of the gradient and what was saved. */
function byBinary(id: number): UnaryGradient {
  return (g, saved, { alpha, beta }) => binary(id, g, saved, g.shape, "grad", alpha, beta);
}

function times(g: Tensor, factor: Tensor): Tensor {
  return binary(BINARY.mul, g, factor, g.shape, "grad");
}

function over(g: Tensor, divisor: Tensor): Tensor {
  return binary(BINARY.div, g, divisor, g.shape, "grad");
}

function plus(x: Tensor, value: number): Tensor {
  return unary(UNARY.add_scalar, x, "grad", value);
}

function oneMinusSquare(x: Tensor): Tensor {
  return unary(UNARY.rsub_scalar, unary(UNARY.square, x, "grad"), "grad", 1);
}

/** All unary operations by name. */
export const unaryOps = {
  neg: define({ name: "neg", id: UNARY.neg, gradient: (g) => unary(UNARY.neg, g, "grad") }),
  abs: define({ name: "abs", id: UNARY.abs, saves: "input", gradient: byBinary(BINARY.abs_grad) }),
  sign: define({ name: "sign", id: UNARY.sign, gradient: (g) => scaled(g, 0) }),
  square: define({
    name: "square",
    id: UNARY.square,

    saves: "input",
    gradient: (g, x) => scaled(times(g, x), 2),
  }),
  addScalar: define({ name: "add", id: UNARY.add_scalar, gradient: (g) => g }),
  mulScalar: define({
    name: "mul",
    id: UNARY.mul_scalar,

    gradient: (g, _, { alpha }) => scaled(g, alpha),
  }),
  rsubScalar: define({
    name: "rsub",
    id: UNARY.rsub_scalar,

    gradient: (g) => unary(UNARY.neg, g, "grad"),
  }),
  clamp: define({ name: "clamp", id: UNARY.clamp, saves: "input", gradient: byBinary(BINARY.clamp_grad) }),
  relu: define({ name: "relu", id: UNARY.relu, saves: "output", gradient: byBinary(BINARY.relu_grad) }),
  reciprocal: define({
    name: "reciprocal",
    id: UNARY.reciprocal,
    saves: "output",
    gradient: (g, y) => unary(UNARY.neg, times(g, unary(UNARY.square, y, "grad")), "grad"),
  }),
  exp: define({ name: "exp", id: UNARY.exp, saves: "output", gradient: times }),
  expm1: define({
    name: "expm1",
    id: UNARY.expm1,
    saves: "output",
    gradient: (g, y) => times(g, unary(UNARY.add_scalar, y, "grad", 1)),
  }),
  log: define({ name: "log", id: UNARY.log, saves: "input", gradient: over }),
  log1p: define({
    name: "log1p",
    id: UNARY.log1p,
    saves: "input",
    gradient: (g, x) => over(g, unary(UNARY.add_scalar, x, "grad", 1)),
  }),
  sqrt: define({ name: "sqrt", id: UNARY.sqrt, saves: "output", gradient: byBinary(BINARY.sqrt_grad) }),
  rsqrt: define({
    name: "rsqrt",
    id: UNARY.rsqrt,
    saves: "output",
    gradient: (g, y) => scaled(times(times(g, y), unary(UNARY.square, y, "grad")), -0.5),
  }),
  sin: define({
    name: "sin",
    id: UNARY.sin,
    saves: "input",
    gradient: (g, x) => times(g, unary(UNARY.cos, x, "grad")),
  }),
  cos: define({
    name: "cos",
    id: UNARY.cos,
    saves: "input",
    gradient: (g, x) => unary(UNARY.neg, times(g, unary(UNARY.sin, x, "grad")), "grad"),
  }),
  tanh: define({ name: "tanh", id: UNARY.tanh, saves: "output", gradient: byBinary(BINARY.tanh_grad) }),
  sigmoid: define({ name: "sigmoid", id: UNARY.sigmoid, saves: "output", gradient: byBinary(BINARY.sigmoid_grad) }),
  gelu: define({ name: "gelu", id: UNARY.gelu, saves: "input", gradient: byBinary(BINARY.gelu_grad) }),
  geluTanh: define({
    name: "gelu (tanh)",
    id: UNARY.gelu_tanh,
    saves: "input",
    gradient: byBinary(BINARY.gelu_tanh_grad),
  }),
  silu: define({ name: "silu", id: UNARY.silu, saves: "input", gradient: byBinary(BINARY.silu_grad) }),
  erf: define({
    name: "erf",
    id: UNARY.erf,
    saves: "input",
    gradient: (g, x) => {
      const exponent = unary(UNARY.neg, unary(UNARY.square, x, "grad"), "grad");
      return scaled(times(g, unary(UNARY.exp, exponent, "grad")), 2 / Math.sqrt(Math.PI));
    },
  }),
  floor: define({ name: "floor", id: UNARY.floor, gradient: (g) => scaled(g, 0) }),
  ceil: define({ name: "ceil", id: UNARY.ceil, gradient: (g) => scaled(g, 0) }),
  round: define({ name: "round", id: UNARY.round, gradient: (g) => scaled(g, 0) }),
  divScalar: define({
    name: "div",
    id: UNARY.div_scalar,
    gradient: (g, _, { alpha }) => unary(UNARY.div_scalar, g, "grad", alpha),
  }),
  rdivScalar: define({
    name: "rdiv",
    id: UNARY.rdiv_scalar,
    saves: "input",
    gradient: (g, x, { alpha }) => scaled(over(over(g, x), x), -alpha),
  }),
  powScalar: define({
    name: "pow",
    id: UNARY.pow_scalar,
    saves: "input",
    gradient: byBinary(BINARY.pow_scalar_grad),
  }),
  exp2: define({
    name: "exp2",
    id: UNARY.exp2,
    saves: "output",
    gradient: (g, y) => scaled(times(g, y), Math.LN2),
  }),
  log2: define({
    name: "log2",
    id: UNARY.log2,
    saves: "input",
    gradient: (g, x) => over(g, scaled(x, Math.LN2)),
  }),
  log10: define({
    name: "log10",
    id: UNARY.log10,
    saves: "input",
    gradient: (g, x) => over(g, scaled(x, Math.LN10)),
  }),
  tan: define({
    name: "tan",
    id: UNARY.tan,
    saves: "output",
    gradient: (g, y) => times(g, plus(unary(UNARY.square, y, "grad"), 1)),
  }),
  asin: define({
    name: "asin",
    id: UNARY.asin,
    saves: "input",
    gradient: (g, x) => times(g, unary(UNARY.rsqrt, oneMinusSquare(x), "grad")),
  }),
  acos: define({
    name: "acos",
    id: UNARY.acos,
    saves: "input",
    gradient: (g, x) => unary(UNARY.neg, times(g, unary(UNARY.rsqrt, oneMinusSquare(x), "grad")), "grad"),
  }),
  atan: define({
    name: "atan",
    id: UNARY.atan,
    saves: "input",
    gradient: (g, x) => over(g, plus(unary(UNARY.square, x, "grad"), 1)),
  }),
  sinh: define({
    name: "sinh",
    id: UNARY.sinh,
    saves: "input",
    gradient: (g, x) => times(g, unary(UNARY.cosh, x, "grad")),
  }),
  cosh: define({
    name: "cosh",
    id: UNARY.cosh,
    saves: "input",
    gradient: (g, x) => times(g, unary(UNARY.sinh, x, "grad")),
  }),
  trunc: define({ name: "trunc", id: UNARY.trunc, gradient: (g) => scaled(g, 0) }),
  bitwiseNot: define({ name: "bitwiseNot", id: UNARY.bitwise_not, gradient: null }),
} satisfies Record<string, UnaryOp>;

/** Name of a unary operation. */
export type UnaryName = keyof typeof unaryOps;

/** Operations that keep integers. */
const EXACT: ReadonlySet<UnaryName> = new Set(
  [
    ...["neg", "abs", "sign", "square", "addScalar", "mulScalar", "rsubScalar", "clamp", "relu", "powScalar"] as const,
    "bitwiseNot" as const,
  ],
);

/** Operations that leave integers as they are. */
const ROUNDING: ReadonlySet<UnaryName> = new Set(["floor", "ceil", "round", "trunc"] as const);

/** Operations that PyTorch refuses for bool. */
const NOT_OF_BOOL: ReadonlySet<UnaryName> = new Set(["neg", "abs", "relu", ...ROUNDING, "rsubScalar"] as const);

/** The numbers of an operation that takes none. */
export const NO_ATTRS: UnaryAttrs = { alpha: 0, beta: 0 };

/** Whether the numbers leave integers integers; an infinite bound bounds nothing. */
function areWhole(name: UnaryName, { alpha, beta }: UnaryAttrs): boolean {
  const isWhole = (value: number): boolean =>
    Number.isInteger(value) || (name === "clamp" && !Number.isNaN(value) && !Number.isFinite(value));
  return isWhole(alpha) && isWhole(beta) && !(name === "powScalar" && alpha < 0);
}

/** Whether the operation gives a tensor of that dtype a result of the same dtype, computed in it. */
export function isExactFor(name: UnaryName, dtype: DType, attrs: UnaryAttrs): boolean {
  if (isFloating(dtype)) return name !== "bitwiseNot";
  return dtype !== "bool" && EXACT.has(name) && areWhole(name, attrs);
}

/**
 * Applies a unary operation. Integers that the operation cannot keep are converted to float32, and bool to int64, as PyTorch does.
 *
 * @throws {DTypeError} When PyTorch refuses the dtype.
 * @throws {RangeError} When an integer is raised to a negative power.
 */
export function applyUnary(name: UnaryName, x: Tensor, attrs: UnaryAttrs = NO_ATTRS): Tensor {
  if (isExactFor(name, x.dtype, attrs)) return apply(unaryOps[name], [x], attrs);
  if (ROUNDING.has(name) && !isFloating(x.dtype) && x.dtype !== "bool") return clone(x);
  return apply(unaryOps[name], [converted(name, x, attrs)], attrs);
}

/** The operand of an operation that does not keep the dtype. */
function converted(name: UnaryName, x: Tensor, attrs: UnaryAttrs): Tensor {
  const what = unaryOps[name].name;
  if (isFloating(x.dtype)) throw new DTypeError(`Cannot take the ${what} of ${x.dtype}: it is for integers and bool`);
  if (x.dtype === "bool" && NOT_OF_BOOL.has(name)) {
    throw new DTypeError(
      `Cannot take the ${what} of a bool tensor: use logicalNot(), or convert it with .to({ dtype })`,
    );
  }
  if (name === "powScalar" && Number.isInteger(attrs.alpha) && attrs.alpha < 0) {
    throw new RangeError(`Cannot raise ${x.dtype} to the power ${attrs.alpha}: convert it to a floating dtype first`);
  }
  if (!EXACT.has(name) || !areWhole(name, attrs)) return cast(x, "float32");
  return name === "sign" || name === "bitwiseNot" ? x : cast(x, "int64");
}
