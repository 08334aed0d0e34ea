// Copies operands of a matrix product into panels: for each step along k the elements of kWidth lines, filled up with zeros.
#ifndef AX_CPU_GEMM_PACK_H_
#define AX_CPU_GEMM_PACK_H_
#include <stdint.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

#include <type_traits>
#include <utility>

#include "common/dtype.h"
#include "cpu/gemm_kernel.h"

namespace ax {
inline namespace AX_ISA {

// How many elements of memory S make one packed element P.
template <class P>
constexpr int kElementsPerPacked = std::is_same_v<P, BFloat16Pair> ? 2 : 1;

// One packed element from elements that are neighbours along k.
template <class P, class S>
inline P packOne(const S* x) {
  if constexpr (std::is_same_v<P, BFloat16Pair>) {
    return {static_cast<uint32_t>(x[0].bits) | static_cast<uint32_t>(x[1].bits) << 16};
  } else {
    return static_cast<P>(*x);
  }
}

// A vector of packed elements from a line that is contiguous along k.
template <class P, class S>
inline typename Vector<P>::type packVector(const S* x) {
  using V = typename Vector<P>::type;
  if constexpr (sizeof(S) * kElementsPerPacked<P> == sizeof(P)) {
    return *reinterpret_cast<const V*>(x);
  } else if constexpr (std::is_same_v<S, BFloat16>) {
    typedef uint16_t Half __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
    typedef uint32_t Word __attribute__((vector_size(kVectorBytes), may_alias));
    return reinterpret_cast<V>(__builtin_convertvector(*reinterpret_cast<const Half*>(x), Word) << 16);
  } else {
#if defined(__AVX512F__)
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
#elif defined(__F16C__)
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
#else
    V wide;
    for (int lane = 0; lane < Vector<P>::kLanes; ++lane) wide[lane] = static_cast<P>(x[lane]);
    return wide;
#endif
  }
}

// Transposes a square of elements in registers: exchanges blocks of half its size, then of a quarter, and so on.
template <class V, class Index, int kHalf, int... kLane>
inline void exchangeBlocks(V* rows, std::integer_sequence<int, kLane...>) {
  constexpr int kLanes = sizeof...(kLane);
  const Index low = {((kLane & kHalf) ? kLanes + kLane - kHalf : kLane)...};
  const Index high = {((kLane & kHalf) ? kLanes + kLane : kLane + kHalf)...};
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & kHalf) continue;
    const V first = rows[i], second = rows[i + kHalf];
    rows[i] = __builtin_shuffle(first, second, low);
    rows[i + kHalf] = __builtin_shuffle(first, second, high);
  }
}
template <class T>
inline void transposeSquare(typename Vector<T>::type (&rows)[Vector<T>::kLanes]) {
  constexpr int kLanes = Vector<T>::kLanes;
  using V = typename Vector<T>::type;
  using Index = typename Vector<std::conditional_t<sizeof(T) == 8, int64_t, int32_t>>::type;
  constexpr auto kAll = std::make_integer_sequence<int, kLanes>();
  if constexpr (kLanes > 8) exchangeBlocks<V, Index, 8>(rows, kAll);
  if constexpr (kLanes > 4) exchangeBlocks<V, Index, 4>(rows, kAll);
  if constexpr (kLanes > 2) exchangeBlocks<V, Index, 2>(rows, kAll);
  exchangeBlocks<V, Index, 1>(rows, kAll);
}

// Lines that are contiguous along k. Squares are transposed in registers; those beyond the panel's width are cut by writing
// lines from the last group to the first, so that what one store writes too much the next one corrects. The panel therefore
// needs room for one more vector.
template <class S, class P, int kWidth>
void packContiguousLines(P* panel, const S* x, int64_t ld, int64_t lines, int64_t depth) {
  using V = typename Vector<P>::type;
  constexpr int kLanes = Vector<P>::kLanes, kGroups = (kWidth + kLanes - 1) / kLanes, kStep = kElementsPerPacked<P>;
  int64_t p = 0;
  for (; p + kLanes <= depth; p += kLanes) {
    for (int group = kGroups - 1; group >= 0; --group) {
      const int64_t first = group * kLanes, here = lines - first < kLanes ? lines - first : kLanes;
      V rows[kLanes];
      if (here == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) rows[i] = packVector<P>(x + (first + i) * ld + p * kStep);
      } else {
        for (int i = 0; i < kLanes; ++i) rows[i] = i < here ? packVector<P>(x + (first + i) * ld + p * kStep) : V{};
      }
      transposeSquare<P>(rows);
      P* to = panel + p * kWidth + first;
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) *reinterpret_cast<V*>(to + i * kWidth) = rows[i];
    }
  }
  for (; p < depth; ++p) {
    for (int64_t i = 0; i < lines; ++i) panel[p * kWidth + i] = packOne<P>(x + i * ld + p * kStep);
    for (int64_t i = lines; i < kWidth; ++i) panel[p * kWidth + i] = P{};
  }
}

// Lines whose neighbours are contiguous: rows of memory are copied, or interleaved to pairs.
template <class S, class P, int kWidth>
void packNeighbours(P* panel, const S* x, int64_t ld, int64_t lines, int64_t depth) {
  const auto copyRow = [&](P* to, const S* from, int64_t count) __attribute__((always_inline)) {
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<P, BFloat16Pair>) {
        to[i].bits = static_cast<uint32_t>(from[i].bits) | static_cast<uint32_t>(from[i + ld].bits) << 16;
      } else {
        to[i] = static_cast<P>(from[i]);
      }
    }
  };
  constexpr int kStep = kElementsPerPacked<P>;
  if (lines == kWidth) {
    for (int64_t p = 0; p < depth; ++p) copyRow(panel + p * kWidth, x + p * kStep * ld, kWidth);
    return;
  }
  for (int64_t p = 0; p < depth; ++p) {
    copyRow(panel + p * kWidth, x + p * kStep * ld, lines);
    for (int64_t i = lines; i < kWidth; ++i) panel[p * kWidth + i] = P{};
  }
}

// Several panels of A at once from lines whose neighbours are contiguous: rows of memory lie far apart, often in one set of the cache,
// so a cache line that one panel needs a part of is gone before the next panel comes. Panel g starts at line first[g].
template <class T, int kWidth>
void packNeighbourPanels(T* panels, int64_t panel_stride, const T* x, int64_t ld, const int64_t* first, int64_t count, int64_t depth) {
  constexpr int64_t kAhead = 12, kLine = 64 / sizeof(T);
  for (int64_t p = 0; p < depth; ++p) {
    const T* const row = x + p * ld;
    for (int64_t at = first[0]; at < first[count - 1] + kWidth; at += kLine) __builtin_prefetch(row + kAhead * ld + at);
    for (int64_t g = 0; g < count; ++g) memcpy(panels + g * panel_stride + p * kWidth, row + first[g], kWidth * sizeof(T));
  }
}

// The last element of lines with an odd number of them: its partner is zero.
template <int kWidth>
void packLastOfPairs(BFloat16Pair* panel, const BFloat16* x, int64_t stride, int64_t lines) {
  for (int64_t i = 0; i < kWidth; ++i) panel[i].bits = i < lines ? x[i * stride].bits : 0u;
}

// `first` and `lines` count lines, `start` and `depth` packed elements.
template <class S, class P, int kWidth>
void packLines(P* panel, const S* x, int64_t ld, bool contiguous, int64_t first, int64_t lines, int64_t start, int64_t depth) {
  if (contiguous) {
    packContiguousLines<S, P, kWidth>(panel, x + first * ld + start * kElementsPerPacked<P>, ld, lines, depth);
  } else {
    packNeighbours<S, P, kWidth>(panel, x + start * kElementsPerPacked<P> * ld + first, ld, lines, depth);
  }
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_GEMM_PACK_H_
