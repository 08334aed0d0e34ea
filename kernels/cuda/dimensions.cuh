// Dimensions that elements are counted through in row-major order, as kernels see them.
#ifndef AX_CUDA_DIMENSIONS_CUH_
#define AX_CUDA_DIMENSIONS_CUH_
#include "cuda/divider.cuh"
#include "include/accelerate.h"

namespace ax {
inline namespace AX_ISA {

struct Dimensions {
  int32_t ndim;
  bool is_large;  // 2^31 elements or more: 64-bit divisions
  Divider sizes[AX_MAX_NDIM];
  int32_t strides[AX_MAX_NDIM];

  static Dimensions of(int32_t ndim, const int32_t* sizes, const int32_t* strides) {
    Dimensions dims{};
    dims.ndim = ndim;
    double count = 1;
    for (int dim = 0; dim < ndim; ++dim) {
      dims.sizes[dim] = Divider::of(sizes[dim] < 1 ? 1 : sizes[dim]);
      dims.strides[dim] = strides[dim];
      count *= sizes[dim];
    }
    dims.is_large = count >= static_cast<double>(kIndexLimit);
    return dims;
  }

  // Where element `index` lies.
  __device__ int64_t position(int64_t index) const {
    if (ndim == 0) return 0;
    int64_t at = 0;
    if (is_large) {
#pragma unroll 1
      for (int dim = ndim - 1; dim > 0; --dim) {
        at += index % sizes[dim].divisor * strides[dim];
        index /= sizes[dim].divisor;
      }
      return at + index * strides[0];
    }
    uint32_t rest = static_cast<uint32_t>(index);
#pragma unroll 1
    for (int dim = ndim - 1; dim > 0; --dim) {
      const uint32_t next = sizes[dim].quotient(rest);
      at += static_cast<int64_t>(rest - next * sizes[dim].divisor) * strides[dim];
      rest = next;
    }
    return at + static_cast<int64_t>(rest) * strides[0];
  }
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_DIMENSIONS_CUH_
