/**
 * Numbers that the generators of the goldens compute too.
 *
 * @module
 */

/** `size` numbers in [-1, 1), exact in float64: `values` of tests/golden/generate_attention.py. */
export function sequence(size: number, seed: number): Float64Array<ArrayBuffer> {
  return Float64Array.from({ length: size }, (_, i) => (i * 7919 + seed * 104729) % 1009 / 504.5 - 1);
}
