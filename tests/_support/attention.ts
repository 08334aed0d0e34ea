/**
 * Attention and its gradients in plain loops over numbers: the oracle of tests/nn/attention_blocks_test.ts.
 *
 * @module
 */

/** Sizes of attention on (batch, heads, length, dim); heads of keys may be fewer. */
export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly valueDim: number;
}

/** What attention reads: contiguous values of q, k, v and the gradient of the output. */
export interface AttentionValues {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly gradOut: ArrayLike<number>;
  readonly scale: number;
  readonly isCausal: boolean;
  /** What is added to score (query, key) of every head: 0, -Infinity or a number. */
  readonly added: (query: number, key: number) => number;
  /** What probability (row, key) is multiplied with, where row counts (batch, head, query). */
  readonly factor: (row: number, key: number) => number;
}

/** The output, the gradients of q, k and v, and that of `added`, summed over batches and heads. */
export interface AttentionResults {
  readonly out: Float64Array;
  readonly gradQ: Float64Array;
  readonly gradK: Float64Array;
  readonly gradV: Float64Array;
  readonly gradAdded: Float64Array;
}

/** Computes attention of every head row by row, in float64. */
export function attentionInLoops(sizes: AttentionSizes, values: AttentionValues): AttentionResults {
  const { batch, heads, kvHeads, queries, keys, dim, valueDim } = sizes;
  const { q, k, v, gradOut, scale, isCausal, added, factor } = values;
  const results = {
    out: new Float64Array(batch * heads * queries * valueDim),
    gradQ: new Float64Array(batch * heads * queries * dim),
    gradK: new Float64Array(batch * kvHeads * keys * dim),
    gradV: new Float64Array(batch * kvHeads * keys * valueDim),
    gradAdded: new Float64Array(queries * keys),
  };
  const weights = new Float64Array(keys);
  for (let row = 0; row < batch * heads * queries; row++) {
    const query = row % queries;
    const head = Math.floor(row / queries);
    const kvHead = Math.floor(head / heads) * kvHeads + Math.floor((head % heads) / (heads / kvHeads));
    const seen = isCausal ? Math.min(keys, query + 1) : keys;
    const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, count: number): number => {
      let sum = 0;
      for (let d = 0; d < count; d++) sum += a[i * count + d] * b[j * count + d];
      return sum;
    };
    let largest = -Infinity;
    for (let key = 0; key < seen; key++) {
      weights[key] = scale * dot(q, row, k, kvHead * keys + key, dim) + added(query, key);
      largest = Math.max(largest, weights[key]);
    }
    let sum = 0;
    for (let key = 0; key < seen; key++) sum += weights[key] = Math.exp(weights[key] - largest);
    if (largest === -Infinity) continue; // sees no key: zeros
    let delta = 0;
    for (let key = 0; key < seen; key++) {
      weights[key] /= sum;
      const at = kvHead * keys + key;
      const kept = weights[key] * factor(row, key);
      delta += kept * dot(gradOut, row, v, at, valueDim);
      for (let d = 0; d < valueDim; d++) {
        results.out[row * valueDim + d] += kept * v[at * valueDim + d];
        results.gradV[at * valueDim + d] += kept * gradOut[row * valueDim + d];
      }
    }
    for (let key = 0; key < seen; key++) {
      const at = kvHead * keys + key;
      const gradient = weights[key] * (factor(row, key) * dot(gradOut, row, v, at, valueDim) - delta);
      results.gradAdded[query * keys + key] += gradient;
      for (let d = 0; d < dim; d++) {
        results.gradQ[row * dim + d] += scale * gradient * k[at * dim + d];
        results.gradK[at * dim + d] += scale * gradient * q[row * dim + d];
      }
    }
  }
  return results;
}
