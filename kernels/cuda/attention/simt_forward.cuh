// The forward pass on the SIMT units: a block takes a tile of queries and walks over the keys, with the running maximum and sum of each row
// (Milakov and Gimelshein, 2018). Values of more than kColumns elements are split over blocks that compute the scores again.
#ifndef AX_CUDA_ATTENTION_SIMT_FORWARD_CUH_
#define AX_CUDA_ATTENTION_SIMT_FORWARD_CUH_
#include "cuda/attention/simt_tile.cuh"

namespace ax {
inline namespace AX_ISA {

// What probabilities (row, key) to (row, key + 3) are multiplied with; key is a multiple of four.
template <class C>
AX_DEVICE void dropoutFactors(const AttentionDropout& dropout, int64_t row, int key, C (&factors)[4]) {
  uint32_t lanes[4];
  dropout.words(row, key / 4, lanes);
#pragma unroll
  for (int i = 0; i < 4; ++i) factors[i] = dropout.keeps(lanes[i]) ? static_cast<C>(dropout.kept) : C(0);
}

// Multiplies four probabilities with their factors.
template <class C>
AX_DEVICE void dropFour(const AttentionDropout& dropout, int64_t row, int key, C (&four)[4]) {
  C factors[4];
  dropoutFactors(dropout, row, key, factors);
#pragma unroll
  for (int i = 0; i < 4; ++i) four[i] *= factors[i];
}

// Makes a row's scores relative to the largest so far; returns what earlier results are multiplied with.
template <class C>
AX_DEVICE C relateRow(C (&scores)[4], C* largest) {
  C top = C(-INFINITY);
#pragma unroll
  for (int j = 0; j < 4; ++j) top = scores[j] > top ? scores[j] : top;  // passes over NaN, which reaches the sum
  top = SimtTile<C>::combineRow(top, [](C a, C b) { return b > a ? b : a; });
  const C before = *largest, now = top > before ? top : before;
  // Where nothing may be seen yet, all scores are -inf and their exponentials must be 0.
  const C reference = now == C(-INFINITY) ? C(0) : now;
#pragma unroll
  for (int j = 0; j < 4; ++j) scores[j] -= reference;
  *largest = now;
  return now == before ? C(1) : exp(before - now);
}

// Applies the mask to the scores of a query and four keys.
template <class C>
AX_DEVICE void maskRow(const AttentionProblem& x, const AttentionUnit& unit, int query, int key, C (&four)[4]) {
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if (query < x.s.q_len && key + j < x.s.k_len) four[j] = x.masked(four[j], unit.batch, unit.head, query, key + j);
  }
}

template <class C>
__global__ void AX_MAX_THREADS(kThreads, 1) simtForwardKernel(AttentionProblem x) {
  using Tile = SimtTile<C>;
  using Shared = typename Tile::Shared;
  AX_SHARED(Shared, memory);
  const Tile tile(memory);
  const AttentionShape& s = x.s;
  const int parts = s.v_dim > Tile::kColumns ? static_cast<int>(tilesOf(s.v_dim, Tile::kColumns)) : 1;
  const AttentionUnit unit(static_cast<int>(tilesOf(s.q_len, Tile::kRows)), s.heads, parts, s.isCausal());
  const int kv_head = unit.head / x.group, q0 = unit.tile * Tile::kRows;
  const int queries = s.q_len - q0 < Tile::kRows ? s.q_len - q0 : Tile::kRows, col0 = unit.part * Tile::kColumns;
  const int64_t first_q = x.offset(s.q, unit.batch, unit.head) + int64_t{q0} * s.q.row;
  const SimtRows<C> q{x.a.q, x.dtype, first_q, s.q.row, queries, static_cast<C>(x.scale)};
  const SimtRows<C> k{x.a.k, x.dtype, x.offset(s.k, unit.batch, kv_head), s.k.row, s.k_len, C(1)};
  const SimtRows<C> v{x.a.v, x.dtype, x.offset(s.v, unit.batch, kv_head), s.v.row, s.k_len, C(1)};
  const int64_t first_row = x.firstRow(unit.batch, unit.head);
  typename Tile::Sums out, scores;
  C largest[Tile::kPart], total[Tile::kPart];  // `total` is this thread's part of the sum of exponentials
  Tile::clear(out);
#pragma unroll
  for (int i = 0; i < Tile::kPart; ++i) {
    largest[i] = C(-INFINITY);
    total[i] = C(0);
  }
  const int seen = x.seenKeys(int64_t{q0} + queries);
#pragma unroll 1
  for (int k0 = 0; k0 < seen; k0 += Tile::kColumns) {
    const int keys = seen - k0 < Tile::kColumns ? seen - k0 : Tile::kColumns;
    Tile::clear(scores);
    tile.addRowProducts(scores, q, k.from(k0, keys), s.dim);
    if (s.mask_kind != AX_ATTENTION_NO_MASK) {
      tile.eachRow(scores, [&](int i, C(&four)[4]) { maskRow(x, unit, q0 + tile.row + i, k0 + tile.col, four); });
    }
#pragma unroll
    for (int i = 0; i < Tile::kPart; ++i) {
      const int query = q0 + tile.row + i;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (x.isHidden(query, k0 + tile.col + j)) scores[i][j] = C(-INFINITY);
      }
      const C factor = relateRow(scores[i], &largest[i]);
      total[i] *= factor;
#pragma unroll
      for (int j = 0; j < 4; ++j) out[i][j] *= factor;
    }
    tile.exponentiate(scores);
#pragma unroll
    for (int i = 0; i < Tile::kPart; ++i) total[i] += (scores[i][0] + scores[i][1]) + (scores[i][2] + scores[i][3]);
    tile.storeWeights(scores);
    if (x.dropout.p > 0) {
      tile.eachStoredRow([&](int i, C(&four)[4]) { dropFour(x.dropout, first_row + q0 + tile.row + i, k0 + tile.col, four); });
    }
    tile.addWeighted(out, v.from(k0, keys), col0, s.v_dim);
  }
  // Of the 16 threads that share rows, thread i ends row i.
  C sum = C(0), top = C(0);
#pragma unroll
  for (int i = 0; i < Tile::kPart; ++i) {
    const C row_sum = Tile::combineRow(total[i], [](C a, C b) { return a + b; });
    if (static_cast<int>(threadIdx.x) % Tile::kSide == i) {
      sum = row_sum;
      top = largest[i];
    }
  }
  const int own = static_cast<int>(threadIdx.x) % Tile::kSide;
  const bool sees = sum != C(0);
  const C own_inverse = sees ? C(1) / sum : C(0);
  if (unit.part == 0 && own < Tile::kPart && tile.row + own < queries) {
    static_cast<C*>(x.a.lse)[first_row + q0 + tile.row + own] = sees ? top + log(sum) : C(-INFINITY);
  }
#pragma unroll
  for (int i = 0; i < Tile::kPart; ++i) {
    const C inverse = __shfl_sync(0xffffffff, own_inverse, i, Tile::kSide);
#pragma unroll
    for (int j = 0; j < 4; ++j) out[i][j] *= inverse;
  }
  const int64_t to = x.offset(s.out, unit.batch, unit.head) + int64_t{q0} * s.out.row;
  tile.store(x.a.out, x.dtype, to, s.out.row, out, C(1), queries, col0, s.v_dim);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_SIMT_FORWARD_CUH_
