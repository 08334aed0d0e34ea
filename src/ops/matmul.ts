/**
 * Matrix product and the linear layer, with bias and activation fused into the product.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import { BINARY } from "../../ffi/op_ids.ts";
import { isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import type { Gradient } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { broadcastShapes, formatShape, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { binary, contiguous } from "./launch.ts";
import { biasGradient, weightGradient } from "./linear_gradients.ts";
import { batchedProductInto, NN, NT, productInto, TN } from "./product.ts";
import { sumToShape } from "./reduce.ts";

const matmulOp: Op<null> = {
  name: "matmul",
  outputShape([a, b]) {
    const m = a.shape[a.shape.length - 2];
    const k = a.shape[a.shape.length - 1];
    const n = b.shape[b.shape.length - 1];
    if (k !== b.shape[b.shape.length - 2]) {
      throw new ShapeError(
        `Cannot multiply ${formatShape(a.shape)} by ${formatShape(b.shape)}: inner sizes must be equal, got ${k} and ${
          b.shape[b.shape.length - 2]
        }`,
      );
    }
    if (a.shape.length === 2 && b.shape.length === 2) return [m, n];
    return [...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "multiply batches of"), m, n];
  },
  forward([a, b], _attrs, shape, node) {
    node?.save(a, b);
    const out = empty(a.storage.device, shape, a.dtype, "matmul");
    return sharesRight(a, b, shape) ? productInto(out, a, b, NN) : batchedProductInto(out, a, b, NN);
  },
  vjp(node, gradient) {
    const [a, b] = node.saved;
    const g = contiguous(gradient);
    const make = (shape: Shape): Tensor => empty(g.storage.device, shape, g.dtype, "grad");
    if (sharesRight(a, b, g.shape)) {
      return [
        node.needs(0) ? productInto(make(a.shape), g, b, NT) : null,
        node.needs(1) ? productInto(make(b.shape), a, g, TN) : null,
      ];
    }
    const full = (x: Tensor): Tensor => make([...g.shape.slice(0, -2), ...x.shape.slice(-2)]);
    return [
      node.needs(0) ? sumToShape(batchedProductInto(full(a), g, b, NT), a.shape) : null,
      node.needs(1) ? sumToShape(batchedProductInto(full(b), a, g, TN), b.shape) : null,
    ];
  },
};

/** Whether all rows of `a` are multiplied by one matrix: then they form one product, and the gradient of `b` one sum. */
function sharesRight(a: Tensor, b: Tensor, shape: Shape): boolean {
  return b.shape.length === 2 && a.shape.length === shape.length;
}

/**
 * Matrix product as `torch.matmul`: vectors get a dimension that is removed again, leading dimensions broadcast.
 *
 * @throws {ShapeError} When inner sizes differ or batch dimensions do not broadcast.
 * @throws {DTypeError} When an operand is not floating, or the dtypes differ.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new ShapeError(
      `Cannot multiply ${formatShape(a.shape)} by ${
        formatShape(b.shape)
      }: both need a dimension. Use mul() for scalars`,
    );
  }
  if (a.dtype !== b.dtype) {
    throw new DTypeError(
      `Cannot multiply ${a.dtype} by ${b.dtype}: matrices must have one dtype. Convert one with .to({ dtype: "${a.dtype}" })`,
    );
  }
  if (!isFloating(a.dtype)) {
    throw new DTypeError(`Cannot multiply matrices of ${a.dtype}: convert them to float32 first`);
  }
  if (a.shape.length === 2 && b.shape.length === 2) return apply(matmulOp, [a, b], null);
  const x = a.shape.length === 1 ? a.unsqueeze(0) : a;
  const y = b.shape.length === 1 ? b.unsqueeze(1) : b;
  const out = apply(matmulOp, [x, y], null);
  const shape = out.shape.slice(0, -2);
  if (a.shape.length > 1) shape.push(out.shape[out.shape.length - 2]);
  if (b.shape.length > 1) shape.push(out.shape[out.shape.length - 1]);
  return shape.length === out.shape.length ? out : out.reshape(shape);
}

/** Activations that the linear layer can fuse; `"gelu (tanh)"` is the approximation by tanh. */
export type FusedActivation = "none" | "relu" | "gelu" | "gelu (tanh)";

const EPILOGUES: Readonly<Record<FusedActivation, number>> = {
  none: AX.EPILOGUE_BIAS,
  relu: AX.EPILOGUE_BIAS_RELU,
  gelu: AX.EPILOGUE_BIAS_GELU,
  "gelu (tanh)": AX.EPILOGUE_BIAS_GELU_TANH,
};

/** The derivatives of the activations, which take what the layer has saved: ReLU its output, GELU its input. */
const DERIVATIVES: Readonly<Record<Exclude<FusedActivation, "none">, number>> = {
  relu: BINARY.relu_grad,
  gelu: BINARY.gelu_grad,
  "gelu (tanh)": BINARY.gelu_tanh_grad,
};

const linearOp: Op<FusedActivation> = {
  name: "linear",
  outputShape([x, weight, bias]) {
    const inner = x.shape[x.shape.length - 1];
    if (x.shape.length === 0 || weight.shape.length !== 2 || inner !== weight.shape[1]) {
      throw new ShapeError(
        `Cannot apply a linear layer of weight ${formatShape(weight.shape)} to ${formatShape(x.shape)}: ` +
          `the last size must be ${weight.shape[1]}, got ${inner}`,
      );
    }
    if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== weight.shape[0])) {
      throw new ShapeError(`Cannot add a bias of ${formatShape(bias.shape)}: its shape must be (${weight.shape[0]})`);
    }
    if (x.dtype !== weight.dtype || (bias !== undefined && bias.dtype !== x.dtype)) {
      throw new DTypeError(
        `Cannot apply a linear layer of ${weight.dtype} to ${x.dtype}: convert the input with .to({ dtype: "${weight.dtype}" })`,
      );
    }
    if (x.shape.length === 2) return [x.shape[0], weight.shape[0]];
    return [...x.shape.slice(0, -1), weight.shape[0]];
  },
  forward([x, weight, bias], activation, shape, node) {
    const out = empty(x.storage.device, shape, x.dtype, "linear");
    const savesInput = node !== null && (activation === "gelu" || activation === "gelu (tanh)");
    const aux = savesInput ? empty(x.storage.device, shape, x.dtype, "linear") : null;
    const offsets = bias === undefined ? null : contiguous(bias);
    productInto(out, x, weight, NT, 0, EPILOGUES[activation], offsets, aux);
    if (node !== null) {
      if (activation === "none") node.save(x, weight);
      else node.save(x, weight, aux ?? out);
    }
    return out;
  },
  vjp(node, gradient): Gradient[] {
    const [x, weight, saved] = node.saved;
    let g = contiguous(gradient);
    const activation: FusedActivation = node.attrs;
    if (activation !== "none") g = binary(DERIVATIVES[activation], g, saved, g.shape, "grad");
    const gx = node.needs(0) ? productInto(empty(g.storage.device, x.shape, g.dtype, "grad"), g, weight, NN) : null;
    const gw = weightGradient(node, 1, g, x);
    return node.inputShapes.length === 2 ? [gx, gw] : [gx, gw, biasGradient(node, 2, g)];
  },
};

/** `activation(x weight^T + bias)`; weight is (out, in). See `nn.functional.linear`. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null, activation: FusedActivation): Tensor {
  return apply(linearOp, bias === null ? [x, weight] : [x, weight, bias], activation);
}
