// Sums of rows that an index sends to the same place, in the order of the index and without atomics: the index is sorted, so that rows of
// one place become neighbours, and whoever stands at the beginning of such a segment does it all.
#ifndef AX_CUDA_SEGMENTS_CUH_
#define AX_CUDA_SEGMENTS_CUH_
#include <stdint.h>

#include "cuda/launch.cuh"
#include "cuda/pack.cuh"
#include "cuda/sort.h"
#include "cuda/team.cuh"

namespace ax {
inline namespace AX_ISA {

// out (outer, size, inner) += x (outer, count, inner) at index (count).
template <class T, class Index>
struct Segments {
  T* out;
  const T* x;
  const Index* index;
  int64_t outer, size, count, inner;
};

// A team for each segment; its threads take kPack neighbouring columns each.
template <int kPack, class T, class Index>
__global__ void AX_MAX_THREADS(kThreads) addSegmentsKernel(Segments<T, Index> s, SortedRows order, int team_size) {
  constexpr int kReads = 4;
  const int teams = kThreads / team_size, member = static_cast<int>(threadIdx.x) % team_size;
  const int64_t all = s.outer * s.count;
  for (int64_t at = int64_t{blockIdx.x} * teams + threadIdx.x / team_size; at < all; at += int64_t{gridDim.x} * teams) {
    const int64_t o = at / s.count, begin = at % s.count;
    const uint64_t key = order.keys[begin];
    if (begin > 0 && order.keys[begin - 1] == key) continue;
    const int64_t to = s.index[order.positions[begin]];
    if (to < 0 || to >= s.size) continue;
    const T* const source = s.x + o * s.count * s.inner;
    T* const target = s.out + (o * s.size + to) * s.inner;
    for (int64_t column = member * kPack; column < s.inner; column += team_size * kPack) {
      Pack<T, kPack> total = loadPack<kPack>(target + column);
#pragma unroll 1
      for (int64_t i = begin; i < s.count && order.keys[i] == key; i += kReads) {
        // Several rows are under way at once; they are added one after the other.
        Pack<T, kPack> rows[kReads];
        bool belongs[kReads];
#pragma unroll
        for (int read = 0; read < kReads; ++read) {
          belongs[read] = i + read < s.count && order.keys[i + read] == key;
          if (belongs[read]) rows[read] = loadPack<kPack>(source + order.positions[i + read] * s.inner + column);
        }
#pragma unroll
        for (int read = 0; read < kReads; ++read) {
          if (!belongs[read]) continue;
#pragma unroll
          for (int lane = 0; lane < kPack; ++lane) total.v[lane] += rows[read].v[lane];
        }
      }
      storePack(target + column, total);
    }
  }
}

template <class T, class Index>
int32_t addSegments(const Segments<T, Index>& s) {
  if (s.outer * s.count * s.inner == 0) return AX_OK;
  constexpr int kPack = 16 / static_cast<int>(sizeof(T));
  SortedRows order;
  AX_TRY(sortRows({const_cast<Index*>(s.index), kDtypeOf<Index>}, 1, s.count, &order));
  const bool packs = s.inner % kPack == 0 && areAligned(s.out, s.x);
  const int size = teamSize(s.outer * s.count, packs ? s.inner / kPack : s.inner), grid = gridForTeams(s.outer * s.count, size);
  return packs ? launch(addSegmentsKernel<kPack, T, Index>, grid, s, order, size) : launch(addSegmentsKernel<1, T, Index>, grid, s, order, size);
}

// Rows (outer, count) to places of rows (outer, size): summed, or the last one stays. A thread for each segment.
template <class T, bool kAdd>
__global__ void AX_MAX_THREADS(kThreads) scatterSegmentsKernel(Segments<T, int64_t> s, SortedRows order) {
  const int64_t all = s.outer * s.count;
  for (int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x; at < all; at += int64_t{gridDim.x} * kThreads) {
    const int64_t row = at / s.count * s.count, end = row + s.count;
    const uint64_t key = order.keys[at];
    if (at > row && order.keys[at - 1] == key) continue;
    const int64_t to = s.index[row + order.positions[at]];
    if (to < 0 || to >= s.size) continue;
    T& target = s.out[at / s.count * s.size + to];
    T value = kAdd ? target : T(0);
    for (int64_t i = at; i < end && order.keys[i] == key; ++i) {
      const T next = s.x[row + order.positions[i]];
      value = kAdd ? static_cast<T>(value + next) : next;
    }
    target = value;
  }
}

template <class T, bool kAdd>
int32_t scatterSegments(const Segments<T, int64_t>& s) {
  if (s.outer * s.count == 0) return AX_OK;
  SortedRows order;
  AX_TRY(sortRows({const_cast<int64_t*>(s.index), AX_INT64}, s.outer, s.count, &order));
  return launch(scatterSegmentsKernel<T, kAdd>, gridFor(s.outer * s.count), s, order);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_SEGMENTS_CUH_
