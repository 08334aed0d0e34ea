// Reductions on the CPU: see common/reduction.h. Of a reduction only the loops over contiguous elements of its own type are compiled
// for each operation; how the dimensions are walked, and how work is split, is compiled once for each type.
#ifndef AX_CPU_REDUCTION_H_
#define AX_CPU_REDUCTION_H_
#include <string.h>

#include <type_traits>

#include "common/math.h"
#include "common/operand.h"
#include "common/walk.h"

namespace ax {
inline namespace AX_ISA {

template <class C>
struct Reduction {
  C identity;
  C (*run)(const C* x, int64_t count);                    // of contiguous elements
  void (*rows)(C* totals, const C* x, int64_t count);     // totals[j] combined with the element x[j]
  void (*merge)(C* totals, const C* other, int64_t count);  // totals[j] combined with the total other[j]
};

template <class C>
int32_t reduceBlocks(const Reduction<C>& f, const Operand& out, const Operand& x, const Walk& walk, double scale, double beta);
template <class C>
int32_t argReduceBlocks(int64_t* out, const Operand& x, const Walk& walk, bool maximum);

// Operations on whole vector registers, in the language extension of g++: lanes in an array would go through memory. By reference,
// because the calling convention for vectors differs between instruction sets.
template <class F, class V>
AX_HD void mergeInto(V& total, const V& v) {
  if constexpr (std::is_same_v<F, maths::Max>) total = (total > v) | (total != total) ? total : v;
  else if constexpr (std::is_same_v<F, maths::Min>) total = (total < v) | (total != total) ? total : v;
  else if constexpr (std::is_same_v<F, maths::Prod>) total *= v;
  else if constexpr (std::is_same_v<F, maths::Any>) total = total > v ? total : v;
  else if constexpr (std::is_same_v<F, maths::All>) total = total < v ? total : v;
  else total += v;
}

template <class F, class V>
AX_HD void mapInto(V& total, V& v) {
  const V zero = {};
  if constexpr (std::is_same_v<F, maths::SumSquares>) v *= v;
  if constexpr (std::is_same_v<F, maths::SumAbs>) v = v < zero ? -v : v;
  if constexpr (std::is_same_v<F, maths::Any> || std::is_same_v<F, maths::All>) v = v != zero ? zero + 1 : zero;
  mergeInto<F>(total, v);
}

// 512-bit registers are no faster here, and take longer to fold.
#ifdef __AVX2__
#define AX_VECTOR_BYTES 32
#else
#define AX_VECTOR_BYTES 16
#endif

// Four vector registers are independent chains of operations. They start anew after some steps, so that rounding errors stay small.
template <class F, class C>
C reduceRun(const C* x, int64_t count) {
  typedef C Vector __attribute__((vector_size(AX_VECTOR_BYTES)));
  constexpr int kWidth = AX_VECTOR_BYTES / sizeof(C), kStep = 4 * kWidth;
  constexpr int64_t kChunk = 16 * kStep;
  C few[4];
  for (C& lane : few) lane = F::template identity<C>();
  int64_t i = 0;
  if (count >= 2 * kStep) {
    const Vector nothing = Vector{} + F::template identity<C>();
    Vector totals[4] = {nothing, nothing, nothing, nothing};
    while (count - i >= kStep) {
      const int64_t end = count - i < kChunk ? count : i + kChunk;
      Vector parts[4] = {nothing, nothing, nothing, nothing};
      for (; i + kStep <= end; i += kStep) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          Vector v;
          memcpy(&v, x + i + k * kWidth, sizeof v);
          mapInto<F>(parts[k], v);
        }
      }
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) mergeInto<F>(totals[k], parts[k]);
    }
    mergeInto<F>(totals[0], totals[2]);
    mergeInto<F>(totals[1], totals[3]);
    mergeInto<F>(totals[0], totals[1]);
    C lanes[kWidth];
    memcpy(lanes, &totals[0], sizeof lanes);
    for (int width = kWidth / 2; width > 0; width /= 2) {
      for (int lane = 0; lane < width; ++lane) lanes[lane] = F::template combine<C>(lanes[lane], lanes[lane + width]);
    }
    few[0] = lanes[0];
  }
  for (int lane = 0; i < count; ++i, lane = (lane + 1) % 4) {
    few[lane] = F::template combine<C>(few[lane], F::template map<C>(x[i]));
  }
  return F::template combine<C>(F::template combine<C>(few[0], few[2]), F::template combine<C>(few[1], few[3]));
}

template <class F, class C>
void reduceRows(C* totals, const C* x, int64_t count) {
#pragma GCC ivdep
  for (int64_t j = 0; j < count; ++j) totals[j] = F::template combine<C>(totals[j], F::template map<C>(x[j]));
}

template <class F, class C>
void mergeTotals(C* totals, const C* other, int64_t count) {
#pragma GCC ivdep
  for (int64_t j = 0; j < count; ++j) totals[j] = F::template combine<C>(totals[j], other[j]);
}

template <class F, class C>
int32_t reduceElements(const Operand& out, const Operand& x, const Walk& walk, double scale, double beta) {
  const Reduction<C> f{F::template identity<C>(), reduceRun<F, C>, reduceRows<F, C>, mergeTotals<F, C>};
  return reduceBlocks<C>(f, out, x, walk, scale, beta);
}

template <class C>
int32_t argReduceElements(int64_t* out, const Operand& x, const Walk& walk, bool maximum) {
  return argReduceBlocks<C>(out, x, walk, maximum);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_REDUCTION_H_
