// The backward pass on the tensor cores; simt_backward.cuh has the formulas. A block takes a tile of queries for dQ, or a tile of keys for
// dK and dV, where it computes scores as keys times queries: either way P and dS are left operands of the next product in a warp's
// registers.
#ifndef AX_CUDA_ATTENTION_MMA_BACKWARD_CUH_
#define AX_CUDA_ATTENTION_MMA_BACKWARD_CUH_
#include "cuda/attention/mma_forward.cuh"

namespace ax {
inline namespace AX_ISA {

template <int kDim>
struct MmaQueryGradient {
  // dQ, scores and their gradients lie in registers: with rows of 128 elements for 16 queries a warp, with 64 for 16 keys at a time.
  static constexpr int kM = kDim <= 64 ? 2 : 1, kQueries = kMmaWarps * kM * 16, kKeys = kDim == 64 ? 16 : 32;
  static constexpr int kStages = 2, kStageElements = 2 * kKeys * kDim;
  using Extras = MmaExtras<kM, kKeys, false>;
  static constexpr int kTileBytes = (2 * kQueries * kDim + kStages * kStageElements) * 2;
  static_assert(kTileBytes + kMmaWarps * Extras::kFloats * 4 <= 99 << 10);
};

// Queries that see no key have an lse of -inf; with +inf instead their probabilities become 0. In units of the exponent of 2.
AX_DEVICE float exponentOf(float lse) { return lse == -INFINITY ? INFINITY : lse * kLog2E; }

template <int kDim>
__global__ void AX_MAX_THREADS(kMmaThreads, 1) mmaQueryGradientKernel(AttentionProblem x) {
  using Sizes = MmaQueryGradient<kDim>;
  using Tile = MmaTile<kDim>;
  constexpr int kM = Sizes::kM, kKeys = Sizes::kKeys, kStages = Sizes::kStages;
  AX_DYNAMIC_SHARED(memory);
  const bool is_bfloat16 = x.dtype == AX_BFLOAT16;
  const Tile q{reinterpret_cast<uint16_t*>(memory), is_bfloat16}, grad_out = q.from(Sizes::kQueries);
  const Tile stages = grad_out.from(Sizes::kQueries);
  const AttentionShape& s = x.s;
  const AttentionUnit unit(static_cast<int>(tilesOf(s.q_len, Sizes::kQueries)), s.heads, 1, s.isCausal());
  const int kv_head = unit.head / x.group, q0 = unit.tile * Sizes::kQueries;
  const MmaRows k(x.a.k, s.k, unit.batch, kv_head, s.k_len, s.dim), v(x.a.v, s.v, unit.batch, kv_head, s.k_len, s.v_dim);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int own = warp * kM * 16, row0 = q0 + own;
  const int tiles = static_cast<int>(tilesOf(x.seenKeys(int64_t{q0} + Sizes::kQueries), kKeys));

  const auto begin = [&](int tile) {
    if (tile < tiles) {
      const Tile stage = stages.from(tile % kStages * 2 * kKeys);
      stage.template copy<kKeys>(k, tile * kKeys);
      stage.from(kKeys).template copy<kKeys>(v, tile * kKeys);
    }
    hw::commitCopies();
  };
  q.template copy<Sizes::kQueries>(MmaRows(x.a.q, s.q, unit.batch, unit.head, s.q_len, s.dim), q0);
  grad_out.template copy<Sizes::kQueries>(MmaRows(x.a.grad_out, s.grad_out, unit.batch, unit.head, s.q_len, s.v_dim), q0);
#pragma unroll 1
  for (int tile = 0; tile < kStages - 1; ++tile) begin(tile);

  const bool is_masked = s.mask_kind != AX_ATTENTION_NO_MASK;
  const float scale = static_cast<float>(x.scale), exponent_scale = is_masked ? kLog2E : scale * kLog2E;
  const typename Sizes::Extras extras{x, reinterpret_cast<float*>(memory + Sizes::kTileBytes) + warp * Sizes::Extras::kFloats, unit.batch,
                                      unit.head};
  float exponent[kM][2], delta[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int query = row0 + m * 16 + h * 8 + lane / 4;
      const int64_t at = x.firstRow(unit.batch, unit.head) + query;
      exponent[m][h] = query < s.q_len ? exponentOf(static_cast<const float*>(x.a.lse)[at]) : INFINITY;
      delta[m][h] = query < s.q_len ? static_cast<const float*>(x.delta)[at] : 0.0f;
    }
  }
  typename Tile::template Left<kM> own_q, own_grad;
  hw::waitForCopies<kStages - 2>();
  __syncthreads();
  own_q.load(q.from(own));
  own_grad.load(grad_out.from(own));
  Fragments<kM, kDim / 8> grad_q;
  grad_q.clear();
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    const int k0 = tile * kKeys;
    hw::waitForCopies<kStages - 2>();
    __syncthreads();
    begin(tile + kStages - 1);
    const Tile keys = stages.from(tile % kStages * 2 * kKeys), values = keys.from(kKeys);
    Fragments<kM, kKeys / 8> scores, grads;
    keys.multiplyLeft(scores, own_q);
    values.multiplyLeft(grads, own_grad);
    if (is_masked) extras.addMask(scores, scale, row0, k0);
    if (x.dropout.p > 0) {
      extras.fillKept(row0, k0, static_cast<float>(x.dropout.kept));
      extras.drop(grads);
    }
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float probability = hw::fastExp2(scores.v[m][n][i] * exponent_scale - exponent[m][i / 2]);
          scores.v[m][n][i] = probability * (grads.v[m][n][i] - delta[m][i / 2]);
        }
      }
    }
    if (k0 + kKeys > s.k_len || (s.isCausal() && k0 + kKeys - 1 > row0)) hideKeys(x, scores, row0, k0, 0.0f);
    if (x.a.grad_scores != nullptr) extras.storeGradients(scores, row0, k0);
    keys.addWeighted(grad_q, Weights<kM, kKeys / 8>(scores, is_bfloat16));
  }
  hw::waitForAllCopies();
  __syncthreads();
  float factors[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) factors[m][0] = factors[m][1] = scale;
  uint16_t* const to = static_cast<uint16_t*>(x.a.grad_q) + x.offset(s.grad_q, unit.batch, unit.head) + int64_t{row0} * s.grad_q.row;
  q.from(own).store(grad_q, factors, to, s.grad_q.row, s.q_len - row0, s.dim);
}

template <int kDim>
struct MmaKeyGradient {
  static constexpr int kM = kDim <= 64 ? 2 : 1, kKeys = kMmaWarps * kM * 16, kQueries = 32;
  // Behind a stage's queries and gradients lie their lse and delta.
  static constexpr int kStages = 2, kStageElements = 2 * kQueries * kDim + 4 * kQueries;
  using Extras = MmaExtras<kM, kQueries, true>;
  static constexpr int kTileBytes = (2 * kKeys * kDim + kStages * kStageElements) * 2;
  static_assert(kTileBytes + kMmaWarps * Extras::kFloats * 4 <= 99 << 10);
};

// Scores of keys, the rows from row0 on, that queries, the columns from q0 on, may not see become 0 in both.
template <int kM, int kN>
AX_DEVICE void hideFutureKeys(Fragments<kM, kN>& scores, Fragments<kM, kN>& grads, int row0, int q0) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int first = row0 + m * 16 + h * 8 + lane / 4 - q0 - lane % 4 * 2;  // the first column of this lane that sees the key
#pragma unroll
      for (int n = 0; n < kN; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (n * 8 + i < first) scores.v[m][n][2 * h + i] = grads.v[m][n][2 * h + i] = 0.0f;
        }
      }
    }
  }
}

// Sums over the queries of all heads that read the keys, in order.
template <int kDim>
__global__ void AX_MAX_THREADS(kMmaThreads, 1) mmaKeyGradientKernel(AttentionProblem x) {
  using Sizes = MmaKeyGradient<kDim>;
  using Tile = MmaTile<kDim>;
  constexpr int kM = Sizes::kM, kQueries = Sizes::kQueries, kStages = Sizes::kStages;
  AX_DYNAMIC_SHARED(memory);
  const bool is_bfloat16 = x.dtype == AX_BFLOAT16;
  const Tile k{reinterpret_cast<uint16_t*>(memory), is_bfloat16}, v = k.from(Sizes::kKeys);
  uint16_t* const stages = v.data + Sizes::kKeys * kDim;
  const AttentionShape& s = x.s;
  const AttentionUnit unit(static_cast<int>(tilesOf(s.k_len, Sizes::kKeys)), s.kv_heads, 1, false);
  const int k0 = unit.tile * Sizes::kKeys;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int own = warp * kM * 16, row0 = k0 + own;
  // The tiles of queries that see a key of the block, of one head after the other.
  const int first = s.isCausal() ? k0 / kQueries * kQueries : 0;
  const int end_head = first < s.q_len ? (unit.head + 1) * x.group : 0;
  struct Place {
    int head, q0;
    AX_DEVICE void advance(int first, int q_len) {
      q0 += kQueries;
      if (q0 < q_len) return;
      q0 = first;
      ++head;
    }
  };
  Place here{unit.head * x.group, first}, next = here;

  const auto begin = [&](int slot) {
    if (next.head < end_head) {
      const Tile stage{stages + slot * Sizes::kStageElements, is_bfloat16};
      stage.template copy<kQueries>(MmaRows(x.a.q, s.q, unit.batch, next.head, s.q_len, s.dim), next.q0);
      stage.from(kQueries).template copy<kQueries>(MmaRows(x.a.grad_out, s.grad_out, unit.batch, next.head, s.q_len, s.v_dim), next.q0);
      if (static_cast<int>(threadIdx.x) < 2 * kQueries) {
        const int query = next.q0 + static_cast<int>(threadIdx.x) % kQueries;
        const float* from = static_cast<const float*>(static_cast<int>(threadIdx.x) < kQueries ? x.a.lse : x.delta);
        float* const to = reinterpret_cast<float*>(stage.data + 2 * kQueries * kDim) + threadIdx.x;
        hw::copyAsync<4>(to, from + x.firstRow(unit.batch, next.head) + query, query < s.q_len ? 4 : 0);
      }
      next.advance(first, s.q_len);
    }
    hw::commitCopies();
  };
  k.template copy<Sizes::kKeys>(MmaRows(x.a.k, s.k, unit.batch, unit.head, s.k_len, s.dim), k0);
  v.template copy<Sizes::kKeys>(MmaRows(x.a.v, s.v, unit.batch, unit.head, s.k_len, s.v_dim), k0);
#pragma unroll 1
  for (int slot = 0; slot < kStages - 1; ++slot) begin(slot);

  const bool is_masked = s.mask_kind != AX_ATTENTION_NO_MASK;
  const float scale = static_cast<float>(x.scale), exponent_scale = is_masked ? kLog2E : scale * kLog2E;
  // Made where it is needed: the registers are all taken.
  const auto extras = [&] {
    float* const values = reinterpret_cast<float*>(memory + Sizes::kTileBytes) + warp * Sizes::Extras::kFloats;
    return typename Sizes::Extras{x, values, unit.batch, here.head};
  };
  Fragments<kM, kDim / 8> grad_k, grad_v;
  grad_k.clear();
  grad_v.clear();
#pragma unroll 1
  for (int slot = 0; here.head < end_head; slot = (slot + 1) % kStages) {
    hw::waitForCopies<kStages - 2>();
    __syncthreads();
    begin((slot + kStages - 1) % kStages);
    const int q0 = here.q0;
    const Tile q{stages + slot * Sizes::kStageElements, is_bfloat16}, grad_out = q.from(kQueries);
    const float* const lse = reinterpret_cast<const float*>(q.data + 2 * kQueries * kDim) + lane % 4 * 2;
    Fragments<kM, kQueries / 8> scores, grads;
    k.from(own).multiplyRows(scores, q);
    v.from(own).multiplyRows(grads, grad_out);
    if (is_masked) extras().addMask(scores, scale, row0, q0);
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float exponent = exponentOf(lse[n * 8 + i]);
#pragma unroll
        for (int m = 0; m < kM; ++m) {
#pragma unroll
          for (int h = 0; h < 4; h += 2) {
            scores.v[m][n][h + i] = hw::fastExp2(scores.v[m][n][h + i] * exponent_scale - exponent);
          }
        }
      }
    }
    if (x.dropout.p > 0) {
      extras().fillKept(row0, q0, static_cast<float>(x.dropout.kept));
      extras().drop(grads);
    }
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float delta = lse[kQueries + n * 8 + i];
#pragma unroll
        for (int m = 0; m < kM; ++m) {
#pragma unroll
          for (int h = 0; h < 4; h += 2) grads.v[m][n][h + i] = scores.v[m][n][h + i] * (grads.v[m][n][h + i] - delta);
        }
      }
    }
    if (s.isCausal() && q0 < row0 + kM * 16 - 1) hideFutureKeys(scores, grads, row0, q0);
    if (x.dropout.p > 0) extras().drop(scores);
    const Weights<kM, kQueries / 8> probabilities(scores, is_bfloat16), gradients(grads, is_bfloat16);
    grad_out.addWeighted(grad_v, probabilities);
    q.addWeighted(grad_k, gradients);
    here.advance(first, s.q_len);
  }
  hw::waitForAllCopies();
  __syncthreads();
  float factors[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) factors[m][0] = factors[m][1] = scale;
  const int64_t to_k = x.offset(s.grad_k, unit.batch, unit.head) + int64_t{row0} * s.grad_k.row;
  k.from(own).store(grad_k, factors, static_cast<uint16_t*>(x.a.grad_k) + to_k, s.grad_k.row, s.k_len - row0, s.dim);
#pragma unroll
  for (int m = 0; m < kM; ++m) factors[m][0] = factors[m][1] = 1.0f;
  const int64_t to_v = x.offset(s.grad_v, unit.batch, unit.head) + int64_t{row0} * s.grad_v.row;
  v.from(own).store(grad_v, factors, static_cast<uint16_t*>(x.a.grad_v) + to_v, s.grad_v.row, s.k_len - row0, s.v_dim);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_MMA_BACKWARD_CUH_
