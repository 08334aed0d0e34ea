// The loops of a GPU: see common/backend.h.
#ifndef AX_CUDA_BACKEND_CUH_
#define AX_CUDA_BACKEND_CUH_
#include <stdint.h>

#include "common/layout.h"
#include "common/walk.h"
#include "cuda/runtime.h"

namespace ax {
inline namespace AX_ISA {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 1 << 16;  // more elements are reached by striding over the grid

inline int gridFor(int64_t count) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

// Every launch goes through here: the stream, and CUDA's answer.
template <class Launch>
int32_t launch(const Launch& start) {
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));
  start(stream);
  return checkCuda(cudaGetLastError(), "launch a kernel");
}

template <int N>
struct DeviceLayout {
  int32_t ndim;
  int32_t size[AX_MAX_NDIM];
  int32_t stride[N][AX_MAX_NDIM];
};

template <int N, class Body>
__global__ void __launch_bounds__(kThreads) contiguousKernel(int64_t count, Body body) {
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    At<N> position;
#pragma unroll
    for (int k = 0; k < N; ++k) position.v[k] = i;
    body(position);
  }
}

template <int N, class Body>
__global__ void __launch_bounds__(kThreads) stridedKernel(int64_t count, DeviceLayout<N> layout, Body body) {
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
    return launch([&](cudaStream_t stream) { contiguousKernel<N><<<gridFor(count), kThreads, 0, stream>>>(count, body); });
  }
  DeviceLayout<N> on_device{};
  on_device.ndim = layout.ndim;
  for (int dim = 0; dim < layout.ndim; ++dim) {
    on_device.size[dim] = static_cast<int32_t>(layout.size(dim));
    for (int k = 0; k < N; ++k) on_device.stride[k][dim] = static_cast<int32_t>(layout.stride(k, dim));
  }
  return launch([&](cudaStream_t stream) { stridedKernel<N><<<gridFor(count), kThreads, 0, stream>>>(count, on_device, body); });
}

// Combines a value of every thread of the block; all threads get the result.
template <class T, class Combine>
__device__ T combineBlock(T value, const Combine& combine) {
  __shared__ T partial[kThreads];
  __syncthreads();  // an earlier call may still be reading
  partial[threadIdx.x] = value;
  __syncthreads();
  for (int width = kThreads / 2; width > 0; width /= 2) {
    if (static_cast<int>(threadIdx.x) < width) partial[threadIdx.x] = combine(partial[threadIdx.x], partial[threadIdx.x + width]);
    __syncthreads();
  }
  return partial[0];
}

// The threads of a block.
class Team {
 public:
  AX_DEVICE bool isFirst() const { return threadIdx.x == 0; }

  template <class F>
  AX_DEVICE void each(int64_t count, const F& f) const {
    for (int64_t i = threadIdx.x; i < count; i += kThreads) f(i);
  }

  template <class T, class F>
  AX_DEVICE T sum(int64_t count, const F& f) const {
    T value = T(0);
    for (int64_t i = threadIdx.x; i < count; i += kThreads) value += f(i);
    return combineBlock(value, [](T a, T b) { return a + b; });
  }

  template <class T, class F>
  AX_DEVICE T max(int64_t count, T lowest, const F& f) const {
    T value = lowest;
    for (int64_t i = threadIdx.x; i < count; i += kThreads) value = maths::Maximum::apply<T>(value, f(i), T(0), T(0));
    return combineBlock(value, [](T a, T b) { return maths::Maximum::apply<T>(a, b, T(0), T(0)); });
  }
};

template <class Body>
__global__ void __launch_bounds__(kThreads) rowKernel(int64_t rows, Body body) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) body(Team(), row);
}

template <class Body>
int32_t forEachRow(int64_t rows, int64_t, const Body& body) {
  if (rows == 0) return AX_OK;
  const int grid = static_cast<int>(rows < kMaxBlocks ? rows : kMaxBlocks);
  return launch([&](cudaStream_t stream) { rowKernel<<<grid, kThreads, 0, stream>>>(rows, body); });
}

template <class Body>
__global__ void __launch_bounds__(kThreads) lineKernel(int64_t lines, Body body) {
  for (int64_t line = blockIdx.x * int64_t{kThreads} + threadIdx.x; line < lines; line += int64_t{kThreads} * gridDim.x) body(line);
}

template <class Body>
int32_t forEachLine(int64_t lines, int64_t, const Body& body) {
  if (lines == 0) return AX_OK;
  return launch([&](cudaStream_t stream) { lineKernel<<<gridFor(lines), kThreads, 0, stream>>>(lines, body); });
}

template <class Body>
__global__ void __launch_bounds__(kThreads) spanKernel(int64_t outer, int64_t inner, Body body) {
  const int64_t count = outer * inner;
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    body(i / inner, i % inner, i % inner + 1);
  }
}

template <class Body>
int32_t forEachSpan(int64_t outer, int64_t inner, const Body& body) {
  if (outer * inner == 0) return AX_OK;
  return launch([&](cudaStream_t stream) { spanKernel<<<gridFor(outer * inner), kThreads, 0, stream>>>(outer, inner, body); });
}

template <class Index>
__global__ void __launch_bounds__(kThreads) indexKernel(const Index* index, int64_t count, int64_t limit, int64_t ignored, int32_t* flag) {
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    if ((index[i] < 0 || index[i] >= limit) && index[i] != ignored) *flag = 1;
  }
}

template <class Index>
int32_t checkIndices(const Index* index, int64_t count, int64_t limit, int64_t ignored) {
  if (count == 0) return AX_OK;
  int32_t* flag;
  AX_TRY(indexFlag(&flag));
  return launch([&](cudaStream_t stream) { indexKernel<<<gridFor(count), kThreads, 0, stream>>>(index, count, limit, ignored, flag); });
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_BACKEND_CUH_
