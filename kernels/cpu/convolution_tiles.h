// The inner loops of the CPU's convolution: tiles of results that stay in registers while all taps, or all positions, go by.
#ifndef AX_CPU_CONVOLUTION_TILES_H_
#define AX_CPU_CONVOLUTION_TILES_H_
#include <stdint.h>

#include <type_traits>
#include <utility>

#include "cpu/vector.h"

namespace ax {
inline namespace AX_ISA {

// kTileRows: channels of a tile. kGradRows x kGradTaps: weights whose gradients are summed at once; kGradTapsAlone for one channel.
#if defined(__AVX512F__)
constexpr int kTileRows = 12, kGradRows = 4, kGradTaps = 6, kGradTapsAlone = 9;
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kGradRows = 3, kGradTaps = 4, kGradTapsAlone = 9;
#else
constexpr int kTileRows = 4, kGradRows = 2, kGradTaps = 4, kGradTapsAlone = 9;
#endif

// A tile of few channels may have 4 vectors of positions instead of 2: more independent sums hide the latency of an addition.
constexpr bool mayBeWide(int rows) { return rows * 4 <= kTileRows; }

// tile (kRows, positions), rows `stride` apart = bias (kRows) + sum over taps of weights (taps, kRows) times x[offsets[tap] ...], then ReLU
// if wanted.
template <class C, int kRows, int kVectors>
void correlateTile(C* tile, int64_t stride, const C* weights, const C* x, const int64_t* offsets, int64_t taps, const C* bias, bool relu) {
  using V = typename Vector<C>::type;
  constexpr int kWidth = Vector<C>::kLanes;
  V sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[i][v] = V{} + bias[i];
  }
  for (int64_t p = 0; p < taps; ++p) {
    const C* from = x + offsets[p];
    V part[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) part[v] = *reinterpret_cast<const V*>(from + v * kWidth);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] += weights[i] * part[v];
    }
    weights += kRows;
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      if (relu) sums[i][v] = sums[i][v] < V{} ? V{} : sums[i][v];  // NaN stays
      *reinterpret_cast<V*>(tile + i * stride + v * kWidth) = sums[i][v];
    }
  }
}

template <class C>
using CorrelateTile = void (*)(C*, int64_t, const C*, const C*, const int64_t*, int64_t, const C*, bool);

template <class C, int kVectors, int... kRows>
CorrelateTile<C> chooseCorrelateTile(int rows, std::integer_sequence<int, kRows...>) {
  static constexpr CorrelateTile<C> table[] = {correlateTile<C, kRows + 1, kVectors>...};
  return table[rows - 1];
}

// The tile of `rows` channels, 1 to kTileRows, and `vectors` vectors of positions: 2, or 4 where mayBeWide(rows).
template <class C>
CorrelateTile<C> correlateTileOf(int rows, int vectors) {
  if (vectors == 4) return chooseCorrelateTile<C, 4>(rows, std::make_integer_sequence<int, kTileRows / 4>());
  return chooseCorrelateTile<C, 2>(rows, std::make_integer_sequence<int, kTileRows>());
}

// Adds the halves of every group of kGroup lanes: a's groups to the lower halves of the result's, b's to the upper ones.
template <class C, int kGroup>
typename Vector<C>::type addHalves(typename Vector<C>::type a, typename Vector<C>::type b) {
  typedef std::conditional_t<sizeof(C) == 8, int64_t, int32_t> Lane;
  typedef Lane Lanes __attribute__((vector_size(kVectorBytes)));
  constexpr int kWidth = Vector<C>::kLanes;
  Lanes low{}, high{};
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    const int within = i % kGroup, source = within < kGroup / 2 ? i : kWidth + i - kGroup / 2;
    low[i] = source;
    high[i] = source + kGroup / 2;
  }
  return __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
}

// Lane i of the result is the sum of the lanes of vectors[i], of which there are as many as lanes.
template <class C, int kGroup = Vector<C>::kLanes>
typename Vector<C>::type sumLanes(const typename Vector<C>::type* vectors) {
  if constexpr (kGroup == 1) {
    return vectors[0];
  } else {
    typename Vector<C>::type halves[kGroup / 2];
#pragma GCC unroll 8
    for (int i = 0; i < kGroup / 2; ++i) halves[i] = addHalves<C, kGroup>(vectors[i], vectors[i + kGroup / 2]);
    return sumLanes<C, kGroup / 2>(halves);
  }
}

// The room that the sums of a tile take: whole vectors.
template <class C>
constexpr int gradientRoom(int rows, int taps) {
  return (rows * taps + Vector<C>::kLanes - 1) / Vector<C>::kLanes * Vector<C>::kLanes;
}

// sums (kRows, kTaps), filled up to whole vectors, += sum over `count` positions, a multiple of the vector's width, of g (kRows at
// g_stride) times x[offsets[tap] ...].
template <class C, int kRows, int kTaps>
void correlateGradients(C* sums, const C* g, int64_t g_stride, const C* x, const int64_t* offsets, int64_t count) {
  using V = typename Vector<C>::type;
  constexpr int kWidth = Vector<C>::kLanes, kRoom = gradientRoom<C>(kRows, kTaps);
  V lanes[kRoom] = {};
  const C* from[kTaps];
  for (int n = 0; n < kTaps; ++n) from[n] = x + offsets[n];
  for (int64_t q = 0; q < count; q += kWidth) {
    V rows[kRows];
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) rows[i] = *reinterpret_cast<const V*>(g + i * g_stride + q);
#pragma GCC unroll 9
    for (int n = 0; n < kTaps; ++n) {
      const V part = *reinterpret_cast<const V*>(from[n] + q);
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) lanes[i * kTaps + n] += rows[i] * part;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRoom; i += kWidth) *reinterpret_cast<V*>(sums + i) += sumLanes<C>(lanes + i);
}

template <class C>
using CorrelateGradients = void (*)(C*, const C*, int64_t, const C*, const int64_t*, int64_t);

template <class C, int kRows, int... kTaps>
CorrelateGradients<C> chooseCorrelateGradients(int taps, std::integer_sequence<int, kTaps...>) {
  static constexpr CorrelateGradients<C> table[] = {correlateGradients<C, kRows, kTaps + 1>...};
  return table[taps - 1];
}

// The most taps that fit beside `rows` channels.
constexpr int gradTaps(int rows) { return rows == 1 ? kGradTapsAlone : kGradTaps; }

// The tile of `rows` channels, 1 to kGradRows, and `taps` taps, 1 to gradTaps(rows).
template <class C, int kRows = kGradRows>
CorrelateGradients<C> correlateGradientsOf(int rows, int taps) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return correlateGradientsOf<C, kRows - 1>(rows, taps);
  }
  return chooseCorrelateGradients<C, kRows>(taps, std::make_integer_sequence<int, gradTaps(kRows)>());
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_CONVOLUTION_TILES_H_
