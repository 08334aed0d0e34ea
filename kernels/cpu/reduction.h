// Reductions on the CPU: see common/reduction.h. Of a reduction only the loops over contiguous elements of its own type are compiled
// for each operation; how the dimensions are walked, and how work is split, is compiled once for each type.
#ifndef AX_CPU_REDUCTION_H_
#define AX_CPU_REDUCTION_H_
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

// Combines the lanes pairwise.
template <class F, class C>
C foldLanes(C* lanes, int count) {
  for (int width = count / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] = F::template combine<C>(lanes[lane], lanes[lane + width]);
  }
  return lanes[0];
}

// Lanes are independent chains of additions. They start anew after a few steps, so that rounding errors stay small.
template <class F, class C>
C reduceRun(const C* x, int64_t count) {
  constexpr int kLanes = 64, kFew = 4;
  constexpr int64_t kChunk = 16 * kLanes;
  C lanes[kLanes], totals[kLanes];
  int64_t i = 0;
  if (count < 2 * kLanes) {
    for (int lane = 0; lane < kFew; ++lane) lanes[lane] = F::template identity<C>();
    for (; i < count; ++i) lanes[i % kFew] = F::template combine<C>(lanes[i % kFew], F::template map<C>(x[i]));
    return foldLanes<F, C>(lanes, kFew);
  }
  for (int lane = 0; lane < kLanes; ++lane) totals[lane] = F::template identity<C>();
  while (i < count) {
    const int64_t end = count - i < kChunk ? count : i + kChunk;
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = F::template identity<C>();
    for (; i + kLanes <= end; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = F::template combine<C>(lanes[lane], F::template map<C>(x[i + lane]));
    }
    for (int lane = 0; i < end; ++i, ++lane) lanes[lane] = F::template combine<C>(lanes[lane], F::template map<C>(x[i]));
    for (int lane = 0; lane < kLanes; ++lane) totals[lane] = F::template combine<C>(totals[lane], lanes[lane]);
  }
  return foldLanes<F, C>(totals, kLanes);
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
