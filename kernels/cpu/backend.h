// The loops of the CPU: see common/backend.h. Inner loops are plain, so that the compiler vectorises them; large ones are split over
// the threads.
#ifndef AX_CPU_BACKEND_H_
#define AX_CPU_BACKEND_H_
#include <stdint.h>

#include "common/layout.h"
#include "common/walk.h"
#include "cpu/team.h"
#include "cpu/thread_pool.h"

namespace ax {
inline namespace AX_ISA {

// Any strides. Vector gathers would not pay, and would make half of the library's code.
template <int N, class Body>
__attribute__((noinline, optimize("no-tree-vectorize"))) void scatteredRun(int64_t count, const int64_t* start, const int64_t* step,
                                                                           const Body& shared) {
  const Body body = shared;
  At<N> position;
  for (int64_t i = 0; i < count; ++i) {
    for (int k = 0; k < N; ++k) position.v[k] = start[k] + i * step[k];
    body(position);
  }
}

// One run of the innermost dimension. The common strides are named, so that they become constants: all 1, and the last operand
// one value for the whole run.
template <int N, class Body>
__attribute__((noinline)) void run(int64_t count, const int64_t* start, const int64_t* step, const Body& shared) {
  const Body body = shared;  // a local copy: stores through its pointers cannot change it, so the loops vectorise
  bool all_one = true, last_zero = N > 1;
  for (int k = 0; k < N; ++k) {
    all_one &= step[k] == 1;
    last_zero &= step[k] == (k == N - 1 ? 0 : 1);
  }
  At<N> position;
  if (all_one) {
    for (int64_t i = 0; i < count; ++i) {
      for (int k = 0; k < N; ++k) position.v[k] = start[k] + i;
      body(position);
    }
  } else if (N > 2 && last_zero) {
    for (int64_t i = 0; i < count; ++i) {
      for (int k = 0; k < N - 1; ++k) position.v[k] = start[k] + i;
      position.v[N - 1] = start[N - 1];
      body(position);
    }
  } else {
    scatteredRun<N>(count, start, step, shared);
  }
}

template <int N, class Body>
int32_t forEach(double count, const Layout<N>& layout, const Body& body) {
  if (layout.ndim == 0) {
    parallelFor(static_cast<int64_t>(count), kElementGrain, [&](int64_t begin, int64_t end) {
      int64_t start[N], step[N];
      for (int k = 0; k < N; ++k) {
        start[k] = begin;
        step[k] = 1;
      }
      run<N>(end - begin, start, step, body);
    });
    return AX_OK;
  }
  const int last = layout.ndim - 1;
  const int64_t inner = layout.size(last), total = layout.count();
  if (total == 0) return AX_OK;
  int64_t step[N];
  for (int k = 0; k < N; ++k) step[k] = layout.stride(k, last);
  parallelFor(total / inner, kElementGrain / inner + 1, [&](int64_t begin, int64_t end) {
    int64_t index[AX_MAX_NDIM] = {}, position[N] = {}, rest = begin;
    for (int dim = last - 1; dim >= 0; --dim) {
      index[dim] = rest % layout.size(dim);
      rest /= layout.size(dim);
      for (int k = 0; k < N; ++k) position[k] += index[dim] * layout.stride(k, dim);
    }
    for (int64_t i = begin; i < end; ++i) {
      run<N>(inner, position, step, body);
      for (int dim = last - 1; dim >= 0; --dim) {
        for (int k = 0; k < N; ++k) position[k] += layout.stride(k, dim);
        if (++index[dim] < layout.size(dim)) break;
        for (int k = 0; k < N; ++k) position[k] -= layout.stride(k, dim) * layout.size(dim);
        index[dim] = 0;
      }
    }
  });
  return AX_OK;
}

template <class Body>
int32_t forEachSpan(int64_t outer, int64_t inner, const Body& body) {
  for (int64_t o = 0; o < outer; ++o) {
    parallelFor(inner, kElementGrain, [&](int64_t begin, int64_t end) { body(o, begin, end); });
  }
  return AX_OK;
}

template <class Index>
int32_t checkIndices(const Index* index, int64_t count, int64_t limit, int64_t ignored) {
  for (int64_t i = 0; i < count; ++i) {
    if ((index[i] < 0 || index[i] >= limit) && index[i] != ignored) {
      return fail(AX_ERROR_INDEX, "index %lld at position %lld is outside [0, %lld)", static_cast<long long>(index[i]),
                  static_cast<long long>(i), static_cast<long long>(limit));
    }
  }
  return AX_OK;
}

// `count` elements at distance `stride`, in lanes that are combined pairwise.
template <class F, class T>
T reduceRun(const T* x, int64_t count, int64_t stride, T identity) {
  constexpr int kLanes = 16;
  T lanes[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = identity;
  int64_t i = 0;
  if (stride == 1) {
    for (; i + kLanes <= count; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = F::template combine<T>(lanes[lane], x[i + lane]);
    }
  }
  for (; i < count; ++i) lanes[i % kLanes] = F::template combine<T>(lanes[i % kLanes], x[i * stride]);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] = F::template combine<T>(lanes[lane], lanes[lane + width]);
  }
  return lanes[0];
}

// Long runs are split in halves, so that rounding errors grow with the logarithm of the count.
template <class F, class T>
T reducePairwise(const T* x, int64_t count, int64_t stride, T identity) {
  if (count <= 4096) return reduceRun<F, T>(x, count, stride, identity);
  const int64_t half = count / 2 / 16 * 16;
  return F::template combine<T>(reducePairwise<F, T>(x, half, stride, identity),
                                reducePairwise<F, T>(x + half * stride, count - half, stride, identity));
}

// Column sums: the kept dimension is contiguous, so pieces of whole rows are combined at once.
template <class F, class T>
void reduceColumns(T* out, const T* x, int64_t rows, int64_t row_stride, int64_t cols, T identity, double scale, double beta) {
  constexpr int64_t kBlock = 64;
  parallelFor((cols + kBlock - 1) / kBlock, kElementGrain / (kBlock * (rows + 1)) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kBlock, width = cols - first < kBlock ? cols - first : kBlock;
      T sums[kBlock];
      for (int64_t j = 0; j < width; ++j) sums[j] = identity;
      for (int64_t i = 0; i < rows; ++i) {
        const T* row = x + i * row_stride + first;
        for (int64_t j = 0; j < width; ++j) sums[j] = F::template combine<T>(sums[j], row[j]);
      }
      for (int64_t j = 0; j < width; ++j) storeReduced(out + first + j, sums[j], scale, beta);
    }
  });
}

template <class F, class T>
int32_t reduceWalk(T* out, const T* x, const Walk& walk, T identity, double scale, double beta) {
  const int64_t kept = walk.keptCount();
  if (walk.kept_ndim == 1 && walk.kept[1] == 1 && walk.reduced_ndim == 1) {
    reduceColumns<F, T>(out, x, walk.reduced[0], walk.reduced[1], kept, identity, scale, beta);
    return AX_OK;
  }
  const int32_t inner = walk.reduced_ndim - 1;
  const int64_t run_count = inner < 0 ? 1 : walk.reduced[inner], run_stride = inner < 0 ? 1 : walk.reduced[2 * inner + 1];
  const int64_t total = walk.reducedCount(), runs = run_count == 0 ? 0 : total / run_count;
  parallelFor(kept, kElementGrain / (total + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* base = x + walk.keptPosition(k);
      T value = identity;
      for (int64_t r = 0; r < runs; ++r) {
        const T* start = base + (runs == 1 ? 0 : walk.reducedPosition(r * run_count));
        const T part = reducePairwise<F, T>(start, run_count, run_stride, identity);
        value = r == 0 ? part : F::template combine<T>(value, part);
      }
      storeReduced(out + k, value, scale, beta);
    }
  });
  return AX_OK;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_BACKEND_H_
