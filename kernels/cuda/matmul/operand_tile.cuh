// The part of an operand that a block has in shared memory: kLines rows of a (or columns of b) by kDepthBytes along k.
//
// Along k (kAlongK), a line's elements follow each other in memory, and a row of the tile is a line; otherwise a row is one place on k. Rows
// are made of 16-byte chunks, whose order is changed with the row, so that the 8 rows that a phase of ldmatrix reads, and the 8 chunks that
// a phase of cp.async writes, lie in different banks.
#ifndef AX_CUDA_MATMUL_OPERAND_TILE_CUH_
#define AX_CUDA_MATMUL_OPERAND_TILE_CUH_
#include "common/dtype.h"
#include "common/hd.h"
#include "hw/async_copy.h"
#include "hw/mma.h"

namespace ax {
inline namespace AX_ISA {

// Where a block's part of an operand lies: `lines` and `depth` are what is left of the matrix from there.
template <class S>
struct OperandPart {
  const S* data;
  int64_t ld;
  int32_t lines, depth;
  bool is_transposed;  // with respect to along k; used where kIsAligned is false
};

// kIsAligned: chunks of the matrix are aligned too, so cp.async copies them. Otherwise elements are read one by one and stored as kAlongK.
template <class S, int kLines, int kDepthBytes, bool kAlongK, bool kIsAligned, int kThreads>
struct OperandTile {
  static constexpr int kElements = 16 / sizeof(S);  // in a chunk
  static constexpr int kDepth = kDepthBytes / sizeof(S);
  static constexpr int kBytes = kLines * kDepthBytes;
  static constexpr int kRowChunks = kAlongK ? kDepthBytes / 16 : kLines / kElements;
  static constexpr int kRows = kAlongK ? kLines : kDepth;
  static constexpr int kRowStep = kThreads / kRowChunks;
  static_assert(kThreads % kRowChunks == 0 && kRows % kRowStep == 0);
  static_assert(kDepthBytes == 64 || kDepthBytes == 128);

  AX_DEVICE static int offsetOf(int row, int chunk) {
    int swizzle;
    if constexpr (!kAlongK) {
      // 32-bit elements are read one by one, four places on k at a time.
      swizzle = sizeof(S) == 2 ? row & 7 : (row & 3) << 1;
    } else {
      swizzle = kDepthBytes == 64 ? row >> 1 & 3 : row & 7;
    }
    return (row * kRowChunks + (chunk ^ swizzle)) * 16;
  }

  // Begins to bring the tile at `k`.
  AX_DEVICE static void copy(unsigned char* tile, const OperandPart<S>& part, int32_t k) {
    if constexpr (kIsAligned) {
      copyChunks(tile, part, k);
    } else {
      copyElements(tile, part, k);
    }
  }

  AX_DEVICE static void copyChunks(unsigned char* tile, const OperandPart<S>& part, int32_t k) {
    const int first_row = threadIdx.x / kRowChunks, chunk = threadIdx.x % kRowChunks;
    const int32_t col = chunk * kElements + (kAlongK ? k : 0);
    const int32_t row_limit = kAlongK ? part.lines : part.depth - k, col_limit = kAlongK ? part.depth : part.lines;
    const int32_t inside = col_limit - col;
    const uint32_t bytes = inside >= kElements ? 16u : inside > 0 ? static_cast<uint32_t>(inside * sizeof(S)) : 0u;
    const S* from = part.data + (first_row + (kAlongK ? 0 : int64_t{k})) * part.ld + col;
#pragma unroll
    for (int i = 0; i < kRows / kRowStep; ++i) {
      const int row = first_row + i * kRowStep;
      const uint32_t source = row < row_limit ? bytes : 0;
      hw::copyAsync<16>(tile + offsetOf(row, chunk), source == 0 ? part.data : from, source);
      from += kRowStep * part.ld;
    }
  }

  AX_DEVICE static void copyElements(unsigned char* tile, const OperandPart<S>& part, int32_t k) {
    static_assert(kIsAligned || kAlongK);
    // Neighbouring threads read neighbours, whichever way the matrix is stored.
#pragma unroll 4
    for (int e = threadIdx.x; e < kLines * kDepth; e += kThreads) {
      const int line = part.is_transposed ? e % kLines : e / kDepth, depth = part.is_transposed ? e / kLines : e % kDepth;
      S value{};
      if (line < part.lines && k + depth < part.depth) {
        value = part.data[part.is_transposed ? (int64_t{k} + depth) * part.ld + line : line * part.ld + k + depth];
      }
      *reinterpret_cast<S*>(tile + offsetOf(line, depth / kElements) + depth % kElements * sizeof(S)) = value;
    }
  }

  // 16 lines from `line` by 32 bytes along k from step `step`, as the four matrices (lines 0-7, first half of k), (lines 8-15, first half),
  // (lines 0-7, second half), (lines 8-15, second half): a fragment of a; of b the columns 0-7 are 0 and 2, the others 1 and 3.
  AX_DEVICE static void fragment(uint32_t (&registers)[4], const unsigned char* tile, int line, int step) {
    const int lane = threadIdx.x % 32, inner = lane % 8, middle = lane / 8 % 2, outer = lane / 16;
    if constexpr (kAlongK) {
      hw::loadMatrices<4>(registers, tile + offsetOf(line + middle * 8 + inner, step * 2 + outer));
    } else if constexpr (sizeof(S) == 2) {
      hw::loadMatrices<4, true>(registers, tile + offsetOf(step * 16 + outer * 8 + inner, line / 8 + middle));
    } else {
      // ldmatrix transposes 16-bit elements only.
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = step * 8 + i / 2 * 4 + lane % 4, col = line + i % 2 * 8 + lane / 4;
        registers[i] = *reinterpret_cast<const uint32_t*>(tile + offsetOf(row, col / 4) + col % 4 * 4);
      }
    }
  }
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_OPERAND_TILE_CUH_
