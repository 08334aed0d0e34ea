// Matrix products that packing would slow down: those whose operands fit into the first-level cache, and a matrix times a vector.
#ifndef AX_CPU_GEMM_SMALL_H_
#define AX_CPU_GEMM_SMALL_H_
#include <stdint.h>

#include <algorithm>

#include "cpu/gemm_driver.h"
#include "cpu/gemm_kernel.h"
#include "cpu/gemm_pack.h"
#include "cpu/thread_pool.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int64_t kSmallBytes = 32 << 10;

template <class T>
int64_t spanBytes(const GemmLines<T>& x, int64_t lines, int64_t depth) {
  return (x.contiguous ? lines : depth) * x.ld * int64_t{sizeof(T)};
}

// Columns of B that are read as they lie: whole vectors of neighbours.
template <class T>
int64_t directCols(const GemmTask<T>& t) {
  return t.b.contiguous ? 0 : t.n / Vector<T>::kLanes * Vector<T>::kLanes;
}

template <class T>
bool isSmall(const GemmTask<T>& t) {
  constexpr int64_t kTileCols = kTileColsOf<T>;
  if (t.a.pack != nullptr || t.b.pack != nullptr || t.c == nullptr) return false;
  const int64_t panels = (t.n - directCols(t) + kTileCols - 1) / kTileCols;
  return panels * kTileCols * t.k * int64_t{sizeof(T)} <= kSmallBytes &&
         spanBytes(t.a, t.m, t.k) + spanBytes(t.b, t.n, t.k) <= kSmallBytes;
}

template <class T>
void addTile(T* to, int64_t ld, const T* tile, int64_t rows, int64_t cols, T beta) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      const T value = tile[i * kTileColsOf<T> + j];
      to[i * ld + j] = beta == T(0) ? value : value + beta * to[i * ld + j];
    }
  }
}

// A is read as it lies, and B as far as possible: what remains is packed.
template <class T>
void multiplySmall(const GemmTask<T>& t, int64_t threads) {
  constexpr int64_t kLanes = Vector<T>::kLanes, kTileCols = kTileColsOf<T>;
  alignas(64) T packed[kSmallBytes / sizeof(T)];
  const int64_t direct = directCols(t);
  T* panel = packed;
  for (int64_t col = direct; col < t.n; col += kTileCols, panel += kTileCols * t.k) {
    packLines<T, T, kTileCols>(panel, t.b.x, t.b.ld, t.b.contiguous, col, std::min(kTileCols, t.n - col), 0, t.k);
  }
  const int64_t a_row = t.a.contiguous ? t.a.ld : 1, a_step = t.a.contiguous ? 1 : t.a.ld;
  int64_t strips = (t.m + kTileRows - 1) / kTileRows;
  if (strips < threads) threads = 1;
  if (threads > 1) strips = std::min((strips + threads - 1) / threads * threads, t.m);
  const auto multiplyStrips = [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const int64_t top = s * t.m / strips, rows = (s + 1) * t.m / strips - top;
      const T* const a = t.a.x + top * a_row;
      T* const c = t.c + top * t.ldc;
      for (int64_t col = 0; col < t.n;) {
        const bool is_direct = col < direct;
        const int64_t cols = std::min(kTileCols, (is_direct ? direct : t.n) - col);
        const T* const b = is_direct ? t.b.x + col : packed + (col - direct) * t.k;
        const DirectKernel<T> kernel = directKernelFor<T>(rows, cols > kLanes ? 2 : 1);
        const int64_t b_step = is_direct ? t.b.ld : kTileCols;
        if (cols % kLanes == 0) {
          kernel(t.k, a, a_row, a_step, b, b_step, c + col, t.ldc, t.alpha, t.beta);
        } else {
          alignas(64) T tile[kTileRows * kTileCols];
          kernel(t.k, a, a_row, a_step, b, b_step, tile, kTileCols, t.alpha, T(0));
          addTile(c + col, t.ldc, tile, rows, cols, t.beta);
        }
        col += cols;
      }
      if (t.finish != nullptr) t.finish(t.context, c, t.ldc, top, 0, rows, t.n);
    }
  };
  if (threads > 1) {
    parallelFor(strips, strips / threads, multiplyStrips);
  } else {
    multiplyStrips(0, strips);
  }
}

// The sum of the lanes, combined pairwise.
template <class T>
T sumOfLanes(typename Vector<T>::type lanes) {
  for (int width = Vector<T>::kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

// sums[i] = line i times the vector, for kLines lines that are contiguous along k.
template <class T, int kLines>
void multiplyLines(T* sums, const T* x, int64_t ld, const T* vector, int64_t depth) {
  using V = typename Vector<T>::type;
  constexpr int kLanes = Vector<T>::kLanes;
  V even[kLines] = {}, odd[kLines] = {};
  int64_t p = 0;
  for (; p + 2 * kLanes <= depth; p += 2 * kLanes) {
    const V first = *reinterpret_cast<const V*>(vector + p), second = *reinterpret_cast<const V*>(vector + p + kLanes);
    for (int i = 0; i < kLines; ++i) {
      even[i] += first * *reinterpret_cast<const V*>(x + i * ld + p);
      odd[i] += second * *reinterpret_cast<const V*>(x + i * ld + p + kLanes);
    }
  }
  for (int i = 0; i < kLines; ++i) {
    T rest = 0;
    for (int64_t q = p; q < depth; ++q) rest += vector[q] * x[i * ld + q];
    sums[i] = sumOfLanes<T>(even[i] + odd[i]) + rest;
  }
}

// sums[i] = line i times the vector, for `lines` lines that are neighbours in memory.
template <class T>
void multiplyNeighbours(T* sums, const T* x, int64_t ld, const T* vector, int64_t lines, int64_t depth) {
  for (int64_t i = 0; i < lines; ++i) sums[i] = 0;
  int64_t p = 0;
  for (; p + 4 <= depth; p += 4) {
    const T* const row = x + p * ld;
    const T v0 = vector[p], v1 = vector[p + 1], v2 = vector[p + 2], v3 = vector[p + 3];
    for (int64_t i = 0; i < lines; ++i) {
      sums[i] = sums[i] + v0 * row[i] + v1 * row[ld + i] + v2 * row[2 * ld + i] + v3 * row[3 * ld + i];
    }
  }
  for (; p < depth; ++p) {
    for (int64_t i = 0; i < lines; ++i) sums[i] += vector[p] * x[p * ld + i];
  }
}

constexpr int64_t kVectorRoom = 4096;

template <class T>
bool isVector(const GemmTask<T>& t) {
  return (t.m == 1 || t.n == 1) && t.a.pack == nullptr && t.b.pack == nullptr && t.c != nullptr && t.k <= kVectorRoom;
}

// A product whose one operand is a vector reads every element of the other once, so it runs at the speed of memory.
template <class T>
void multiplyVector(const GemmTask<T>& t, int64_t grain) {
  constexpr int64_t kBlock = 512;
  const bool is_row = t.m == 1;
  const GemmLines<T>& lines = is_row ? t.b : t.a;
  const GemmLines<T>& source = is_row ? t.a : t.b;
  T vector[kVectorRoom];
  for (int64_t p = 0; p < t.k; ++p) vector[p] = source.x[source.contiguous ? p : p * source.ld];
  const int64_t step = is_row ? 1 : t.ldc;
  const auto multiply = [&](int64_t begin, int64_t end) {
    T sums[kBlock];
    for (int64_t first = begin; first < end; first += kBlock) {
      const int64_t count = std::min(kBlock, end - first);
      if (lines.contiguous) {
        int64_t i = 0;
        for (; i + 4 <= count; i += 4) multiplyLines<T, 4>(sums + i, lines.x + (first + i) * lines.ld, lines.ld, vector, t.k);
        for (; i < count; ++i) multiplyLines<T, 1>(sums + i, lines.x + (first + i) * lines.ld, lines.ld, vector, t.k);
      } else {
        multiplyNeighbours(sums, lines.x + first, lines.ld, vector, count, t.k);
      }
      T* const to = t.c + first * step;
      for (int64_t i = 0; i < count; ++i) {
        to[i * step] = t.beta == T(0) ? t.alpha * sums[i] : t.alpha * sums[i] + t.beta * to[i * step];
      }
      if (t.finish != nullptr) t.finish(t.context, to, t.ldc, is_row ? 0 : first, is_row ? first : 0, is_row ? 1 : count, is_row ? count : 1);
    }
  };
  const int64_t count = is_row ? t.n : t.m;
  if (grain > 0) {
    parallelFor(count, grain, multiply);
  } else {
    multiply(0, count);
  }
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_GEMM_SMALL_H_
