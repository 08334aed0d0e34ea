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

template <int N>
struct DeviceLayout {
  int32_t ndim;
  int32_t size[AX_MAX_NDIM];
  int32_t stride[N][AX_MAX_NDIM];
};

template <int N, class Body>
__global__ void AX_MAX_THREADS(kThreads) contiguousKernel(int64_t count, Body body) {
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    At<N> position;
#pragma unroll
    for (int k = 0; k < N; ++k) position.v[k] = i;
    body(position);
  }
}

template <int N, class Body>
__global__ void AX_MAX_THREADS(kThreads) stridedKernel(int64_t count, DeviceLayout<N> layout, Body body) {
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    At<N> position;
#pragma unroll
    for (int k = 0; k < N; ++k) position.v[k] = 0;
    int64_t rest = i;
    for (int dim = layout.ndim - 1; dim >= 0; --dim) {
      const int64_t index = rest % layout.size[dim];
      rest /= layout.size[dim];
#pragma unroll
      for (int k = 0; k < N; ++k) position.v[k] += index * layout.stride[k][dim];
    }
    body(position);
  }
}

template <int N, class Body>
int32_t forEach(double element_count, const Layout<N>& layout, const Body& body) {
  const int64_t count = layout.ndim == 0 ? static_cast<int64_t>(element_count) : layout.count();
  if (count == 0) return AX_OK;
  if (layout.ndim == 0) {
    return launch(contiguousKernel<N, Body>, gridFor(count), count, body);
  }
  // One operand alone is contiguous: without a kernel for strides such a body takes half the space.
  if constexpr (N > 1) {
    DeviceLayout<N> on_device{};
    on_device.ndim = layout.ndim;
    for (int dim = 0; dim < layout.ndim; ++dim) {
      on_device.size[dim] = static_cast<int32_t>(layout.size(dim));
      for (int k = 0; k < N; ++k) on_device.stride[k][dim] = static_cast<int32_t>(layout.stride(k, dim));
    }
    return launch(stridedKernel<N, Body>, gridFor(count), count, on_device, body);
  }
  return fail(AX_ERROR_ARGUMENT, "a single operand must be contiguous, got %d dimensions", layout.ndim);
}

template <class Body>
__global__ void AX_MAX_THREADS(kThreads) lineKernel(int64_t lines, Body body) {
  for (int64_t line = blockIdx.x * int64_t{kThreads} + threadIdx.x; line < lines; line += int64_t{kThreads} * gridDim.x) body(line);
}

template <class Body>
int32_t forEachLine(int64_t lines, int64_t, const Body& body) {
  if (lines == 0) return AX_OK;
  return launch(lineKernel<Body>, gridFor(lines), lines, body);
}

template <class Body>
__global__ void AX_MAX_THREADS(kThreads) spanKernel(int64_t outer, int64_t inner, Body body) {
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
