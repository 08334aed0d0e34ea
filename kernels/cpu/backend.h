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

// Contiguous elements; strided ones run through mapElements() (common/map.h).
template <int N, class Body>
int32_t forEach(double count, const Layout<N>& layout, const Body& shared) {
  static_assert(N == 1, "one position for all operands");
  if (layout.ndim != 0) return fail(AX_ERROR_UNSUPPORTED, "a loop over strided elements");
  parallelFor(static_cast<int64_t>(count), kElementGrain, [&](int64_t begin, int64_t end) {
    const Body body = shared;  // a local copy: stores through its pointers cannot change it, so the loop vectorises
    for (int64_t i = begin; i < end; ++i) body(At<1>{{i}});
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
