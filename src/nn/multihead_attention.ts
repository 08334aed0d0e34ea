/**
 * Multi-head attention with its projections, as `torch.nn.MultiheadAttention`.
 *
 * @module
 */
import { arange, empty, full, zeros } from "../creation.ts";
import { uniformInto } from "../ops/random.ts";
import { isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import { packedAttention } from "../ops/attention.ts";
import { where } from "../ops/binary.ts";
import type { Tensor } from "../tensor.ts";
import { scaledDotProductAttention } from "./attention.ts";
import { dropout as dropoutOf, linear } from "./functional.ts";
import { Linear } from "./layers.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

/** Options of {@link MultiheadAttention}. */
export interface MultiheadAttentionOptions {
  /** Probability that a weight is dropped in training. Default 0. */
  dropout?: number;
  /** Whether the projections have biases. Default true. */
  bias?: boolean;
  /** Size of the keys. Default: `embedDim`. */
  kdim?: number;
  /** Size of the values. Default: `embedDim`. */
  vdim?: number;
  /** Whether inputs are (batch, length, dim) and not (length, batch, dim). Default false, as in PyTorch. */
  batchFirst?: boolean;
}

/** Options of {@link MultiheadAttention.forward}. */
export interface MultiheadAttentionInputs {
  /** (batch, keys), or (keys) without a batch: bool, where true hides a key, or floating, which is added to the scores. */
  keyPaddingMask?: Tensor | null;
  /** (queries, keys) or (batch * heads, queries, keys): bool, where true hides a key from a query, or floating, which is added. */
  attnMask?: Tensor | null;
  /** Query i sees keys 0 to i only. PyTorch wants `attnMask` to say the same; here it may be left out. Default false. */
  isCausal?: boolean;
  /** Whether the weights are returned; without them attention runs in blocks. Default true, as in PyTorch. */
  needWeights?: boolean;
  /** Whether the returned weights are the mean over the heads. Default true. */
  averageAttnWeights?: boolean;
}

/** A mask as what is added to the scores. */
function added(mask: Tensor, like: Tensor, name: string): Tensor {
  if (mask.dtype === "bool") {
    const at = { dtype: like.dtype, device: like.device };
    return where(mask, full([], -Infinity, at), full([], 0, at));
  }
  if (isFloating(mask.dtype)) return mask.to({ dtype: like.dtype });
  throw new DTypeError(`Cannot compute attention: ${name} must be bool or floating, got ${mask.dtype}`);
}

/** Xavier's uniform distribution (Glorot and Bengio, AISTATS 2010). */
function xavierUniform(rows: number, cols: number): Parameter {
  const bound = Math.sqrt(6 / (rows + cols));
  return new Parameter(uniformInto(empty([rows, cols]), -bound, bound));
}

/**
 * Projects queries, keys and values, attends in `numHeads` heads, and projects the joined result: `torch.nn.MultiheadAttention` (Vaswani et
 * al., NeurIPS 2017), with its initialisation and state-dict keys.
 *
 * Shapes: query (queries, batch, embedDim), key (keys, batch, kdim), value (keys, batch, vdim) -> [(queries, batch, embedDim), weights or
 * null]; with `batchFirst` the first two dimensions are exchanged; without a batch they are (length, dim). Weights are (batch, queries,
 * keys), or (batch, heads, queries, keys) where they are not averaged. When query, key and value are the same tensor and no weights are
 * needed, one product makes all three and attention reads them in place.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, randn } from "../../mod.ts";
 * const attention = new nn.MultiheadAttention(16, 4, { batchFirst: true });
 * const x = randn([2, 5, 16]);
 * const [out] = attention.forward(x, x, x, { isCausal: true, needWeights: false });
 * assert(out.shape.join() === "2,5,16");
 * assert(Object.keys(attention.stateDict()).join() === "in_proj_weight,in_proj_bias,out_proj.weight,out_proj.bias");
 * ```
 */
export class MultiheadAttention extends Module {
  /** Size of a query, and of the result. */
  readonly embedDim: number;
  /** Number of heads, each of embedDim / numHeads numbers. */
  readonly numHeads: number;
  /** Probability of a weight to be zeroed in training mode. */
  readonly dropout: number;
  /** Whether the batch is the first dimension instead of the second. */
  readonly batchFirst: boolean;
  /** (3 * embedDim, embedDim): the projections of queries, keys and values; null when keys or values have another size. */
  readonly in_proj_weight: Parameter | null;
  /** The projections one by one, where `in_proj_weight` is null. */
  readonly q_proj_weight: Parameter | null;
  /** (embedDim, kdim), where `in_proj_weight` is null. */
  readonly k_proj_weight: Parameter | null;
  /** (embedDim, vdim), where `in_proj_weight` is null. */
  readonly v_proj_weight: Parameter | null;
  /** (3 * embedDim), or null. */
  readonly in_proj_bias: Parameter | null;
  /** The projection of the joined heads. */
  readonly out_proj: Linear;

  /**
   * Takes the size of a query and the number of heads that share it.
   *
   * @throws {RangeError} When the heads do not divide `embedDim`, or `dropout` is not in [0, 1].
   */
  constructor(
    embedDim: number,
    numHeads: number,
    { dropout = 0, bias = true, kdim = embedDim, vdim = embedDim, batchFirst = false }: MultiheadAttentionOptions = {},
  ) {
    super();
    if (!(embedDim > 0) || !(numHeads > 0) || embedDim % numHeads !== 0) {
      throw new RangeError(
        `Cannot make a MultiheadAttention: numHeads must divide embedDim, got ${numHeads} and ${embedDim}`,
      );
    }
    if (!(dropout >= 0 && dropout <= 1)) {
      throw new RangeError(`Cannot make a MultiheadAttention with dropout = ${dropout}: it must be in [0, 1]`);
    }
    this.embedDim = embedDim;
    this.numHeads = numHeads;
    this.dropout = dropout;
    this.batchFirst = batchFirst;
    const isPacked = kdim === embedDim && vdim === embedDim;
    this.in_proj_weight = isPacked ? xavierUniform(3 * embedDim, embedDim) : null;
    this.q_proj_weight = isPacked ? null : xavierUniform(embedDim, embedDim);
    this.k_proj_weight = isPacked ? null : xavierUniform(embedDim, kdim);
    this.v_proj_weight = isPacked ? null : xavierUniform(embedDim, vdim);
    this.in_proj_bias = bias ? new Parameter(zeros([3 * embedDim])) : null;
    this.out_proj = new Linear(embedDim, embedDim, { bias });
    const { bias: outBias } = this.out_proj;
    if (outBias !== null) noGrad(() => outBias.zero_());
  }

  /**
   * The result and, unless `needWeights` is false, the weights; shapes are above.
   *
   * @throws {ShapeError} When sizes or masks do not fit.
   */
  override forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    inputs: MultiheadAttentionInputs = {},
  ): [Tensor, Tensor | null] {
    const [joined, weights] = this.attend(query, key, value, inputs);
    return [this.out_proj.forward(joined), weights];
  }

  /** @internal What `forward` gives before the last projection: a layer may fuse that with what follows. */
  attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    {
      keyPaddingMask = null,
      attnMask = null,
      isCausal = false,
      needWeights = true,
      averageAttnWeights = true,
    }: MultiheadAttentionInputs = {},
  ): [Tensor, Tensor | null] {
    const isBatched = query.shape.length === 3;
    this.#checkShapes(query, key, value);
    const dropoutP = this.training ? this.dropout : 0;
    const batch = isBatched ? query.shape[this.batchFirst ? 0 : 1] : 1;
    const mask = this.#mask(query, batch, keyPaddingMask, attnMask);
    if (query === key && key === value && isBatched && this.in_proj_weight !== null && !needWeights) {
      const joined = packedAttention(linear(query, this.in_proj_weight, this.in_proj_bias), {
        heads: this.numHeads,
        batchFirst: this.batchFirst,
        // As in PyTorch isCausal says what attnMask says, and blocks that it hides are skipped.
        mask: isCausal && attnMask !== null && keyPaddingMask === null ? null : mask,
        isCausal,
        scale: 1 / Math.sqrt(this.embedDim / this.numHeads),
        dropoutP,
      });
      return [joined, null];
    }
    const withBatch = (x: Tensor): Tensor => isBatched ? x : x.unsqueeze(this.batchFirst ? 0 : 1);
    const [q, k, v] = this.#project(query, key, value).map((x) => this.#splitHeads(withBatch(x)));
    const [attended, weights] = needWeights
      ? this.#withWeights(q, k, v, isCausal && attnMask === null ? this.#causal(mask, q, k) : mask, dropoutP)
      : [scaledDotProductAttention(q, k, v, { mask, isCausal, dropoutP }), null];
    const byLength = attended.permute(this.batchFirst ? [0, 2, 1, 3] : [2, 0, 1, 3]);
    const joined = byLength.reshape([...(isBatched ? byLength.shape.slice(0, 2) : [-1]), this.embedDim]);
    if (weights === null) return [joined, null];
    const shown = averageAttnWeights ? weights.mean({ dim: 1 }) : weights;
    return [joined, isBatched ? shown : shown.squeeze(0)];
  }

  #checkShapes(query: Tensor, key: Tensor, value: Tensor): void {
    const [a, b, c] = [query.shape, key.shape, value.shape];
    const batchDim = this.batchFirst ? 0 : 1;
    const fits = (a.length === 2 || a.length === 3) && b.length === a.length && c.length === a.length &&
      a.at(-1) === this.embedDim && b.slice(0, -1).join() === c.slice(0, -1).join() &&
      (a.length === 2 || a[batchDim] === b[batchDim]);
    if (fits) return;
    throw new ShapeError(
      `Cannot attend from query ${formatShape(a)} to key ${formatShape(b)} and value ${formatShape(c)}: they must be ` +
        `(${
          this.batchFirst ? "batch, length" : "length, batch"
        }, dim) or (length, dim) with one batch size, as many values as ` +
        `keys, and queries of size ${this.embedDim}`,
    );
  }

  /** Both masks as one that is added and broadcasts to (batch, heads, queries, keys). */
  #mask(query: Tensor, batch: number, keyPaddingMask: Tensor | null, attnMask: Tensor | null): Tensor | null {
    let mask: Tensor | null = null;
    if (attnMask !== null) {
      mask = added(attnMask, query, "attnMask");
      if (mask.shape.length === 3) mask = mask.reshape([batch, this.numHeads, ...mask.shape.slice(1)]);
    }
    if (keyPaddingMask === null) return mask;
    const padding = added(keyPaddingMask, query, "keyPaddingMask");
    const spread = padding.reshape([batch, 1, 1, padding.shape[padding.shape.length - 1]]);
    return mask === null ? spread : mask.add(spread);
  }

  /** The causal mask in numbers, for the path that has all scores. */
  #causal(mask: Tensor | null, q: Tensor, k: Tensor): Tensor {
    const at = { device: q.device };
    const later = arange(q.shape[2], at).unsqueeze(1).lt(arange(k.shape[2], at));
    const hidden = added(later, q, "isCausal");
    return mask === null ? hidden : mask.add(hidden);
  }

  #project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    const width = this.embedDim;
    const bias = (part: number): Tensor | null => this.in_proj_bias?.narrow(0, part * width, width) ?? null;
    if (this.in_proj_weight === null) {
      return [
        linear(query, this.q_proj_weight!, bias(0)),
        linear(key, this.k_proj_weight!, bias(1)),
        linear(value, this.v_proj_weight!, bias(2)),
      ];
    }
    if (query === key && key === value) {
      const packed = linear(query, this.in_proj_weight, this.in_proj_bias);
      return [0, 1, 2].map((part) => packed.narrow(-1, part * width, width));
    }
    const weight = this.in_proj_weight;
    return [query, key, value].map((x, part) => linear(x, weight.narrow(0, part * width, width), bias(part)));
  }

  /** (length, batch, embedDim), or batch first, as (batch, heads, length, dim). */
  #splitHeads(x: Tensor): Tensor {
    const [first, second] = x.shape;
    const split = x.reshape([first, second, this.numHeads, this.embedDim / this.numHeads]);
    return split.permute(this.batchFirst ? [0, 2, 1, 3] : [1, 2, 0, 3]);
  }

  #withWeights(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, dropoutP: number): [Tensor, Tensor] {
    const scores = q.mul(1 / Math.sqrt(q.shape[3])).matmul(k.transpose(-2, -1));
    const softmax = (mask === null ? scores : scores.add(mask)).softmax({ dim: -1 });
    const weights = dropoutOf(softmax, { p: dropoutP, training: dropoutP > 0 });
    return [weights.matmul(v), weights];
  }
}
