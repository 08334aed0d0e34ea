// The forward pass on the tensor cores (Dao: "FlashAttention-2", 2023): four warps take 128 queries, 32 each, so that every fragment of
// keys and values that leaves shared memory is used by two products. A product of 16 x 8 x 16 takes two cycles of a multiprocessor of
// sm_80, and so do the 256 bytes of its right operand: with one use of each, the tensor cores would wait for shared memory.
//
// Keys and values come as tiles of 64 rows in turn through a ring of slots, kSlots - 1 tiles ahead of use, with one barrier for each.
#ifndef AX_CUDA_ATTENTION_MMA_FORWARD_CUH_
#define AX_CUDA_ATTENTION_MMA_FORWARD_CUH_
#include "cuda/attention/mma_extras.cuh"

namespace ax {
inline namespace AX_ISA {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

template <int kDim>
struct MmaForward {
  // 128 x 32 scores with rows of 128 elements: 128 x 64 do not fit the registers.
  static constexpr int kM = 2, kQueries = kMmaWarps * kM * 16, kKeys = kDim <= 64 ? 64 : 32;
  // A multiprocessor has room for two blocks (163 KB on sm_80), or on sm_86, sm_89 and sm_120, which have 99 KB, for one.
  static constexpr int kSlots = 4;
  using Extras = MmaExtras<kM, kKeys, false>;
  static constexpr int kTileBytes = (kQueries + kSlots * kKeys) * kDim * 2;
  static_assert(kTileBytes + kMmaWarps * Extras::kFloats * 4 <= 99 << 10);
};

// Turns scores into exponentials relative to the largest so far of each row, `scale` being the factor of scores times log2(e). Returns in
// `factors` what earlier results must be multiplied with; `total` is this lane's part of the sum.
template <int kM, int kN>
AX_DEVICE void exponentiate(Fragments<kM, kN>& scores, float scale, float (&largest)[kM][2], float (&total)[kM][2],
                            float (&factors)[kM][2]) {
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float top = largest[m][h];
#pragma unroll
      for (int n = 0; n < kN; ++n) top = fmaxf(top, fmaxf(scores.v[m][n][2 * h], scores.v[m][n][2 * h + 1]));  // passes over NaN
      top = fmaxf(top, __shfl_xor_sync(kWholeWarp, top, 1));
      top = fmaxf(top, __shfl_xor_sync(kWholeWarp, top, 2));
      // Where nothing may be seen yet, all scores are -inf and their exponentials must be 0.
      const float reference = top == -INFINITY ? 0.0f : top * scale;
      factors[m][h] = hw::fastExp2(largest[m][h] * scale - reference);
      if (top == largest[m][h]) factors[m][h] = 1.0f;
      largest[m][h] = top;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kN; ++n) {
#pragma unroll
        for (int i = 2 * h; i < 2 * h + 2; ++i) {
          scores.v[m][n][i] = hw::fastExp2(scores.v[m][n][i] * scale - reference);
          sum += scores.v[m][n][i];
        }
      }
      total[m][h] = total[m][h] * factors[m][h] + sum;
    }
  }
}

// Scores of keys that queries may not see become `value`. Rows are queries from row0 on, columns keys from k0 on.
template <int kM, int kN>
AX_DEVICE void hideKeys(const AttentionProblem& x, Fragments<kM, kN>& scores, int row0, int k0, float value) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int query = row0 + m * 16 + h * 8 + lane / 4;
      // Columns of this lane below `limit` are seen.
      const int limit = (x.s.isCausal() && query + 1 < x.s.k_len ? query + 1 : x.s.k_len) - k0 - lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < kN; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (n * 8 + i >= limit) scores.v[m][n][2 * h + i] = value;
        }
      }
    }
  }
}

template <int kDim>
__global__ void AX_MAX_THREADS(kMmaThreads, 1) mmaForwardKernel(AttentionProblem x) {
  using Sizes = MmaForward<kDim>;
  using Tile = MmaTile<kDim>;
  constexpr int kM = Sizes::kM, kKeys = Sizes::kKeys, kSlots = Sizes::kSlots;
  AX_DYNAMIC_SHARED(memory);
  const bool is_bfloat16 = x.dtype == AX_BFLOAT16;
  const Tile q{reinterpret_cast<uint16_t*>(memory), is_bfloat16};
  uint16_t* const slots = q.data + Sizes::kQueries * kDim;
  const AttentionShape& s = x.s;
  const AttentionUnit unit(static_cast<int>(tilesOf(s.q_len, Sizes::kQueries)), s.heads, 1, s.isCausal());
  const int kv_head = unit.head / x.group, q0 = unit.tile * Sizes::kQueries;
  const MmaRows k(x.a.k, s.k, unit.batch, kv_head, s.k_len, s.dim), v(x.a.v, s.v, unit.batch, kv_head, s.k_len, s.v_dim);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int own = warp * kM * 16, row0 = q0 + own;  // this warp's rows, in the block and in the head
  const int tiles = static_cast<int>(tilesOf(x.seenKeys(int64_t{q0} + Sizes::kQueries), kKeys));

  const auto begin = [&](int item) {
    if (item < 2 * tiles) {
      const Tile slot{slots + item % kSlots * (kKeys * kDim), is_bfloat16};
      slot.template copy<kKeys>(MmaRows::choose(item % 2 == 0, k, v), item / 2 * kKeys);
    }
    hw::commitCopies();
  };
  // Waits for an item and begins a later one, in the slot of the item before, which all warps are done with.
  const auto take = [&](int item) {
    hw::waitForCopies<kSlots - 2>();
    __syncthreads();
    begin(item + kSlots - 1);
    return Tile{slots + item % kSlots * (kKeys * kDim), is_bfloat16};
  };
  q.template copy<Sizes::kQueries>(MmaRows(x.a.q, s.q, unit.batch, unit.head, s.q_len, s.dim), q0);
#pragma unroll 1
  for (int item = 0; item < kSlots - 1; ++item) begin(item);

  const bool is_masked = s.mask_kind != AX_ATTENTION_NO_MASK;
  const float scale = static_cast<float>(x.scale), exponent_scale = is_masked ? kLog2E : scale * kLog2E;
  const typename Sizes::Extras extras{x, reinterpret_cast<float*>(memory + Sizes::kTileBytes) + warp * Sizes::Extras::kFloats, unit.batch,
                                      unit.head};
  Fragments<kM, kDim / 8> out;
  float largest[kM][2], total[kM][2];
  out.clear();
#pragma unroll
  for (int m = 0; m < kM; ++m) {
    largest[m][0] = largest[m][1] = -INFINITY;
    total[m][0] = total[m][1] = 0.0f;
  }
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    const int k0 = tile * kKeys;
    Fragments<kM, kKeys / 8> scores;
    q.from(own).multiplyRows(scores, take(2 * tile));
    if (is_masked) extras.addMask(scores, scale, row0, k0);
    if (k0 + kKeys > s.k_len || (s.isCausal() && k0 + kKeys - 1 > row0)) hideKeys(x, scores, row0, k0, -INFINITY);
    float factors[kM][2];
    exponentiate(scores, exponent_scale, largest, total, factors);
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) out.v[m][n][i] *= factors[m][i / 2];
      }
    }
    if (x.dropout.p > 0) {
      extras.fillKept(row0, k0, 1.0f);  // 1 / (1 - p) comes at the end: here it might overflow 16 bits
      extras.drop(scores);
    }
    const Weights<kM, kKeys / 8> weights(scores, is_bfloat16);
    take(2 * tile + 1).addWeighted(out, weights);
  }
  hw::waitForAllCopies();
  float inverse[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float sum = total[m][h];
      sum += __shfl_xor_sync(kWholeWarp, sum, 1);
      sum += __shfl_xor_sync(kWholeWarp, sum, 2);
      const bool sees = sum != 0.0f;
      inverse[m][h] = sees ? static_cast<float>(x.dropout.kept) / sum : 0.0f;
      const int query = row0 + m * 16 + h * 8 + lane / 4;
      if (lane % 4 != 0 || query >= s.q_len) continue;
      static_cast<float*>(x.a.lse)[x.firstRow(unit.batch, unit.head) + query] =
          sees ? largest[m][h] * (exponent_scale * kLn2) + logf(sum) : -INFINITY;
    }
  }
  uint16_t* const to = static_cast<uint16_t*>(x.a.out) + x.offset(s.out, unit.batch, unit.head) + int64_t{row0} * s.out.row;
  q.from(own).store(out, inverse, to, s.out.row, s.q_len - row0, s.v_dim);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_MMA_FORWARD_CUH_
