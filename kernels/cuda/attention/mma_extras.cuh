// What only some calls of attention have: masks and dropout. A warp prepares their values for a tile of scores, one for each of its
// elements, in shared memory of its own, in loops that are not unrolled and read memory in order; its fragments then take them from there.
// A call without them has no such memory and takes the branch around it.
#ifndef AX_CUDA_ATTENTION_MMA_EXTRAS_CUH_
#define AX_CUDA_ATTENTION_MMA_EXTRAS_CUH_
#include "cuda/attention/mma_tile.cuh"

namespace ax {
inline namespace AX_ISA {

inline bool hasExtras(const AttentionProblem& x) {
  return x.s.mask_kind != AX_ATTENTION_NO_MASK || x.dropout.p > 0 || x.a.grad_scores != nullptr;
}

// Values for kM times 16 rows and kColumns columns of scores. Rows are queries and columns keys, or the other way round.
template <int kM, int kColumns, bool kRowsAreKeys>
struct MmaExtras {
  // Eight floats more than a multiple of 32: then the pairs that half a warp reads lie in different banks.
  static constexpr int kRows = kM * 16, kN = kColumns / 8, kPitch = (kColumns + 31) / 32 * 32 + 8, kFloats = kRows * kPitch;

  const AttentionProblem& x;
  float* values;  // kFloats of this warp
  int batch, head;

  // Bytes of shared memory for all warps of a block.
  static int bytesFor(const AttentionProblem& x) { return hasExtras(x) ? kMmaWarps * kFloats * 4 : 0; }

  AX_DEVICE static int queryOf(int row0, int col0, int row, int col) { return kRowsAreKeys ? col0 + col : row0 + row; }
  AX_DEVICE static int keyOf(int row0, int col0, int row, int col) { return kRowsAreKeys ? row0 + row : col0 + col; }

  // What the mask adds to each score: 0 or -inf where it is bool.
  AX_DEVICE void fillMask(int row0, int col0) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    __syncwarp();
#pragma unroll 1
    for (int e = lane; e < kRows * kColumns; e += 32) {
      const int row = kRowsAreKeys ? e % kRows : e / kColumns, col = kRowsAreKeys ? e / kRows : e % kColumns;
      const int query = queryOf(row0, col0, row, col), key = keyOf(row0, col0, row, col);
      values[row * kPitch + col] = query < x.s.q_len && key < x.s.k_len ? x.masked(0.0f, batch, head, query, key) : 0.0f;
    }
    __syncwarp();
  }

  // `kept` where dropout keeps a probability, else 0.
  AX_DEVICE void fillKept(int row0, int col0, float kept) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    __syncwarp();
#pragma unroll 1
    for (int e = lane; e < kRows / 4 * kColumns; e += 32) {
      const int row = kRowsAreKeys ? e % (kRows / 4) * 4 : e / (kColumns / 4);
      const int col = kRowsAreKeys ? e / (kRows / 4) : e % (kColumns / 4) * 4;
      uint32_t lanes[4];
      x.dropout.words(x.firstRow(batch, head) + queryOf(row0, col0, row, col), keyOf(row0, col0, row, col) / 4, lanes);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        values[kRowsAreKeys ? (row + i) * kPitch + col : row * kPitch + col + i] = x.dropout.keeps(lanes[i]) ? kept : 0.0f;
      }
    }
    __syncwarp();
  }

  // The values of elements 2h and 2h + 1 of a fragment.
  AX_DEVICE float2& pair(int m, int n, int h) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return *reinterpret_cast<float2*>(values + (m * 16 + h * 8 + lane / 4) * kPitch + n * 8 + lane % 4 * 2);
  }
  // Calls f(two elements of a fragment, their values).
  template <class F>
  AX_DEVICE void eachPair(Fragments<kM, kN>& x, const F& f) const {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kN; ++n) {
#pragma unroll
        for (int h = 0; h < 2; ++h) f(x.v[m][n][2 * h], x.v[m][n][2 * h + 1], pair(m, n, h));
      }
    }
  }

  // Scores become scale * score + mask.
  AX_DEVICE void addMask(Fragments<kM, kN>& scores, float scale, int row0, int col0) const {
    fillMask(row0, col0);
    eachPair(scores, [=](float& a, float& b, const float2& added) {
      a = a * scale + added.x;
      b = b * scale + added.y;
    });
  }

  // Values times what fillKept has left.
  AX_DEVICE void drop(Fragments<kM, kN>& weights) const {
    eachPair(weights, [](float& a, float& b, const float2& kept) {
      a *= kept.x;
      b *= kept.y;
    });
  }

  // Gradients of scores, whose rows are queries, into the matrix that an added mask wants.
  AX_DEVICE void storeGradients(Fragments<kM, kN>& gradients, int row0, int col0) const {
    __syncwarp();
    eachPair(gradients, [](float& a, float& b, float2& value) { value = make_float2(a, b); });
    __syncwarp();
    float* const to = static_cast<float*>(x.a.grad_scores) + (x.firstRow(batch, head) + row0) * x.s.k_len + col0;
#pragma unroll 1
    for (int e = static_cast<int>(threadIdx.x) % 32; e < kRows * kColumns; e += 32) {
      const int row = e / kColumns, col = e % kColumns;
      if (row0 + row < x.s.q_len && col0 + col < x.s.k_len) to[row * int64_t{x.s.k_len} + col] = values[row * kPitch + col];
    }
  }
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_MMA_EXTRAS_CUH_
