// The loops of a GPU: see common/backend.h.
#ifndef AX_CUDA_BACKEND_CUH_
#define AX_CUDA_BACKEND_CUH_
#include <stdint.h>

#include "common/layout.h"
#include "common/walk.h"
#include "cuda/launch.cuh"
#include "cuda/team.cuh"

namespace ax {
inline namespace AX_ISA {

template <class Body>
__global__ void AX_MAX_THREADS(kThreads, 3) elementKernel(int64_t count, Body body) {
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) body(At<1>{{i}});
}

template <int N, class Body>
int32_t forEach(double element_count, const Layout<N>& layout, const Body& body) {
  static_assert(N == 1, "one position for all operands");
  if (layout.ndim != 0) return fail(AX_ERROR_UNSUPPORTED, "a loop over strided elements");
  const int64_t count = static_cast<int64_t>(element_count);
  if (count == 0) return AX_OK;
  return launch(elementKernel<Body>, gridFor(count), count, body);
}

template <class Body>
__global__ void AX_MAX_THREADS(kThreads, 3) lineKernel(int64_t lines, Body body) {
  for (int64_t line = blockIdx.x * int64_t{kThreads} + threadIdx.x; line < lines; line += int64_t{kThreads} * gridDim.x) body(line);
}

template <class Body>
int32_t forEachLine(int64_t lines, int64_t, const Body& body) {
  if (lines == 0) return AX_OK;
  return launch(lineKernel<Body>, gridFor(lines), lines, body);
}

template <class Body>
__global__ void AX_MAX_THREADS(kThreads, 3) spanKernel(int64_t outer, int64_t inner, Body body) {
  const int64_t count = outer * inner;
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    body(i / inner, i % inner, i % inner + 1);
  }
}

template <class Body>
int32_t forEachSpan(int64_t outer, int64_t inner, const Body& body) {
  if (outer * inner == 0) return AX_OK;
  return launch(spanKernel<Body>, gridFor(outer * inner), outer, inner, body);
}

template <class Index>
__global__ void AX_MAX_THREADS(kThreads) indexKernel(const Index* index, int64_t count, int64_t limit, int64_t ignored, int32_t* flag) {
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    if ((index[i] < 0 || index[i] >= limit) && index[i] != ignored) *flag = 1;
  }
}

template <class Index>
int32_t checkIndices(const Index* index, int64_t count, int64_t limit, int64_t ignored) {
  if (count == 0) return AX_OK;
  int32_t* flag;
  AX_TRY(indexFlag(&flag));
  return launch(indexKernel<Index>, gridFor(count), index, count, limit, ignored, flag);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_BACKEND_CUH_
