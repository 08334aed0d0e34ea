/**
 * Operations that choose or mix between tensors.
 *
 * @module
 */
import { BINARY, COMPARE } from "../../ffi/op_ids.ts";
import { type DType, isFloating, resultType } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { apply, type Op } from "../core/op.ts";
import { broadcastShapes } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { where } from "./binary.ts";
import { cast } from "./copy.ts";
import { binary, compare, filled, select } from "./launch.ts";
import { sumToShape } from "./reduce.ts";

/** x, lower, upper. */
const clampOp: Op<null> = {
  name: "clamp",
  outputShape: ([x, low, high]) => broadcastShapes(broadcastShapes(x.shape, low.shape, "clamp"), high.shape, "clamp"),
  forward([x, low, high], _attrs, shape, node) {
    node?.save(x, low, high);
    const raised = binary(BINARY.maximum, x, low, broadcastShapes(x.shape, low.shape, "clamp"), "clamp");
    return binary(BINARY.minimum, raised, high, shape, "clamp");
  },
  // The gradient goes to the bound that was chosen; to x also where it equals one.
  vjp(node, g) {
    const [x, low, high] = node.saved;
    const { shape } = g;
    const test = (id: number, a: Tensor, b: Tensor): Tensor => compare(id, a, b, shape, "grad");
    const zero = filled(g, [], 0, "grad");
    const where = (mask: Tensor): Tensor => select(mask, g, zero, shape, "grad");
    const both = (a: Tensor, b: Tensor): Tensor => compare(COMPARE.logical_and, a, b, shape, "grad");
    const masks: (() => Tensor)[] = [
      () => both(test(COMPARE.ge, x, low), test(COMPARE.le, x, high)),
      () => both(test(COMPARE.lt, x, low), test(COMPARE.lt, low, high)),
      () => compare(COMPARE.logical_or, test(COMPARE.gt, x, high), test(COMPARE.ge, low, high), shape, "grad"),
    ];
    return masks.map((mask, i) => node.needs(i) ? sumToShape(where(mask()), node.inputShapes[i]) : null);
  },
};

/** Clamps by tensors, or by a tensor and a number. */
export function clampByTensors(x: Tensor, min?: Tensor | number, max?: Tensor | number): Tensor {
  let { dtype } = x;
  for (const bound of [min, max]) {
    if (typeof bound === "object") dtype = resultType(dtype, x.shape.length, bound.dtype, bound.shape.length);
  }
  const operand = (bound: Tensor | number | undefined, open: number): Tensor =>
    typeof bound === "object" ? cast(bound, dtype) : filled(x, [], bound ?? open, "clamp", dtype);
  const [low, high] = isFloating(dtype) ? [-Infinity, Infinity] : lowestAndHighest(dtype);
  return apply(clampOp, [cast(x, dtype), operand(min, low), operand(max, high)], null);
}

/** The values between which a dtype lies. int64 has no such numbers in JavaScript; the nearest ones saturate. */
function lowestAndHighest(dtype: DType): [number, number] {
  switch (dtype) {
    case "float64":
      return [-Number.MAX_VALUE, Number.MAX_VALUE];
    case "float32":
      return [-3.4028234663852886e38, 3.4028234663852886e38];
    case "bfloat16":
      return [-3.3895313892515355e38, 3.3895313892515355e38];
    case "float16":
      return [-65504, 65504];
    case "int32":
      return [-(2 ** 31), 2 ** 31 - 1];
    case "int64":
      return [-(2 ** 63), 2 ** 63 - 1024];
    default:
      return [0, dtype === "bool" ? 1 : 255];
  }
}

/** `start + weight * (end - start)`, computed from the nearer end, as PyTorch. */
export function lerp(start: Tensor, end: Tensor, weight: Tensor | number): Tensor {
  if (!isFloating(start.dtype) || start.dtype !== end.dtype) {
    throw new DTypeError(`Cannot interpolate ${start.dtype} and ${end.dtype}: both must have one floating dtype`);
  }
  const distance = end.sub(start);
  if (typeof weight === "number") {
    return Math.abs(weight) < 0.5 ? start.add(distance.mul(weight)) : end.sub(distance.mul(1 - weight));
  }
  const fromEnd = end.sub(distance.mul(weight.neg().add(1)));
  return where(weight.detach().abs().lt(0.5), start.add(distance.mul(weight)), fromEnd);
}

/** What takes the place of NaN and infinities. */
export interface NanToNumOptions {
  /** Default 0. */
  nan?: number;
  /** Default: the dtype's largest value. */
  posinf?: number;
  /** Default: the dtype's lowest value. */
  neginf?: number;
}

/** Numbers in place of NaN and infinities; the gradient is zero there. */
export function nanToNum(x: Tensor, { nan = 0, posinf, neginf }: NanToNumOptions = {}): Tensor {
  if (!isFloating(x.dtype)) return x.clone();
  const [low, high] = lowestAndHighest(x.dtype);
  const y = x.detach();
  return where(
    y.isfinite(),
    x,
    where(
      y.isnan(),
      filled(x, [], nan, "nanToNum"),
      where(y.gt(0), filled(x, [], posinf ?? high, "nanToNum"), filled(x, [], neginf ?? low, "nanToNum")),
    ),
  );
}
