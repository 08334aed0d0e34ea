// Rows and columns on a GPU: see common/backend.h. A team is a block.
#ifndef AX_CUDA_TEAM_CUH_
#define AX_CUDA_TEAM_CUH_
#include <stdint.h>

#include <type_traits>

#include "common/dtype.h"
#include "cuda/launch.cuh"

namespace ax {
inline namespace AX_ISA {

// Combines a value of every thread of the block; all threads get the result.
template <class T, class Combine>
__device__ T combineBlock(T value, const Combine& combine) {
  AX_SHARED(T, partial, [kThreads]);
  __syncthreads();  // an earlier call may still be reading
  partial[threadIdx.x] = value;
  __syncthreads();
  for (int width = kThreads / 2; width > 0; width /= 2) {
    if (static_cast<int>(threadIdx.x) < width) partial[threadIdx.x] = combine(partial[threadIdx.x], partial[threadIdx.x + width]);
    __syncthreads();
  }
  return partial[0];
}

// Rows of 16-bit elements, widened where they are read and rounded where they are written.
template <class T>
struct WidenedRow {
  const T* row;
  AX_DEVICE float operator[](int64_t i) const { return static_cast<float>(row[i]); }
  AX_DEVICE bool operator==(decltype(nullptr)) const { return row == nullptr; }
  AX_DEVICE bool operator!=(decltype(nullptr)) const { return row != nullptr; }
};

template <class T>
struct NarrowedRow {
  struct Element {
    T* at;
    AX_DEVICE void operator=(float value) const { *at = T(value); }
    AX_DEVICE operator float() const { return static_cast<float>(*at); }
  };
  T* row;
  AX_DEVICE Element operator[](int64_t i) const { return {row + i}; }
};

template <class T>
constexpr bool kInPlace = std::is_same<T, Compute<T>>::value;

// The threads of a block.
class Team {
 public:
  AX_DEVICE bool isFirst() const { return threadIdx.x == 0; }

  template <class F>
  AX_DEVICE void each(int64_t count, const F& f) const {
    for (int64_t i = threadIdx.x; i < count; i += kThreads) f(i);
  }

  template <class F>
  AX_DEVICE void one(int64_t i, const F& f) const {
    if (i % kThreads == threadIdx.x) f(i);
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
    for (int64_t i = threadIdx.x; i < count; i += kThreads) value = larger<T>(value, f(i));
    return combineBlock(value, [](T a, T b) { return larger<T>(a, b); });
  }

  template <class T>
  AX_DEVICE auto input(const T* row, int64_t, int) const {
    if constexpr (kInPlace<T>) {
      return row;
    } else {
      return WidenedRow<T>{row};
    }
  }

  template <class T>
  AX_DEVICE auto output(T* row, int) const {
    if constexpr (kInPlace<T>) {
      return row;
    } else {
      return NarrowedRow<T>{row};
    }
  }

  template <class T, class Row>
  AX_DEVICE void store(T*, const Row&, int64_t) const {}

 private:
  template <class T>
  static AX_DEVICE T larger(T a, T b) {
    return b > a ? b : a;
  }
};

template <class Body>
__global__ void AX_MAX_THREADS(kThreads) rowKernel(int64_t rows, Body body) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) body(Team(), row);
}

template <class Body>
int32_t forEachRow(int64_t rows, int64_t, const Body& body) {
  if (rows == 0) return AX_OK;
  const int grid = static_cast<int>(rows < kMaxBlocks ? rows : kMaxBlocks);
  return launch(rowKernel<Body>, grid, rows, body);
}

template <class T, class Body>
int32_t forEachRow(int64_t rows, int64_t row_elements, int64_t, int, const Body& body) {
  return forEachRow(rows, row_elements, body);
}

// A thread for each column.
constexpr int kColumnBlock = 1;

template <class Body>
__global__ void AX_MAX_THREADS(kThreads) columnKernel(int64_t outer, int64_t inner, Body body) {
  const int64_t count = outer * inner;
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    body(i / inner, i % inner, 1);
  }
}

template <class Body>
int32_t forEachColumns(int64_t outer, int64_t, int64_t inner, const Body& body) {
  if (outer * inner == 0) return AX_OK;
  return launch(columnKernel<Body>, gridFor(outer * inner), outer, inner, body);
}

template <class T, class F>
__global__ void AX_MAX_THREADS(kThreads) sumKernel(T* out, int64_t count, double scale, F f) {
  const double total = Team().template sum<double>(count, [=](int64_t i) { return static_cast<double>(f(i)); });
  if (threadIdx.x == 0) *out = static_cast<T>(total * scale);
}

template <class T, class F>
int32_t sumInto(T* out, int64_t count, double scale, const F& f) {
  return launch(sumKernel<T, F>, 1, out, count, scale, f);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_TEAM_CUH_
