/**
 * Matrix product and the linear layer, with bias and activation fused into the product.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { BINARY, REDUCE } from "../../ffi/op_ids.ts";
import { dtypeId, isFloating, promote } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { type Gradient, type Node, WRITTEN } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { broadcastShapes, formatShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { binary, contiguous } from "./launch.ts";
import { expandView, reshapeView } from "./raw_view.ts";
import { reduceInto, sumToShape } from "./reduce.ts";

const product = new Int32Array(12);

/** Which operands are stored transposed. */
const NN = 0;
const NT = 1;
const TN = 2;

/** Sizes and batching of a product, in the order of `shape` in accelerate.h. */
function writeProduct(
  batch: number,
  m: number,
  n: number,
  k: number,
  layout: number,
  batchA: boolean,
  batchB: boolean,
): void {
  product[0] = batch;
  product[1] = m;
  product[2] = n;
  product[3] = k;
  product[4] = layout === TN ? 1 : 0;
  product[5] = layout === NT ? 1 : 0;
  product[6] = layout === TN ? m : k;
  product[7] = layout === NT ? k : n;
  product[8] = n;
  product[9] = batchA ? m * k : 0;
  product[10] = batchB ? k * n : 0;
  product[11] = m * n;
}

/** out = epilogue(a x b) + beta * out, with the sizes that `writeProduct` has written. Operands are contiguous. */
function productInto(
  out: Tensor,
  a: Tensor,
  b: Tensor,
  bias: Tensor | null,
  aux: Tensor | null,
  epilogue: number,
  beta: number,
): Tensor {
  const library = out.storage.device.library;
  check(
    library.ax_matmul(
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      a.storage.id,
      a.offset,
      b.storage.id,
      b.offset,
      bias === null ? 0 : bias.storage.id,
      bias === null ? 0 : bias.offset,
      aux === null ? 0 : aux.storage.id,
      aux === null ? 0 : aux.offset,
      product,
      epilogue,
      1,
      beta,
    ),
    "ax_matmul",
    library,
  );
  return out;
}

const matmulOp: Op<null> = {
  name: "matmul",
  outputShape([a, b]) {
    const [m, k] = a.shape.slice(-2);
    const [k2, n] = b.shape.slice(-2);
    if (k !== k2) {
      throw new ShapeError(
        `Cannot multiply ${formatShape(a.shape)} by ${
          formatShape(b.shape)
        }: inner sizes must be equal, got ${k} and ${k2}`,
      );
    }
    return [...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "multiply batches of"), m, n];
  },
  forward([a, b], _attrs, shape, node) {
    node?.save(a, b);
    return batched(a, b, shape, NN);
  },
  vjp(node, g) {
    const [a, b] = node.saved;
    const lead = g.shape.slice(0, -2);
    const full = (x: Tensor): Shape => [...lead, ...x.shape.slice(-2)];
    return [
      node.needs(0) ? sumToShape(batched(g, b, full(a), NT), a.shape) : null,
      node.needs(1) ? sumToShape(batched(a, g, full(b), TN), b.shape) : null,
    ];
  },
};

function batched(a: Tensor, b: Tensor, shape: Shape, layout: number): Tensor {
  const lead = shape.slice(0, -2);
  const batch = sizeOf(lead);
  const spread = (x: Tensor): [Tensor, boolean] => {
    const own = sizeOf(x.shape.slice(0, -2));
    if (own === batch) return [contiguous(x), true];
    if (own === 1) return [contiguous(x), false];
    return [contiguous(expandView(x, [...lead, ...x.shape.slice(-2)], "matmul")), true];
  };
  const [left, batchA] = spread(a);
  const [right, batchB] = spread(b);
  const m = shape[shape.length - 2];
  const n = shape[shape.length - 1];
  const k = a.shape[a.shape.length - (layout === TN ? 2 : 1)];
  const out = empty(a.storage.device, shape, a.dtype, "matmul");
  writeProduct(batch, m, n, k, layout, batchA, batchB);
  return productInto(out, left, right, null, null, AX.EPILOGUE_NONE, 0);
}

/**
 * Matrix product as `torch.matmul`: vectors get a dimension that is removed again, leading dimensions broadcast.
 *
 * @throws {ShapeError} When inner sizes differ or batch dimensions do not broadcast.
 * @throws {DTypeError} When an operand is not floating.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new ShapeError(
      `Cannot multiply ${formatShape(a.shape)} by ${
        formatShape(b.shape)
      }: both need a dimension. Use mul() for scalars`,
    );
  }
  const dtype = promote(a.dtype, b.dtype);
  if (!isFloating(dtype)) throw new DTypeError(`Cannot multiply matrices of ${dtype}: convert them to float32 first`);
  const left = cast(a, dtype);
  const right = cast(b, dtype);
  const x = left.shape.length === 1 ? left.unsqueeze(0) : left;
  const y = right.shape.length === 1 ? right.unsqueeze(1) : right;
  const out = apply(matmulOp, [x, y], null);
  const shape = out.shape.slice(0, -2);
  if (left.shape.length > 1) shape.push(out.shape[out.shape.length - 2]);
  if (right.shape.length > 1) shape.push(out.shape[out.shape.length - 1]);
  return shape.length === out.shape.length ? out : out.reshape(shape);
}

/** Activations that the linear layer can fuse. */
export type FusedActivation = "none" | "relu" | "gelu";

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
    const source = contiguous(x);
    const matrix = contiguous(weight);
    const [n, k] = weight.shape;
    const m = out.size / Math.max(n, 1);
    let epilogue: number = AX.EPILOGUE_BIAS;
    let aux: Tensor | null = null;
    if (activation === "relu") epilogue = AX.EPILOGUE_BIAS_RELU;
    if (activation === "gelu") {
      epilogue = AX.EPILOGUE_BIAS_GELU;
      if (node !== null) aux = empty(x.storage.device, shape, x.dtype, "linear");
    }
    writeProduct(1, m, n, k, NT, false, false);
    productInto(out, source, matrix, bias === undefined ? null : contiguous(bias), aux, epilogue, 0);
    if (node !== null) {
      if (activation === "none") node.save(source, matrix);
      else node.save(source, matrix, aux ?? out);
    }
    return out;
  },
  vjp(node, gradient): Gradient[] {
    const [x, weight, saved] = node.saved;
    let g = contiguous(gradient);
    if (node.attrs === "relu") g = binary(BINARY.relu_grad, g, saved, g.shape, "grad");
    if (node.attrs === "gelu") g = binary(BINARY.gelu_grad, g, saved, g.shape, "grad");
    const [n, k] = weight.shape;
    const m = g.size / Math.max(n, 1);
    let gx: Gradient = null;
    let gw: Gradient = null;
    if (node.needs(0)) {
      writeProduct(1, m, k, n, NN, false, false);
      gx = productInto(empty(g.storage.device, x.shape, g.dtype, "grad"), g, weight, null, null, AX.EPILOGUE_NONE, 0);
    }
    if (node.needs(1)) {
      const sink = sinkOf(node, 1, g);
      const out = sink ?? empty(g.storage.device, weight.shape, g.dtype, "grad");
      writeProduct(1, n, k, m, TN, false, false);
      productInto(out, g, x, null, null, AX.EPILOGUE_NONE, sink === null ? 0 : node.sinkBeta(1));
      gw = sink === null ? out : WRITTEN;
    }
    if (node.inputShapes.length === 2) return [gx, gw];
    let gb: Gradient = null;
    if (node.needs(2)) {
      const rows = g.shape.length === 2 ? g : reshapeView(g, [m, n], "grad");
      const sink = sinkOf(node, 2, g);
      const out = sink ?? empty(g.storage.device, node.inputShapes[2], g.dtype, "grad");
      reduceInto(out, REDUCE.sum, rows, ROWS, 1, sink === null ? 0 : node.sinkBeta(2));
      gb = sink === null ? out : WRITTEN;
    }
    return [gx, gw, gb];
  },
};

const ROWS = [0];

/** The parameter's place in the flat gradients, when it has one of the gradient's dtype. */
function sinkOf(node: Node, index: number, gradient: Tensor): Tensor | null {
  const sink = node.sink(index);
  return sink !== null && sink.dtype === gradient.dtype ? sink : null;
}

/** `activation(x weight^T + bias)`; weight is (out, in). See `nn.functional.linear`. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null, activation: FusedActivation): Tensor {
  return apply(linearOp, bias === null ? [x, weight] : [x, weight, bias], activation);
}
