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
int32_t forEachLine(int64_t lines, int64_t elements, const Body& body) {
  parallelFor(lines, kElementGrain / (elements + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) body(line);
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

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_BACKEND_H_
