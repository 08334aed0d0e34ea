/**
 * Scaled dot product attention: the native calls, and the operation on separate and on packed queries, keys and values. The shapes of
 * this file are (batch, heads, length, dim); `nn.functional.scaledDotProductAttention` brings others to it.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { type DType, dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import type { Gradient, Node } from "../core/node.ts";
import { apply, empty, type Op, viewOf } from "../core/op.ts";
import { type RandomState, takeRandom } from "../core/random.ts";
import { broadcastStrides, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { contiguous, fillInto } from "./launch.ts";
import { sumToShape } from "./reduce.ts";

/** What the native calls need beside tensors. */
export interface AttentionAttrs {
  readonly isCausal: boolean;
  /** Factor of the scores. */
  readonly scale: number;
  /** Probability that a weight is dropped, below 1. */
  readonly dropoutP: number;
  readonly random: RandomState | null;
}

// The layout of these arrays is described in accelerate.h.
const operands = new Float64Array(22);
const shapes = new Int32Array(40);
const scalars = new Float64Array(5);
let operandCount = 0;
let strideCount = 0;

function pushOperand(tensor: Tensor | null): void {
  operands[operandCount++] = tensor === null ? 0 : tensor.storage.id;
  operands[operandCount++] = tensor === null ? 0 : tensor.offset;
}

function pushStrides(strides: readonly number[], count: number): void {
  for (let i = 0; i < count; i++) {
    if (strides[i] > 0x7fffffff) {
      throw new ShapeError(`Cannot compute attention: a stride must fit 31 bits, got ${strides[i]}`);
    }
    shapes[strideCount++] = strides[i];
  }
}

/** Writes sizes, flags, numbers, and the strides that both passes have. */
function writeArguments(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  out: Tensor,
  mask: Tensor | null,
  { isCausal, scale, dropoutP, random }: AttentionAttrs,
): void {
  const [batch, heads, queries, dim] = q.shape;
  shapes[0] = batch;
  shapes[1] = heads;
  shapes[2] = k.shape[1];
  shapes[3] = queries;
  shapes[4] = k.shape[2];
  shapes[5] = dim;
  shapes[6] = v.shape[3];
  shapes[7] = isCausal ? AX.ATTENTION_CAUSAL : 0;
  shapes[8] = mask === null
    ? AX.ATTENTION_NO_MASK
    : mask.dtype === "bool"
    ? AX.ATTENTION_BOOL_MASK
    : AX.ATTENTION_ADDED_MASK;
  shapes[9] = mask === null ? 0 : dtypeId(mask.dtype);
  strideCount = 10;
  pushStrides(q.strides, 3);
  pushStrides(k.strides, 3);
  pushStrides(v.strides, 3);
  pushStrides(out.strides, 3);
  if (mask === null) shapes.fill(0, strideCount, strideCount += 4);
  else pushStrides(broadcastStrides(mask.shape, mask.strides, [batch, heads, queries, k.shape[2]]), 4);
  scalars[0] = scale;
  scalars[1] = dropoutP;
  scalars[2] = random === null ? 0 : random.seedLow;
  scalars[3] = random === null ? 0 : random.seedHigh;
  scalars[4] = random === null ? 0 : random.counter;
}

/** The dtype that attention of a dtype is computed in. */
function computeDType(dtype: DType): DType {
  return dtype === "float64" ? "float64" : "float32";
}

/** Writes the output into `out`; returns the log of the sum of exponentials of each row. */
function forwardInto(
  out: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | null,
  attrs: AttentionAttrs,
): Tensor {
  const device = q.storage.device;
  const lse = empty(device, q.shape.slice(0, 3), computeDType(q.dtype), "attention");
  writeArguments(q, k, v, out, mask, attrs);
  operandCount = 0;
  pushOperand(out);
  pushOperand(lse);
  pushOperand(q);
  pushOperand(k);
  pushOperand(v);
  pushOperand(mask);
  check(
    device.library.ax_attention_forward(dtypeId(q.dtype), operands, shapes, scalars),
    "ax_attention_forward",
    device.library,
  );
  return lse;
}

/** What the forward pass has left, as (batch, heads, length, dim). */
interface Saved {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly out: Tensor;
  readonly lse: Tensor;
  readonly mask: Tensor | null;
}

/** Writes the gradients of q, k and v, and where it is wanted that of the scores. */
function backwardInto(
  [gradQ, gradK, gradV, gradScores]: readonly [Tensor, Tensor, Tensor, Tensor | null],
  gradOut: Tensor,
  { q, k, v, out, lse, mask }: Saved,
  attrs: AttentionAttrs,
): void {
  const library = q.storage.device.library;
  writeArguments(q, k, v, out, mask, attrs);
  pushStrides(gradOut.strides, 3);
  pushStrides(gradQ.strides, 3);
  pushStrides(gradK.strides, 3);
  pushStrides(gradV.strides, 3);
  operandCount = 0;
  for (const tensor of [gradQ, gradK, gradV, gradScores, gradOut, q, k, v, out, lse, mask]) pushOperand(tensor);
  check(
    library.ax_attention_backward(dtypeId(q.dtype), operands, shapes, scalars),
    "ax_attention_backward",
    library,
  );
}

/** The tensor itself where the elements of a row are adjacent, else a contiguous copy. */
function withRows(x: Tensor): Tensor {
  return x.strides[3] === 1 || x.shape[3] <= 1 ? x : contiguous(x);
}

/**
 * A new tensor (batch, heads, length, dim) whose memory is (batch, length, heads, dim), so that joining the heads copies nothing.
 */
function emptyByLength(like: Tensor, [batch, heads, length, dim]: Shape, origin: string): Tensor {
  using base = empty(like.storage.device, [batch, length, heads, dim], like.dtype, origin);
  const strides = [length * heads * dim, dim, heads * dim, 1];
  return viewOf(base, [batch, heads, length, dim], strides, base.offset, origin);
}

/** Memory for the gradients of the scores when the mask wants one; zero where a causal mask hides. */
function scoresFor(node: Node, maskIndex: number, q: Tensor, k: Tensor): Tensor | null {
  if (node.edges.length <= maskIndex || !node.needs(maskIndex)) return null;
  const shape = [...q.shape.slice(0, 3), k.shape[2]];
  return fillInto(empty(q.storage.device, shape, computeDType(q.dtype), "grad"), 0);
}

function maskGradient(scores: Tensor | null, mask: Tensor | null): Gradient {
  return scores === null || mask === null ? null : cast(sumToShape(scores, mask.shape), mask.dtype);
}

const ACTION = "Cannot compute attention";

/** What all operations of this file demand of dtypes. */
export function checkAttentionDTypes(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null): void {
  if (!isFloating(q.dtype) || k.dtype !== q.dtype || v.dtype !== q.dtype) {
    throw new DTypeError(
      `${ACTION}: query, key and value must have one floating dtype, got ${q.dtype}, ${k.dtype} and ${v.dtype}. ` +
        `Convert them with .to({ dtype })`,
    );
  }
  const isSmall = q.dtype === "bfloat16" || q.dtype === "float16";
  if (mask === null || mask.dtype === "bool" || mask.dtype === q.dtype || (isSmall && mask.dtype === "float32")) return;
  throw new DTypeError(`${ACTION}: the mask must be bool or ${q.dtype} as the query, got ${mask.dtype}`);
}

const attentionOp: Op<AttentionAttrs> = {
  name: "scaledDotProductAttention",
  outputShape([q, k, v, mask = null]) {
    checkAttentionDTypes(q, k, v, mask);
    return [q.shape[0], q.shape[1], q.shape[2], v.shape[3]];
  },
  forward([query, key, value, mask = null], attrs, shape, node) {
    const q = withRows(query);
    const k = withRows(key);
    const v = withRows(value);
    const out = emptyByLength(q, shape, "scaledDotProductAttention");
    const lse = forwardInto(out, q, k, v, mask, attrs);
    if (node !== null) {
      if (mask === null) node.save(q, k, v, out, lse);
      else node.save(q, k, v, out, lse, mask);
    }
    return out;
  },
  vjp(node, gradient) {
    const [q, k, v, out, lse, mask = null] = node.saved;
    const gradients = [
      emptyByLength(q, q.shape, "grad"),
      emptyByLength(k, k.shape, "grad"),
      emptyByLength(v, v.shape, "grad"),
      scoresFor(node, 3, q, k),
    ] as const;
    backwardInto(gradients, withRows(gradient), { q, k, v, out, lse, mask }, node.attrs);
    return [gradients[0], gradients[1], gradients[2], maskGradient(gradients[3], mask)];
  },
};

interface PackedAttrs extends AttentionAttrs {
  readonly heads: number;
  /** Whether the first dimension is that of the batch, or of the length. */
  readonly batchFirst: boolean;
}

/** One of the parts of rows of `parts` times the width, as (batch, heads, length, dim). */
function partOf(x: Tensor, part: number, parts: number, { heads, batchFirst }: PackedAttrs): Tensor {
  const [first, second, row] = x.shape;
  const width = row / parts;
  const dim = width / heads;
  const shape = batchFirst ? [first, heads, second, dim] : [second, heads, first, dim];
  const strides = batchFirst ? [second * row, dim, row, 1] : [row, dim, second * row, 1];
  return viewOf(x, shape, strides, x.offset + part * width, "attention");
}

const packedAttentionOp: Op<PackedAttrs> = {
  name: "packedAttention",
  outputShape([qkv, mask = null]) {
    checkAttentionDTypes(qkv, qkv, qkv, mask);
    return [qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3];
  },
  forward([qkv, mask = null], attrs, shape, node) {
    const packed = contiguous(qkv);
    const out = empty(qkv.storage.device, shape, qkv.dtype, "packedAttention");
    const part = (index: number): Tensor => partOf(packed, index, 3, attrs);
    const lse = forwardInto(partOf(out, 0, 1, attrs), part(0), part(1), part(2), mask, attrs);
    if (node !== null) {
      if (mask === null) node.save(packed, out, lse);
      else node.save(packed, out, lse, mask);
    }
    return out;
  },
  vjp(node, gradient) {
    const [packed, out, lse, mask = null] = node.saved;
    const { attrs } = node;
    const grad = empty(packed.storage.device, packed.shape, packed.dtype, "grad");
    const part = (index: number): Tensor => partOf(packed, index, 3, attrs);
    const gradPart = (index: number): Tensor => partOf(grad, index, 3, attrs);
    const saved = { q: part(0), k: part(1), v: part(2), out: partOf(out, 0, 1, attrs), lse, mask };
    const scores = scoresFor(node, 1, saved.q, saved.k);
    const gradOut = partOf(contiguous(gradient), 0, 1, attrs);
    backwardInto([gradPart(0), gradPart(1), gradPart(2), scores], gradOut, saved, attrs);
    return [grad, maskGradient(scores, mask)];
  },
};

/** Options of both operations; the scale has no default here. */
export interface AttentionInputs {
  readonly mask: Tensor | null;
  readonly isCausal: boolean;
  readonly scale: number;
  readonly dropoutP: number;
}

function attrsFor({ isCausal, scale, dropoutP }: AttentionInputs, rows: number, keys: number): AttentionAttrs {
  // Each row of weights starts with a counter block of its own.
  const random = dropoutP > 0 ? takeRandom(rows * Math.ceil(keys / 4) * 4) : null;
  return { isCausal, scale, dropoutP, random };
}

/** Attention of (batch, heads, length, dim); shapes and dtypes have been checked. Keys may have fewer heads than queries. */
export function attention(q: Tensor, k: Tensor, v: Tensor, inputs: AttentionInputs): Tensor {
  const attrs = attrsFor(inputs, q.shape[0] * q.shape[1] * q.shape[2], k.shape[2]);
  return apply(attentionOp, inputs.mask === null ? [q, k, v] : [q, k, v, inputs.mask], attrs);
}

/**
 * Attention of a matrix that holds queries, keys and values side by side: (batch, length, 3 * width) -> (batch, length, width), or
 * (length, batch, ...) where `batchFirst` is false. Nothing is copied, and the gradient is one matrix again.
 */
export function packedAttention(
  qkv: Tensor,
  { heads, batchFirst, ...inputs }: AttentionInputs & { readonly heads: number; readonly batchFirst: boolean },
): Tensor {
  const [first, second] = qkv.shape;
  const attrs = attrsFor(inputs, first * second * heads, batchFirst ? second : first);
  return apply(packedAttentionOp, inputs.mask === null ? [qkv] : [qkv, inputs.mask], { ...attrs, heads, batchFirst });
}
