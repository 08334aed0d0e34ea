/**
 * Linear layers whose result is added to their surroundings: what the branches of a residual network end with. The addition, the
 * activation and its derivative are part of the matrix products.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import type { Gradient } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape, sameShape, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous } from "./launch.ts";
import { biasGradient, weightGradient } from "./linear_gradients.ts";
import { type FusedActivation, linear } from "./matmul.ts";
import { NN, NT, productInto } from "./product.ts";

/** Checks `x weight^T` where the result must have the shape of `residual`. */
function checkLayer(x: Shape, weight: Tensor, like: Tensor): void {
  if (weight.shape.length === 2 && x[x.length - 1] === weight.shape[1] && weight.dtype === like.dtype) return;
  if (weight.dtype !== like.dtype) {
    throw new DTypeError(
      `Cannot apply a linear layer of ${weight.dtype} to ${like.dtype}: convert one with .to({ dtype })`,
    );
  }
  throw new ShapeError(
    `Cannot apply a linear layer of weight ${formatShape(weight.shape)} to ${formatShape(x)}: ` +
      `the last size must be ${weight.shape[1]}, got ${x[x.length - 1]}`,
  );
}

function checkSum(shape: Shape, x: Tensor, residual: Tensor): Shape {
  if (residual.dtype !== x.dtype) {
    throw new DTypeError(
      `Cannot add a linear layer's ${x.dtype} to ${residual.dtype}: convert one with .to({ dtype })`,
    );
  }
  if (sameShape(shape, residual.shape)) return shape;
  throw new ShapeError(
    `Cannot add a linear layer's ${formatShape(shape)} to ${formatShape(residual.shape)}: the shapes must be equal`,
  );
}

const linearResidualOp: Op<null> = {
  name: "linearResidual",
  outputShape([x, residual, weight]) {
    checkLayer(x.shape, weight, x);
    return checkSum([...x.shape.slice(0, -1), weight.shape[0]], x, residual);
  },
  forward([x, residual, weight, bias = null], _attrs, shape, node) {
    node?.save(x, weight);
    const out = empty(x.storage.device, shape, x.dtype, "linearResidual");
    const offsets = bias === null ? null : contiguous(bias);
    return productInto(out, x, weight, NT, 0, AX.EPILOGUE_BIAS_RESIDUAL, offsets, contiguous(residual));
  },
  vjp(node, gradient) {
    const [x, weight] = node.saved;
    const g = contiguous(gradient);
    const gx = node.needs(0) ? productInto(empty(g.storage.device, x.shape, g.dtype, "grad"), g, weight, NN) : null;
    const gw = weightGradient(node, 2, g, x);
    return node.inputShapes.length === 3 ? [gx, gradient, gw] : [gx, gradient, gw, biasGradient(node, 3, g)];
  },
};

/** Activations between the two layers of {@link feedForward}. */
export type HiddenActivation = Exclude<FusedActivation, "none">;

const FORWARD: Readonly<Record<HiddenActivation, number>> = {
  relu: AX.EPILOGUE_BIAS_RELU,
  gelu: AX.EPILOGUE_BIAS_GELU,
  "gelu (tanh)": AX.EPILOGUE_BIAS_GELU_TANH,
};
const BACKWARD: Readonly<Record<HiddenActivation, number>> = {
  relu: AX.EPILOGUE_RELU_GRAD,
  gelu: AX.EPILOGUE_GELU_GRAD,
  "gelu (tanh)": AX.EPILOGUE_GELU_TANH_GRAD,
};

const feedForwardOp: Op<HiddenActivation> = {
  name: "feedForward",
  outputShape([x, residual, weight1, weight2]) {
    checkLayer(x.shape, weight1, x);
    const hidden = [...x.shape.slice(0, -1), weight1.shape[0]];
    checkLayer(hidden, weight2, x);
    return checkSum([...hidden.slice(0, -1), weight2.shape[0]], x, residual);
  },
  forward([x, residual, weight1, weight2, bias1 = null, bias2 = null], activation, shape, node) {
    const { device } = x.storage;
    const wide = [...shape.slice(0, -1), weight1.shape[0]];
    const hidden = empty(device, wide, x.dtype, "feedForward");
    // The derivative of GELU takes its input, that of ReLU its output.
    const before = activation === "relu" || node === null ? null : empty(device, wide, x.dtype, "feedForward");
    const offsets1 = bias1 === null ? null : contiguous(bias1);
    const offsets2 = bias2 === null ? null : contiguous(bias2);
    productInto(hidden, x, weight1, NT, 0, FORWARD[activation], offsets1, before);
    node?.save(x, weight1, weight2, hidden, before ?? hidden);
    const out = empty(device, shape, x.dtype, "feedForward");
    return productInto(out, hidden, weight2, NT, 0, AX.EPILOGUE_BIAS_RESIDUAL, offsets2, contiguous(residual));
  },
  vjp(node, gradient) {
    const [x, weight1, weight2, hidden, before] = node.saved;
    const g = contiguous(gradient);
    const { device } = g.storage;
    const gHidden = empty(device, hidden.shape, g.dtype, "grad");
    productInto(gHidden, g, weight2, NN, 0, BACKWARD[node.attrs], null, before);
    const gx = node.needs(0) ? productInto(empty(device, x.shape, g.dtype, "grad"), gHidden, weight1, NN) : null;
    const gradients: Gradient[] = [
      gx,
      gradient,
      weightGradient(node, 2, gHidden, x),
      weightGradient(node, 3, g, hidden),
    ];
    if (node.inputShapes.length === 4) return gradients;
    return [...gradients, biasGradient(node, 4, gHidden), biasGradient(node, 5, g)];
  },
};

/** A layer's weight (out, in) and bias (out), as `nn.Linear` has them. */
export interface LinearParameters {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

/** `residual + x weight^T + bias` in one product. */
export function linearResidual(x: Tensor, residual: Tensor, { weight, bias }: LinearParameters): Tensor {
  return apply(linearResidualOp, bias === null ? [x, residual, weight] : [x, residual, weight, bias], null);
}

/** `residual + second(activation(first(x)))` in two products; both layers have a bias, or neither has one. */
export function feedForward(
  x: Tensor,
  residual: Tensor,
  { first, second, activation }: { first: LinearParameters; second: LinearParameters; activation: HiddenActivation },
): Tensor {
  if (first.bias === null || second.bias === null) {
    if (first.bias !== second.bias) {
      return linearResidual(linear(x, first.weight, first.bias, activation), residual, second);
    }
    return apply(feedForwardOp, [x, residual, first.weight, second.weight], activation);
  }
  return apply(feedForwardOp, [x, residual, first.weight, second.weight, first.bias, second.bias], activation);
}
