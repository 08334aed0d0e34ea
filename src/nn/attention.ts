/**
 * Scaled dot product attention as a function: shapes, dtypes and options as `torch.nn.functional.scaled_dot_product_attention`.
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { currentAutocast } from "../core/op.ts";
import { broadcastShapes, formatShape, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import { attention, type AttentionInputs, checkAttentionDTypes } from "../ops/attention.ts";
import type { Tensor } from "../tensor.ts";

/** Options of {@link scaledDotProductAttention}. */
export interface AttentionOptions {
  /**
   * What broadcasts to (..., heads, queries, keys): bool, where true lets a query see a key, or a floating one of the queries' dtype (or
   * float32 with 16-bit queries) that is added to the scores. Default: none.
   */
  mask?: Tensor | null;
  /** Query i sees keys 0 to i only, also where there are more or fewer keys than queries. Together with a mask both apply. Default false. */
  isCausal?: boolean;
  /** Factor of the scores. Default 1 / sqrt(dim). */
  scale?: number;
  /** Probability that a weight is dropped; the others are divided by 1 - p. Default 0. */
  dropoutP?: number;
  /** Keys and values may have fewer heads, which divide those of the queries: neighbouring queries share one. Default false. */
  enableGqa?: boolean;
}

const ACTION = "Cannot compute attention";
const JOIN = "attend with batches of";

function checkShapes(q: Shape, k: Shape, v: Shape): void {
  const shapes = `query ${formatShape(q)}, key ${formatShape(k)} and value ${formatShape(v)}`;
  if (q.length < 2 || k.length < 2 || v.length < 2) {
    throw new ShapeError(`${ACTION} of ${shapes}: each needs at least the dimensions (length, dim)`);
  }
  if (q.at(-1) !== k.at(-1)) {
    throw new ShapeError(
      `${ACTION} of ${shapes}: query and key must have the same last size, got ${q.at(-1)} and ${k.at(-1)}`,
    );
  }
  if (k.at(-2) !== v.at(-2)) {
    throw new ShapeError(
      `${ACTION} of ${shapes}: there must be as many values as keys, got ${v.at(-2)} and ${k.at(-2)}`,
    );
  }
}

/** The dimensions before (length, dim) of queries, and of keys and values. */
function leadShapes(q: Shape, k: Shape, v: Shape, enableGqa: boolean): [Shape, Shape] {
  const [a, b, c] = [q.slice(0, -2), k.slice(0, -2), v.slice(0, -2)];
  if (!enableGqa) {
    const lead = broadcastShapes(broadcastShapes(a, b, JOIN), c, JOIN);
    return [lead, lead];
  }
  const heads = a.at(-1);
  const keyHeads = b.at(-1);
  if (heads === undefined || keyHeads === undefined || keyHeads !== c.at(-1) || heads % keyHeads !== 0) {
    throw new ShapeError(
      `${ACTION} of query ${formatShape(q)}, key ${formatShape(k)} and value ${
        formatShape(v)
      }: with enableGqa the heads of ` +
        `key and value must be equal and divide those of the query, got ${keyHeads}, ${c.at(-1)} and ${heads}`,
    );
  }
  const [x, y, z] = [a, b, c].map((lead): Shape => lead.slice(0, -1));
  const batch = broadcastShapes(broadcastShapes(x, y, JOIN), z, JOIN);
  return [[...batch, heads], [...batch, keyHeads]];
}

/** As (batch, heads, rows, columns): the last of the leading dimensions is that of the heads. */
function asFour(x: Tensor, lead: Shape): Tensor {
  const rows = x.shape.slice(-2);
  const full = x.shape.length === lead.length + 2 && sameShape(x.shape.slice(0, -2), lead)
    ? x
    : x.expand([...lead, ...rows]);
  if (lead.length === 2) return full;
  const batch = sizeOf(lead.slice(0, -1));
  return full.reshape([batch, lead.length === 0 ? 1 : lead[lead.length - 1], ...rows]);
}

/** The mask as what broadcasts to (batch, heads, queries, keys). */
function maskAsFour(mask: Tensor, lead: Shape, queries: number, keys: number): Tensor {
  const full = [...lead, queries, keys];
  const fits = mask.shape.length <= full.length &&
    mask.shape.every((size, i) => size === 1 || size === full[full.length - mask.shape.length + i]);
  if (!fits) {
    throw new ShapeError(`${ACTION}: the mask must broadcast to ${formatShape(full)}, got ${formatShape(mask.shape)}`);
  }
  // Two leading dimensions or fewer line up as they are; more are joined as those of the query.
  if (lead.length <= 2) return mask;
  return asFour(mask.shape.length < 2 ? mask.reshape([1, mask.size]) : mask, lead);
}

/**
 * `softmax(query key^T * scale + mask) value` for every head, in blocks: the scores never lie in memory (FlashAttention, Dao et al., NeurIPS
 * 2022). As `torch.nn.functional.scaled_dot_product_attention`. A query that may see no key gives zeros.
 *
 * Shapes: query (..., heads, queries, dim), key (..., heads, keys, dim), value (..., heads, keys, valueDim) -> (..., heads, queries,
 * valueDim). Leading dimensions broadcast. Any strides are read without a copy as long as the elements of a row are adjacent, and the
 * result lies in memory as (..., queries, heads, valueDim), so that `transpose(-3, -2)` and joining the heads copy nothing.
 *
 * Gradients flow to query, key, value and a floating mask; that of a mask takes memory for all scores. float32 and float64; bfloat16 and
 * float16 are computed in float32.
 *
 * @throws {ShapeError} When sizes do not fit.
 * @throws {DTypeError} When dtypes differ or are not floating.
 * @throws {RangeError} When `dropoutP` is not in [0, 1].
 * @example Every position of a sequence sees itself and what is before it
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, randn } from "../../mod.ts";
 * const [q, k, v] = [1, 2, 3].map(() => randn([2, 4, 16, 8]));
 * const out = nn.functional.scaledDotProductAttention(q, k, v, { isCausal: true });
 * assert(out.shape.join() === "2,4,16,8");
 * assert(out.select(2, 0).allClose(v.select(2, 0), { rtol: 1e-5 }));
 * ```
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  { mask = null, isCausal = false, scale, dropoutP = 0, enableGqa = false }: AttentionOptions = {},
): Tensor {
  // autocast() converts them when the operation runs, which checks them again.
  if (currentAutocast() === null) checkAttentionDTypes(query, key, value, mask);
  checkShapes(query.shape, key.shape, value.shape);
  if (!(dropoutP >= 0 && dropoutP <= 1)) {
    throw new RangeError(`${ACTION} with dropoutP = ${dropoutP}: it must be in [0, 1]`);
  }
  const [lead, keyLead] = leadShapes(query.shape, key.shape, value.shape, enableGqa);
  const [queries, dim] = query.shape.slice(-2);
  const [keys, valueDim] = value.shape.slice(-2);
  const inputs: AttentionInputs = {
    mask: mask === null ? null : maskAsFour(mask, lead, queries, keys),
    isCausal,
    scale: scale ?? 1 / Math.sqrt(dim),
    dropoutP: dropoutP === 1 ? 0 : dropoutP,
  };
  const out = attention(asFour(query, lead), asFour(key, keyLead), asFour(value, keyLead), inputs);
  const shaped = lead.length === 2 ? out : out.reshape([...lead, queries, valueDim]);
  // All weights are dropped: zeros, and zero gradients.
  return dropoutP === 1 ? shaped.mul(0) : shaped;
}
