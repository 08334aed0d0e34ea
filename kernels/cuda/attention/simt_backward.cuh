// The backward pass on the SIMT units. With P the probabilities, F the factors of dropout and D = rowsum(dO * O):
//   dV = (P F)^T dO,  dS = P (dO V^T F - D),  dQ = scale dS K,  dK = scale dS^T Q.
// A block takes a tile of queries for dQ, or a tile of keys for dK and dV, and computes P again from the saved lse.
#ifndef AX_CUDA_ATTENTION_SIMT_BACKWARD_CUH_
#define AX_CUDA_ATTENTION_SIMT_BACKWARD_CUH_
#include "cuda/attention/simt_forward.cuh"

namespace ax {
inline namespace AX_ISA {

// rowsum(dO * O), a thread for each row: it adds in the order of addRowProducts, so that the gradient of a score is exactly 0 where a query
// sees one key.
template <class C>
__global__ void AX_MAX_THREADS(kThreads) simtDeltaKernel(AttentionProblem x) {
  const AttentionShape& s = x.s;
  const int64_t row = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (row >= int64_t{s.batch} * s.heads * s.q_len) return;
  const int query = static_cast<int>(row % s.q_len);
  const int head = static_cast<int>(row / s.q_len % s.heads), batch = static_cast<int>(row / s.q_len / s.heads);
  const SimtRows<C> grad{x.a.grad_out, x.dtype, x.offset(s.grad_out, batch, head), s.grad_out.row, s.q_len, C(1)};
  const SimtRows<C> out{x.a.out, x.dtype, x.offset(s.out, batch, head), s.out.row, s.q_len, C(1)};
  C sum = C(0);
  if (grad.isAligned(s.v_dim) && out.isAligned(s.v_dim)) {
    for (int d = 0; d < s.v_dim; d += Vector16<C>::kCount) {
      const Vector16<C> a = grad.loadVector(query, d, s.v_dim), b = out.loadVector(query, d, s.v_dim);
#pragma unroll
      for (int i = 0; i < Vector16<C>::kCount; ++i) sum += a.v[i] * b.v[i];
    }
  } else {
#pragma unroll 1
    for (int d = 0; d < s.v_dim; ++d) sum += grad.load(query, d, s.v_dim) * out.load(query, d, s.v_dim);
  }
  static_cast<C*>(x.delta)[row] = sum;
}

// Rows are queries, columns keys: from scores to dS, which also goes to grad_scores where that is wanted.
template <class C>
AX_DEVICE void differentiateQueries(const AttentionProblem& x, const SimtTile<C>& tile, const AttentionUnit& unit, int q0, int k0,
                                    typename SimtTile<C>::Sums& scores, typename SimtTile<C>::Sums& grads) {
  const AttentionShape& s = x.s;
  const int64_t first_row = x.firstRow(unit.batch, unit.head) + q0 + tile.row;
  const int key = k0 + tile.col;
  if (s.mask_kind != AX_ATTENTION_NO_MASK) {
    tile.eachRow(scores, [&](int i, C(&four)[4]) { maskRow(x, unit, q0 + tile.row + i, key, four); });
  }
  if (x.dropout.p > 0) {
    tile.eachRow(grads, [&](int i, C(&four)[4]) { dropFour(x.dropout, first_row + i, key, four); });
  }
  C delta[SimtTile<C>::kPart];
#pragma unroll
  for (int i = 0; i < SimtTile<C>::kPart; ++i) {
    const int query = q0 + tile.row + i;
    const bool is_row = query < s.q_len;
    const C lse = is_row ? static_cast<const C*>(x.a.lse)[first_row + i] : C(-INFINITY);
    delta[i] = is_row ? static_cast<const C*>(x.delta)[first_row + i] : C(0);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bool is_hidden = lse == C(-INFINITY) || x.isHidden(query, key + j);
      scores[i][j] = is_hidden ? C(-INFINITY) : scores[i][j] - lse;
      if (is_hidden) grads[i][j] = delta[i];
    }
  }
  tile.exponentiate(scores);
#pragma unroll
  for (int i = 0; i < SimtTile<C>::kPart; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) scores[i][j] *= grads[i][j] - delta[i];
  }
  if (x.a.grad_scores == nullptr || unit.part != 0) return;
  tile.eachRow(scores, [&](int i, C(&four)[4]) {
    if (q0 + tile.row + i >= s.q_len) return;
    C* const to = static_cast<C*>(x.a.grad_scores) + (first_row + i) * s.k_len + key;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (key + j < s.k_len) to[j] = four[j];
    }
  });
}

template <class C>
__global__ void AX_MAX_THREADS(kThreads, 1) simtQueryGradientKernel(AttentionProblem x) {
  using Tile = SimtTile<C>;
  using Shared = typename Tile::Shared;
  AX_SHARED(Shared, memory);
  const Tile tile(memory);
  const AttentionShape& s = x.s;
  const int parts = s.dim > Tile::kColumns ? static_cast<int>(tilesOf(s.dim, Tile::kColumns)) : 1;
  const AttentionUnit unit(static_cast<int>(tilesOf(s.q_len, Tile::kRows)), s.heads, parts, s.isCausal());
  const int kv_head = unit.head / x.group, q0 = unit.tile * Tile::kRows;
  const int queries = s.q_len - q0 < Tile::kRows ? s.q_len - q0 : Tile::kRows, col0 = unit.part * Tile::kColumns;
  const C scale = static_cast<C>(x.scale);
  const int64_t first_grad = x.offset(s.grad_out, unit.batch, unit.head) + int64_t{q0} * s.grad_out.row;
  const SimtRows<C> q{x.a.q, x.dtype, x.offset(s.q, unit.batch, unit.head) + int64_t{q0} * s.q.row, s.q.row, queries, scale};
  const SimtRows<C> grad_out{x.a.grad_out, x.dtype, first_grad, s.grad_out.row, queries, C(1)};
  const SimtRows<C> k{x.a.k, x.dtype, x.offset(s.k, unit.batch, kv_head), s.k.row, s.k_len, C(1)};
  const SimtRows<C> v{x.a.v, x.dtype, x.offset(s.v, unit.batch, kv_head), s.v.row, s.k_len, C(1)};
  typename Tile::Sums grad_q, scores, grads;
  Tile::clear(grad_q);
  const int seen = x.seenKeys(int64_t{q0} + queries);
#pragma unroll 1
  for (int k0 = 0; k0 < seen; k0 += Tile::kColumns) {
    const int keys = seen - k0 < Tile::kColumns ? seen - k0 : Tile::kColumns;
    Tile::clear(scores);
    Tile::clear(grads);
    tile.addRowProducts(scores, q, k.from(k0, keys), s.dim);
    tile.addRowProducts(grads, grad_out, v.from(k0, keys), s.v_dim);
    differentiateQueries(x, tile, unit, q0, k0, scores, grads);
    tile.storeWeights(scores);
    tile.addWeighted(grad_q, k.from(k0, keys), col0, s.dim);
  }
  const int64_t to = x.offset(s.grad_q, unit.batch, unit.head) + int64_t{q0} * s.grad_q.row;
  tile.store(x.a.grad_q, x.dtype, to, s.grad_q.row, grad_q, scale, queries, col0, s.dim);
}

// Rows are keys, columns queries: from scores and the gradients of probabilities to dS in `grads`, and to probabilities in `scores`.
template <class C>
AX_DEVICE void differentiateKeys(const AttentionProblem& x, const SimtTile<C>& tile, int batch, int head, int q0, int k0,
                                 typename SimtTile<C>::Sums& scores, typename SimtTile<C>::Sums& grads) {
  const AttentionShape& s = x.s;
  const int64_t first_row = x.firstRow(batch, head) + q0 + tile.col;
  if (s.mask_kind != AX_ATTENTION_NO_MASK) {
    tile.eachColumn(scores, [&](int i, int j, C(&four)[4]) {
      const int query = q0 + tile.col + j, key = k0 + tile.row + i;
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        if (query < s.q_len && key + n < s.k_len) four[n] = x.masked(four[n], batch, head, query, key + n);
      }
    });
  }
  if (x.dropout.p > 0) {
    tile.eachColumn(grads, [&](int i, int j, C(&four)[4]) { dropFour(x.dropout, first_row + j, k0 + tile.row + i, four); });
  }
  C delta[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int query = q0 + tile.col + j;
    const bool is_row = query < s.q_len;
    const C lse = is_row ? static_cast<const C*>(x.a.lse)[first_row + j] : C(-INFINITY);
    delta[j] = is_row ? static_cast<const C*>(x.delta)[first_row + j] : C(0);
#pragma unroll
    for (int i = 0; i < SimtTile<C>::kPart; ++i) {
      const bool is_hidden = lse == C(-INFINITY) || x.isHidden(query, k0 + tile.row + i);
      scores[i][j] = is_hidden ? C(-INFINITY) : scores[i][j] - lse;
      if (is_hidden) grads[i][j] = delta[j];
    }
  }
  tile.exponentiate(scores);
#pragma unroll
  for (int i = 0; i < SimtTile<C>::kPart; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) grads[i][j] = scores[i][j] * (grads[i][j] - delta[j]);
  }
}

// Sums over the queries of all heads that read the keys, in order.
template <class C>
__global__ void AX_MAX_THREADS(kThreads, 1) simtKeyGradientKernel(AttentionProblem x) {
  using Tile = SimtTile<C>;
  using Shared = typename Tile::Shared;
  AX_SHARED(Shared, memory);
  const Tile tile(memory);
  const AttentionShape& s = x.s;
  const int widest = s.dim > s.v_dim ? s.dim : s.v_dim;
  const int parts = widest > Tile::kColumns ? static_cast<int>(tilesOf(widest, Tile::kColumns)) : 1;
  const AttentionUnit unit(static_cast<int>(tilesOf(s.k_len, Tile::kRows)), s.kv_heads, parts, false);
  const int k0 = unit.tile * Tile::kRows, col0 = unit.part * Tile::kColumns;
  const int keys = s.k_len - k0 < Tile::kRows ? s.k_len - k0 : Tile::kRows;
  const SimtRows<C> k{x.a.k, x.dtype, x.offset(s.k, unit.batch, unit.head) + int64_t{k0} * s.k.row, s.k.row, keys, C(1)};
  const SimtRows<C> v{x.a.v, x.dtype, x.offset(s.v, unit.batch, unit.head) + int64_t{k0} * s.v.row, s.v.row, keys, C(1)};
  typename Tile::Sums grad_k, grad_v, scores, grads;
  Tile::clear(grad_k);
  Tile::clear(grad_v);
  for (int head = unit.head * x.group; head < (unit.head + 1) * x.group; ++head) {
    const SimtRows<C> q{x.a.q, x.dtype, x.offset(s.q, unit.batch, head), s.q.row, s.q_len, static_cast<C>(x.scale)};
    const SimtRows<C> grad_out{x.a.grad_out, x.dtype, x.offset(s.grad_out, unit.batch, head), s.grad_out.row, s.q_len, C(1)};
#pragma unroll 1
    for (int q0 = s.isCausal() ? k0 : 0; q0 < s.q_len; q0 += Tile::kColumns) {
      const int queries = s.q_len - q0 < Tile::kColumns ? s.q_len - q0 : Tile::kColumns;
      Tile::clear(scores);
      Tile::clear(grads);
      tile.addRowProducts(scores, k, q.from(q0, queries), s.dim);
      tile.addRowProducts(grads, v, grad_out.from(q0, queries), s.v_dim);
      differentiateKeys(x, tile, unit.batch, head, q0, k0, scores, grads);
      tile.storeWeights(scores);
      if (x.dropout.p > 0) {
        const int64_t first_row = x.firstRow(unit.batch, head) + q0 + tile.col;
        tile.eachStoredColumn([&](int i, int j, C(&four)[4]) { dropFour(x.dropout, first_row + j, k0 + tile.row + i, four); });
      }
      tile.addWeighted(grad_v, grad_out.from(q0, queries), col0, s.v_dim);
      tile.storeWeights(grads);
      tile.addWeighted(grad_k, q.from(q0, queries), col0, s.dim);
    }
  }
  const int64_t to_k = x.offset(s.grad_k, unit.batch, unit.head) + int64_t{k0} * s.grad_k.row;
  const int64_t to_v = x.offset(s.grad_v, unit.batch, unit.head) + int64_t{k0} * s.grad_v.row;
  tile.store(x.a.grad_k, x.dtype, to_k, s.grad_k.row, grad_k, C(1), keys, col0, s.dim);
  tile.store(x.a.grad_v, x.dtype, to_v, s.grad_v.row, grad_v, C(1), keys, col0, s.v_dim);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_SIMT_BACKWARD_CUH_
