// Tiles of 16-bit rows in shared memory and their products on the tensor cores. A warp owns kM times 16 rows of the results; its fragments
// of scores become operands of the next product in its registers, so probabilities never pass through shared memory.
#ifndef AX_CUDA_ATTENTION_MMA_TILE_CUH_
#define AX_CUDA_ATTENTION_MMA_TILE_CUH_
#include "cuda/attention/problem.cuh"
#include "hw/arithmetic.h"
#include "hw/async_copy.h"
#include "hw/mma.h"

namespace ax {
inline namespace AX_ISA {

constexpr int kMmaWarps = 4, kMmaThreads = 32 * kMmaWarps;
constexpr uint32_t kWholeWarp = 0xffffffff;

// One kernel serves both 16-bit dtypes: they differ only inside the products, which choose once for a whole tile. That halves the library,
// and a branch that all threads take alike costs nothing beside a product.
struct MmaBFloat16 {
  AX_DEVICE static void add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { hw::mmaBFloat16(d, a, b); }
  AX_DEVICE static uint32_t pack(float low, float high) { return hw::packBFloat16(low, high); }
};
struct MmaFloat16 {
  AX_DEVICE static void add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { hw::mmaFloat16(d, a, b); }
  AX_DEVICE static uint32_t pack(float low, float high) { return hw::packFloat16(low, high); }
};

// Results of a warp: kM x kN tiles of 16 x 8. Lane l holds rows l / 4 and l / 4 + 8 and columns 2 (l % 4) and the next of each.
template <int kM, int kN>
struct Fragments {
  float v[kM][kN][4];

  AX_DEVICE void clear() {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kN; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) v[m][n][i] = 0.0f;
      }
    }
  }
};

template <class F>
AX_DEVICE void withMma(bool is_bfloat16, const F& f) {
  if (is_bfloat16) {
    f(MmaBFloat16());
  } else {
    f(MmaFloat16());
  }
}

// Fragments rounded to 16 bits, as left operands of a product along their columns.
template <int kM, int kN>
struct Weights {
  uint32_t v[kM][kN / 2][4];

  AX_DEVICE Weights(const Fragments<kM, kN>& x, bool is_bfloat16) {
    withMma(is_bfloat16, [&](auto mma) {
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int k = 0; k < kN / 2; ++k) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const float* pair = x.v[m][k * 2 + i / 2] + i % 2 * 2;
            v[m][k][i] = mma.pack(pair[0], pair[1]);
          }
        }
      }
    });
  }
};

// Rows of an operand in global memory: `rows` of them, of `dim` elements, at 16-byte boundaries.
struct MmaRows {
  const uint16_t* first;
  int64_t stride;
  int rows, dim;

  AX_DEVICE MmaRows(const uint16_t* address, int64_t distance, int count, int elements)
      : first(address), stride(distance), rows(count), dim(elements) {}
  AX_DEVICE MmaRows(const void* data, const RowStrides& strides, int batch, int head, int count, int elements)
      : first(static_cast<const uint16_t*>(data) + AttentionProblem::offset(strides, batch, head)),
        stride(strides.row),
        rows(count),
        dim(elements) {}

  // One of two, field by field: with an address of either they would lie in memory.
  AX_DEVICE static MmaRows choose(bool is_first, const MmaRows& a, const MmaRows& b) {
    return {is_first ? a.first : b.first, is_first ? a.stride : b.stride, is_first ? a.rows : b.rows, is_first ? a.dim : b.dim};
  }
};

// Rows of kDim elements in shared memory, in pieces of 16 bytes. Piece p of row r lies at p ^ (r % 8), or, where a row is not a multiple of
// 128 bytes, at p ^ (r / 2 % 4): then the eight rows that a matrix is loaded from lie in different banks, and so do the eight pieces
// that neighbouring threads write.
template <int kDim>
struct MmaTile {
  static constexpr int kPieces = kDim / 8;
  static constexpr int kSteps = kDim / 16;  // of products along kDim
  static constexpr bool kIsWide = kPieces % 8 == 0;

  uint16_t* data;
  bool is_bfloat16;

  AX_DEVICE static int place(int row, int piece) { return (row * kPieces + (piece ^ (kIsWide ? row & 7 : row >> 1 & 3))) * 8; }

  // Begins to copy kRows rows from `row0` on, with zeros for what does not exist. A thread copies the same pieces of every kStep-th row,
  // and as kStep is a multiple of 8, its places differ by constants.
  template <int kRows>
  AX_DEVICE void copy(const MmaRows& x, int row0) const {
    constexpr int kAcross = kIsWide ? 8 : 4, kStep = kMmaThreads / kAcross;
    static_assert(kRows % kStep == 0);
    const int row = static_cast<int>(threadIdx.x) / kAcross, piece = static_cast<int>(threadIdx.x) % kAcross;
    const uint16_t* from = x.first + (row0 + row) * x.stride + piece * 8;
    uint16_t* const to = data + place(row, piece);
#pragma unroll
    for (int i = 0; i < kRows; i += kStep, from += kStep * x.stride) {
      const bool is_row = row0 + row + i < x.rows;
#pragma unroll
      for (int j = 0; j < kPieces; j += kAcross) {
        const int bytes = 2 * min(8, max(0, x.dim - (piece + j) * 8));
        hw::copyAsync<16>(to + i * kDim + j * 8, from + j * 8, is_row ? bytes : 0);
      }
    }
  }

  // The rows from `row` on, a multiple of 8.
  AX_DEVICE MmaTile from(int row) const { return {data + row * kDim, is_bfloat16}; }

  // A left operand of 16 rows from row0 and 16 columns.
  AX_DEVICE void loadLeft(uint32_t (&a)[4], int row0, int step) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    hw::loadMatrices<4>(a, pieceOf(lane % 16, lane / 16, row0, step));
  }
  // Two right operands of 16 by 8 whose columns are rows row0 to row0 + 15 of this tile.
  AX_DEVICE void loadRight(uint32_t (&b)[4], int row0, int step) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    hw::loadMatrices<4>(b, pieceOf(lane % 8 + lane / 16 * 8, lane / 8 % 2, row0, step));
  }
  // Two right operands of 16 by 8 from 16 rows from row0 on, and 16 columns.
  AX_DEVICE void loadRightRows(uint32_t (&b)[4], int row0, int step) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    hw::loadMatrices<4, true>(b, pieceOf(lane % 16, lane / 16, row0, step));
  }

  // The first rows of this tile as left operands that stay in registers.
  template <int kM>
  struct Left {
    uint32_t v[kSteps][kM][4];

    AX_DEVICE void load(const MmaTile& tile) {
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
#pragma unroll
        for (int m = 0; m < kM; ++m) tile.loadLeft(v[step][m], m * 16, step);
      }
    }
  };

  // sums = left operands times the rows of this tile, transposed.
  template <int kM, int kN>
  AX_DEVICE void multiplyLeft(Fragments<kM, kN>& sums, const Left<kM>& left) const {
    sums.clear();
    withMma(is_bfloat16, [&](auto mma) {
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
#pragma unroll
        for (int n = 0; n < kN; n += 2) {
          uint32_t b[4];
          loadRight(b, n * 8, step);
#pragma unroll
          for (int m = 0; m < kM; ++m) addPair(mma, sums.v[m][n], sums.v[m][n + 1], left.v[step][m], b);
        }
      }
    });
  }

  // sums = the first rows of this tile times those of `right`, transposed.
  template <int kM, int kN>
  AX_DEVICE void multiplyRows(Fragments<kM, kN>& sums, const MmaTile& right) const {
    sums.clear();
    withMma(is_bfloat16, [&](auto mma) {
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        uint32_t a[kM][4];
#pragma unroll
        for (int m = 0; m < kM; ++m) loadLeft(a[m], m * 16, step);
#pragma unroll
        for (int n = 0; n < kN; n += 2) {
          uint32_t b[4];
          right.loadRight(b, n * 8, step);
#pragma unroll
          for (int m = 0; m < kM; ++m) addPair(mma, sums.v[m][n], sums.v[m][n + 1], a[m], b);
        }
      }
    });
  }

  // sums += weights times the rows of this tile.
  template <int kM, int kN>
  AX_DEVICE void addWeighted(Fragments<kM, kDim / 8>& sums, const Weights<kM, kN>& weights) const {
    withMma(is_bfloat16, [&](auto mma) {
#pragma unroll
      for (int k = 0; k < kN / 2; ++k) {
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
          uint32_t b[4];
          loadRightRows(b, k * 16, step);
#pragma unroll
          for (int m = 0; m < kM; ++m) addPair(mma, sums.v[m][step * 2], sums.v[m][step * 2 + 1], weights.v[m][k], b);
        }
      }
    });
  }

  // Results of this warp times `factors` of each row, by way of this tile, whose first rows are the warp's own, into `rows` rows of an
  // operand.
  template <int kM>
  AX_DEVICE void store(const Fragments<kM, kDim / 8>& sums, const float (&factors)[kM][2], uint16_t* to, int64_t stride, int rows,
                       int dim) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    __syncwarp();
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kPieces; ++n) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const float* pair = sums.v[m][n] + 2 * h;
          const float low = pair[0] * factors[m][h], high = pair[1] * factors[m][h];
          uint16_t* const at = data + place(m * 16 + h * 8 + lane / 4, n) + lane % 4 * 2;
          *reinterpret_cast<uint32_t*>(at) = is_bfloat16 ? MmaBFloat16::pack(low, high) : MmaFloat16::pack(low, high);
        }
      }
    }
    __syncwarp();
#pragma unroll 1
    for (int e = lane; e < kM * 16 * kPieces; e += 32) {
      const int row = e / kPieces, piece = e % kPieces, left = dim - piece * 8;
      const uint16_t* const from = data + place(row, piece);
      uint16_t* const into = to + row * stride + piece * 8;
      if (row >= rows || left <= 0) continue;
      if (left >= 8) {
        *reinterpret_cast<Vector16<uint16_t>*>(into) = *reinterpret_cast<const Vector16<uint16_t>*>(from);
      } else {
#pragma unroll 1
        for (int i = 0; i < left; ++i) into[i] = from[i];
      }
    }
  }

 private:
  // Piece 2 step + `piece` of row row0 + `row`, where row0 is a multiple of 8 and `piece` 0 or 1. What depends on the lane is in few terms,
  // so that only an exclusive or is left for each step, and the rest is part of the instruction.
  AX_DEVICE const char* pieceOf(int row, int piece, int row0, int step) const {
    const unsigned key = static_cast<unsigned>(piece ^ (kIsWide ? row & 7 : row >> 1 & 3)) * 16;
    const unsigned offset = static_cast<unsigned>(row * kDim * 2) + (static_cast<unsigned>(step * 32) ^ key);
    return reinterpret_cast<const char*>(data) + offset + row0 * kDim * 2;
  }

  template <class M>
  AX_DEVICE static void addPair(M mma, float (&first)[4], float (&second)[4], const uint32_t (&a)[4], const uint32_t (&b)[4]) {
    const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
    mma.add(first, a, low);
    mma.add(second, a, high);
  }
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_MMA_TILE_CUH_
