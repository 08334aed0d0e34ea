// The innermost part of a matrix product: a tile of the result stays in registers while the kernel walks along k.
#ifndef AX_CPU_GEMM_KERNEL_H_
#define AX_CPU_GEMM_KERNEL_H_
#include <stdint.h>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <utility>

#include "cpu/vector.h"

namespace ax {
inline namespace AX_ISA {

// A tile has kTileRows rows of two vectors: with the two vectors of B and one element of A it fills the registers.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 4;
#endif

// Two neighbours along k of a bfloat16 operand, as the AVX512-BF16 instructions take them. The first is the lower half.
struct BFloat16Pair {
  uint32_t bits;
};

// What products of packed elements are summed in.
template <class P>
struct GemmSum {
  using type = P;
};
template <>
struct GemmSum<BFloat16Pair> {
  using type = float;
};

template <>
struct Vector<BFloat16Pair> {
  typedef uint32_t type __attribute__((vector_size(kVectorBytes), aligned(2), may_alias));
  static constexpr int kLanes = kVectorBytes / 4;
};

// Columns of a tile.
template <class P>
constexpr int kTileColsOf = 2 * Vector<P>::kLanes;

// tile = alpha * (panel of A) (panel of B) + beta * tile, over `depth` steps. Columns are whole vectors. beta 0 does not read.
template <class P>
using Kernel = void (*)(int64_t depth, const P* a, const P* b, typename GemmSum<P>::type* tile, int64_t ld,
                        typename GemmSum<P>::type alpha, typename GemmSum<P>::type beta);

template <class T, int kRows, int kVectors>
inline __attribute__((always_inline)) void storeTile(const typename Vector<T>::type (&sums)[kRows][kVectors], T* tile, int64_t ld,
                                                     T alpha, T beta) {
  using V = typename Vector<T>::type;
  constexpr int kLanes = Vector<T>::kLanes;
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      V* to = reinterpret_cast<V*>(tile + i * ld + v * kLanes);
      if (beta == T(0)) {
        *to = alpha * sums[i][v];
      } else {
        *to = alpha * sums[i][v] + beta * *to;
      }
    }
  }
}

template <class T, int kRows, int kVectors>
void tileKernel(int64_t depth, const T* a, const T* b, T* tile, int64_t ld, T alpha, T beta) {
  using V = typename Vector<T>::type;
  constexpr int kLanes = Vector<T>::kLanes, kTileCols = kTileColsOf<T>;
  V sums[kRows][kVectors] = {};
  for (int64_t p = 0; p < depth; ++p) {
    V right[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) right[v] = *reinterpret_cast<const V*>(b + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] += a[i] * right[v];
    }
    a += kTileRows;
    b += kTileCols;
  }
  storeTile<T, kRows, kVectors>(sums, tile, ld, alpha, beta);
}

// The same for operands that are not packed: A with `a_row` elements between rows and `a_step` between steps along k, B with `b_step`
// between steps and contiguous columns.
template <class T>
using DirectKernel = void (*)(int64_t depth, const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step, T* tile,
                              int64_t ld, T alpha, T beta);

template <class T, int kRows, int kVectors>
void directKernel(int64_t depth, const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step, T* tile, int64_t ld, T alpha,
                  T beta) {
  using V = typename Vector<T>::type;
  constexpr int kLanes = Vector<T>::kLanes, kGroups = (kRows + 3) / 4;
  V sums[kRows][kVectors] = {};
  // One pointer for four rows: an address holds it plus none, one, two or three times the distance of rows, so that all fit into
  // registers. The compiler would keep a pointer for each row, and the empty statement keeps it from that.
  const T* group[kGroups];
  for (int g = 0; g < kGroups; ++g) group[g] = a + g * 4 * a_row;
  const int64_t distance[4] = {0, a_row, 2 * a_row, 3 * a_row};
  for (int64_t p = 0; p < depth; ++p) {
    V right[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) right[v] = *reinterpret_cast<const V*>(b + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] += group[i / 4][distance[i % 4]] * right[v];
    }
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      group[g] += a_step;
      asm("" : "+r"(group[g]));
    }
    b += b_step;
  }
  storeTile<T, kRows, kVectors>(sums, tile, ld, alpha, beta);
}

#ifdef __AVX512F__
template <class T, int kRows, int kVectors>
__attribute__((target("avx512bf16"))) void tileKernel(int64_t depth, const BFloat16Pair* a, const BFloat16Pair* b, T* tile, int64_t ld,
                                                      T alpha, T beta) {
  constexpr int kLanes = Vector<T>::kLanes, kTileCols = kTileColsOf<T>;
  __m512 sums[kRows][kVectors] = {};
  for (int64_t p = 0; p < depth; ++p) {
    __m512i right[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) right[v] = _mm512_loadu_si512(b + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const __m512i left = _mm512_set1_epi32(static_cast<int>(a[i].bits));
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        sums[i][v] = _mm512_dpbf16_ps(sums[i][v], reinterpret_cast<__m512bh>(left), reinterpret_cast<__m512bh>(right[v]));
      }
    }
    a += kTileRows;
    b += kTileCols;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      T* to = tile + i * ld + v * kLanes;
      __m512 value = _mm512_mul_ps(_mm512_set1_ps(alpha), sums[i][v]);
      if (beta != T(0)) value = _mm512_fmadd_ps(_mm512_set1_ps(beta), _mm512_loadu_ps(to), value);
      _mm512_storeu_ps(to, value);
    }
  }
}
#endif

// The kernels for 1 to kTileRows rows, of one vector and of two: the edges of a result cost no more than their elements.
template <class P, int kVectors, int... kRows>
Kernel<P> kernelOf(int64_t rows, std::integer_sequence<int, kRows...>) {
  static constexpr Kernel<P> kKernels[] = {tileKernel<typename GemmSum<P>::type, kRows + 1, kVectors>...};
  return kKernels[rows - 1];
}
template <class P>
Kernel<P> kernelFor(int64_t rows, int64_t vectors) {
  constexpr auto kAllRows = std::make_integer_sequence<int, kTileRows>();
  return vectors == 1 ? kernelOf<P, 1>(rows, kAllRows) : kernelOf<P, 2>(rows, kAllRows);
}

template <class T, int kVectors, int... kRows>
DirectKernel<T> directKernelOf(int64_t rows, std::integer_sequence<int, kRows...>) {
  static constexpr DirectKernel<T> kKernels[] = {directKernel<T, kRows + 1, kVectors>...};
  return kKernels[rows - 1];
}
template <class T>
DirectKernel<T> directKernelFor(int64_t rows, int64_t vectors) {
  constexpr auto kAllRows = std::make_integer_sequence<int, kTileRows>();
  return vectors == 1 ? directKernelOf<T, 1>(rows, kAllRows) : directKernelOf<T, 2>(rows, kAllRows);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_GEMM_KERNEL_H_
