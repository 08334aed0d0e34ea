// Small products whose operands lie in the cache, and the vector functions between them: what blocked attention is made of. A tile of
// the result stays in registers; the right operand is packed in panels of kPanel columns.
#ifndef AX_CPU_ATTENTION_TILE_H_
#define AX_CPU_ATTENTION_TILE_H_
#include <stdint.h>
#include <string.h>

#include <type_traits>

#include "cpu/vector.h"

namespace ax {
inline namespace AX_ISA {

#if defined(__AVX512F__)
constexpr int kTileVectors = 4;
#else
constexpr int kTileVectors = 2;
#endif
// Rows of a tile: with kTileVectors vectors of columns they fill the registers.
constexpr int64_t kTileRows = 6;

template <class T>
struct TileLanes {
  using Vector = typename ax::Vector<T>::type;
  static constexpr int kWidth = ax::Vector<T>::kLanes;
  static constexpr int64_t kPanel = kTileVectors * kWidth;
  // Rows are filled up with zeros to this many elements: whole vectors, and whole blocks of the transposition.
  static constexpr int64_t kPad = kWidth > 4 ? kWidth : 4;
};

// c (kRows, kColumns vectors) = a x b, plus c where `accumulates`. Element (r, p) of a is a[r * a_stride + p], or a[p * a_stride + r]
// where a is read transposed.
template <class T, int kRows, int kColumns, bool kTransposed>
__attribute__((noinline)) void tileKernel(T* c, int64_t ldc, const T* a, int64_t a_stride, const T* b, int64_t ldb, int64_t depth,
                                          bool accumulates) {
  using V = typename TileLanes<T>::Vector;
  constexpr int kWidth = TileLanes<T>::kWidth;
  V sums[kRows][kColumns];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) sums[r][j] = accumulates ? *reinterpret_cast<const V*>(c + r * ldc + j * kWidth) : V{};
  }
  for (int64_t p = 0; p < depth; ++p) {
    V right[kColumns];
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) right[j] = *reinterpret_cast<const V*>(b + j * kWidth);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const T left = kTransposed ? a[r] : a[r * a_stride];
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) sums[r][j] += left * right[j];
    }
    a += kTransposed ? a_stride : 1;
    b += ldb;
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) *reinterpret_cast<V*>(c + r * ldc + j * kWidth) = sums[r][j];
  }
}

template <class T, int kColumns, bool kTransposed>
void tileRows(T* c, int64_t ldc, const T* a, int64_t a_stride, int64_t rows, const T* b, int64_t ldb, int64_t depth, bool accumulates) {
  const int64_t step = kTransposed ? 1 : a_stride;
  for (; rows >= 6; rows -= 6, c += 6 * ldc, a += 6 * step) tileKernel<T, 6, kColumns, kTransposed>(c, ldc, a, a_stride, b, ldb, depth, accumulates);
  if (rows >= 4) {
    tileKernel<T, 4, kColumns, kTransposed>(c, ldc, a, a_stride, b, ldb, depth, accumulates);
    rows -= 4, c += 4 * ldc, a += 4 * step;
  }
  if (rows >= 2) {
    tileKernel<T, 2, kColumns, kTransposed>(c, ldc, a, a_stride, b, ldb, depth, accumulates);
    rows -= 2, c += 2 * ldc, a += 2 * step;
  }
  if (rows == 1) tileKernel<T, 1, kColumns, kTransposed>(c, ldc, a, a_stride, b, ldb, depth, accumulates);
}

// c (rows, columns) = a x b, plus c where `accumulates`; columns is at most kPanel and c has room for whole vectors of them.
template <class T, bool kTransposed>
void tileProduct(T* c, int64_t ldc, const T* a, int64_t a_stride, int64_t rows, const T* b, int64_t ldb, int64_t columns, int64_t depth,
                 bool accumulates) {
  constexpr int kWidth = TileLanes<T>::kWidth;
  switch ((columns + kWidth - 1) / kWidth) {
    case 1: return tileRows<T, 1, kTransposed>(c, ldc, a, a_stride, rows, b, ldb, depth, accumulates);
    case 2: return tileRows<T, 2, kTransposed>(c, ldc, a, a_stride, rows, b, ldb, depth, accumulates);
#if defined(__AVX512F__)
    case 3: return tileRows<T, 3, kTransposed>(c, ldc, a, a_stride, rows, b, ldb, depth, accumulates);
    case 4: return tileRows<T, 4, kTransposed>(c, ldc, a, a_stride, rows, b, ldb, depth, accumulates);
#endif
  }
}

// Panels of the transposed of x (count, dim): panel p holds columns p * kPanel and following of x^T, row after row. x has rows up to a
// multiple of four, ld is a multiple of kPad.
template <class T>
void transposeIntoPanels(T* panels, const T* x, int64_t ld, int64_t count, int64_t dim) {
  typedef T Four __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T))));
  typedef typename std::conditional<sizeof(T) == 4, int32_t, int64_t>::type Index;
  typedef Index Shuffle __attribute__((vector_size(4 * sizeof(T))));
  constexpr int64_t kPanel = TileLanes<T>::kPanel;
  for (int64_t row = 0; row < count; row += 4) {
    T* to = panels + row / kPanel * kPanel * dim + row % kPanel;
    const T* from = x + row * ld;
    for (int64_t d = 0; d < dim; d += 4) {
      const Four a = *reinterpret_cast<const Four*>(from + d), b = *reinterpret_cast<const Four*>(from + ld + d);
      const Four c = *reinterpret_cast<const Four*>(from + 2 * ld + d), e = *reinterpret_cast<const Four*>(from + 3 * ld + d);
      const Four low_ac = __builtin_shuffle(a, c, Shuffle{0, 4, 1, 5}), high_ac = __builtin_shuffle(a, c, Shuffle{2, 6, 3, 7});
      const Four low_be = __builtin_shuffle(b, e, Shuffle{0, 4, 1, 5}), high_be = __builtin_shuffle(b, e, Shuffle{2, 6, 3, 7});
      const Four columns[4] = {
          __builtin_shuffle(low_ac, low_be, Shuffle{0, 4, 1, 5}), __builtin_shuffle(low_ac, low_be, Shuffle{2, 6, 3, 7}),
          __builtin_shuffle(high_ac, high_be, Shuffle{0, 4, 1, 5}), __builtin_shuffle(high_ac, high_be, Shuffle{2, 6, 3, 7})};
      const int64_t left = dim - d < 4 ? dim - d : 4;
      for (int64_t i = 0; i < left; ++i) *reinterpret_cast<Four*>(to + (d + i) * kPanel) = columns[i];
    }
  }
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_ATTENTION_TILE_H_
