// What blocked attention does with rows: reading and writing them in any dtype, masks, and the exponentials of a row of scores.
#ifndef AX_CPU_ATTENTION_ROWS_H_
#define AX_CPU_ATTENTION_ROWS_H_
#include <math.h>

#include <type_traits>

#include "common/attention.h"
#include "cpu/attention_tile.h"

namespace ax {
inline namespace AX_ISA {

// Keys of a block: their transposed panels and their values stay in the second-level cache.
constexpr int64_t kKeyBlock = 128;

// exp(x) within 2 units in the last place; 0 below the smallest normal result. NaN stays NaN.
template <class T>
AX_HD typename TileLanes<T>::Vector expVector(typename TileLanes<T>::Vector x) {
  using V = typename TileLanes<T>::Vector;
  constexpr bool kSingle = sizeof(T) == 4;
  typedef typename std::conditional<kSingle, int32_t, int64_t>::type Int;
  typedef Int IntVector __attribute__((vector_size(kVectorBytes), aligned(sizeof(T))));
  // Adding 1.5 * 2^(mantissa bits) leaves the nearest integer in the low bits.
  constexpr T kRound = kSingle ? T(12582912.0) : T(6755399441055744.0);
  constexpr Int kBias = kSingle ? 127 : 1023;
  constexpr int kMantissa = kSingle ? 23 : 52;
  const V shifted = x * T(1.4426950408889634074) + kRound;
  const V n = shifted - kRound;
  const V r = kSingle ? (x - n * T(0.693359375)) - n * T(-2.12194440054690583e-4)
                      : (x - n * T(6.93147180369123816490e-01)) - n * T(1.90821492927058770002e-10);
  V sum;
  if (kSingle) {
    sum = r * T(1.0 / 5040) + T(1.0 / 720);
  } else {
    sum = r * T(1.0 / 6227020800) + T(1.0 / 479001600);
    sum = sum * r + T(1.0 / 39916800);
    sum = sum * r + T(1.0 / 3628800);
    sum = sum * r + T(1.0 / 362880);
    sum = sum * r + T(1.0 / 40320);
    sum = sum * r + T(1.0 / 5040);
    sum = sum * r + T(1.0 / 720);
  }
  sum = sum * r + T(1.0 / 120);
  sum = sum * r + T(1.0 / 24);
  sum = sum * r + T(1.0 / 6);
  sum = sum * r + T(0.5);
  sum = sum * r + T(1);
  sum = sum * r + T(1);
  const IntVector exponent = (reinterpret_cast<IntVector>(shifted) + kBias) << kMantissa;
  constexpr T kLowest = kSingle ? T(-87.33654) : T(-708.3964);
  const V zero = {};
  return x < kLowest ? zero : sum * reinterpret_cast<V>(exponent);
}

template <class T>
AX_HD T sumOfLanes(const typename TileLanes<T>::Vector& v) {
  constexpr int kWidth = TileLanes<T>::kWidth;
  alignas(64) T lanes[kWidth];
  memcpy(lanes, &v, sizeof lanes);
  for (int width = kWidth / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

template <class T>
AX_HD T maxOfLanes(const typename TileLanes<T>::Vector& v) {
  constexpr int kWidth = TileLanes<T>::kWidth;
  alignas(64) T lanes[kWidth];
  memcpy(lanes, &v, sizeof lanes);
  for (int width = kWidth / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
  }
  return lanes[0];
}

template <class T>
const typename TileLanes<T>::Vector& vectorAt(const T* x) {
  return *reinterpret_cast<const typename TileLanes<T>::Vector*>(x);
}
template <class T>
typename TileLanes<T>::Vector& vectorAt(T* x) {
  return *reinterpret_cast<typename TileLanes<T>::Vector*>(x);
}

// Calls f with a value of the type that is stored where T is computed with.
template <class T, class F>
void withStored(int32_t dtype, const F& f) {
  if constexpr (sizeof(T) == 4) {
    if (dtype == AX_BFLOAT16) return f(BFloat16{});
    if (dtype == AX_FLOAT16) return f(Float16{});
  }
  f(T{});
}

template <class T, class Stored>
void widenRows(T* __restrict to, int64_t ld, const Stored* __restrict x, int64_t stride, int64_t rows, int64_t dim, T scale) {
  constexpr int64_t kAhead = 16;
  for (int64_t i = 0; i < rows; ++i) {
    T* row = to + i * ld;
    const Stored* from = x + i * stride;
    // The rows of a head lie far apart, so the processor does not foresee them.
    for (int64_t d = 0; d < dim; d += 64 / static_cast<int64_t>(sizeof(Stored))) __builtin_prefetch(from + kAhead * stride + d);
    for (int64_t d = 0; d < dim; ++d) row[d] = static_cast<T>(static_cast<Compute<Stored>>(from[d])) * scale;
    for (int64_t d = dim; d < ld; ++d) row[d] = T(0);
  }
}

// Rows of an operand, widened and times `scale`, side by side; the room up to ld, and up to a multiple of four rows, is zero.
template <class T>
void loadRows(int32_t dtype, T* to, int64_t ld, const void* x, int64_t offset, int64_t stride, int64_t rows, int64_t dim, T scale) {
  withStored<T>(dtype, [&](auto type) {
    widenRows(to, ld, static_cast<const decltype(type)*>(x) + offset, stride, rows, dim, scale);
  });
  memset(to + rows * ld, 0, static_cast<size_t>((roundUp(rows, 4) - rows) * ld) * sizeof(T));
}

template <class T, class Stored>
void narrowRows(Stored* __restrict x, int64_t stride, const T* __restrict from, int64_t ld, int64_t rows, int64_t dim, T scale) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < dim; ++d) x[i * stride + d] = static_cast<Stored>(static_cast<Compute<Stored>>(from[i * ld + d] * scale));
  }
}

// Rows times `scale` into an operand.
template <class T>
void storeRows(int32_t dtype, void* x, int64_t offset, int64_t stride, const T* from, int64_t ld, int64_t rows, int64_t dim, T scale) {
  withStored<T>(dtype, [&](auto type) {
    narrowRows(static_cast<decltype(type)*>(x) + offset, stride, from, ld, rows, dim, scale);
  });
}

inline int64_t rowOffset(const RowStrides& strides, int64_t batch, int64_t head, int64_t row) {
  return batch * strides.batch + head * strides.head + row * strides.row;
}

template <class T, class Stored>
void addMask(T* x, const Stored* mask, int64_t step, int64_t count) {
  if (step == 1) {
    for (int64_t j = 0; j < count; ++j) x[j] += static_cast<T>(static_cast<Compute<Stored>>(mask[j]));
  } else {
    for (int64_t j = 0; j < count; ++j) x[j] += static_cast<T>(static_cast<Compute<Stored>>(mask[j * step]));
  }
}

// Applies the mask to `count` scores of a query from `key` on.
template <class T>
void maskRow(const AttentionShape& s, const void* mask, T* x, int64_t batch, int64_t head, int64_t query, int64_t key, int64_t count) {
  if (s.mask_kind == AX_ATTENTION_NO_MASK) return;
  const int64_t step = s.mask_column;
  const int64_t offset = batch * s.mask_batch + head * s.mask_head + query * s.mask_row + key * step;
  if (s.mask_kind == AX_ATTENTION_BOOL_MASK) {
    const uint8_t* allowed = static_cast<const uint8_t*>(mask) + offset;
    for (int64_t j = 0; j < count; ++j) x[j] = allowed[j * step] != 0 ? x[j] : T(-INFINITY);
  } else {
    withStored<T>(s.mask_dtype, [&](auto type) { addMask(x, static_cast<const decltype(type)*>(mask) + offset, step, count); });
  }
}

// What the probabilities of a row from `key` on (a multiple of four) are multiplied with.
template <class T>
void dropoutFactors(const AttentionDropout& dropout, T* factors, int64_t row, int64_t key, int64_t count) {
  const T kept = static_cast<T>(dropout.kept);
  for (int64_t block = 0; block * 4 < count; ++block) {
    uint32_t lanes[4];
    dropout.words(row, key / 4 + block, lanes);
    for (int i = 0; i < 4; ++i) factors[block * 4 + i] = dropout.keeps(lanes[i]) ? kept : T(0);
  }
}

// Online softmax of one row (Milakov and Gimelshein, 2018): turns `count` scores into exponentials relative to the largest score so far
// and zeroes the room up to `room`. Returns what earlier sums must be multiplied with.
template <class T>
T exponentiate(T* x, int64_t count, int64_t room, T* largest, T* sum) {
  using V = typename TileLanes<T>::Vector;
  constexpr int64_t kWidth = TileLanes<T>::kWidth;
  const int64_t filled = roundUp(count, kWidth);
  if (count == 0) {
    for (int64_t j = 0; j < room; ++j) x[j] = T(0);
    return T(1);
  }
  for (int64_t j = count; j < filled; ++j) x[j] = T(-INFINITY);
  V top = vectorAt(x);
  for (int64_t j = kWidth; j < filled; j += kWidth) {
    const V value = vectorAt(x + j);
    top = value > top ? value : top;
  }
  const T found = maxOfLanes<T>(top), before = *largest;
  const T now = found > before ? found : before;
  // Where nothing may be seen yet, all scores are -inf and their exponentials must be 0; NaN must stay NaN.
  const T reference = now == T(-INFINITY) ? T(0) : now;
  V total = {};
  for (int64_t j = 0; j < filled; j += kWidth) {
    const V value = expVector<T>(vectorAt(x + j) - reference);
    vectorAt(x + j) = value;
    total += value;
  }
  for (int64_t j = filled; j < room; ++j) x[j] = T(0);
  const T factor = now == before ? T(1) : static_cast<T>(exp(before - reference));
  *largest = now;
  *sum = *sum * factor + sumOfLanes<T>(total);
  return factor;
}

template <class T>
void scaleRow(T* x, int64_t padded, T factor) {
  for (int64_t j = 0; j < padded; j += TileLanes<T>::kWidth) vectorAt(x + j) *= factor;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_ATTENTION_ROWS_H_
