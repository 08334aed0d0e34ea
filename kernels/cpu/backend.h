// How the CPU walks operands: contiguous ranges, or strided ones dimension by dimension with a plain inner loop.
#ifndef AX_CPU_BACKEND_H_
#define AX_CPU_BACKEND_H_
#include <stdint.h>

#include "common/dtype.h"
#include "common/status.h"

namespace ax {
inline namespace AX_ISA {

// Shape and strides of N operands as accelerate.h describes `layout`.
template <int N>
struct Layout {
  const int32_t* entries;
  int32_t ndim;

  int64_t size(int dim) const { return entries[dim]; }
  int64_t stride(int operand, int dim) const { return entries[(operand + 1) * ndim + dim]; }

  // Number of elements from the first to the last that an operand touches; 0 when the shape is empty.
  double span(int operand) const {
    int64_t last = 0;
    for (int dim = 0; dim < ndim; ++dim) {
      if (size(dim) == 0) return 0;
      last += (size(dim) - 1) * stride(operand, dim);
    }
    return static_cast<double>(last + 1);
  }

  // Calls inner(count, positions, strides) for each run of the innermost dimension.
  template <class Inner>
  void forEachRun(const Inner& inner) const {
    int64_t index[AX_MAX_NDIM] = {}, position[N] = {}, steps[N];
    const int last = ndim - 1;
    for (int dim = 0; dim < ndim; ++dim) {
      if (size(dim) == 0) return;
    }
    for (int k = 0; k < N; ++k) steps[k] = stride(k, last);
    for (;;) {
      inner(size(last), position, steps);
      int dim = last - 1;
      for (; dim >= 0; --dim) {
        for (int k = 0; k < N; ++k) position[k] += stride(k, dim);
        if (++index[dim] < size(dim)) break;
        for (int k = 0; k < N; ++k) position[k] -= stride(k, dim) * size(dim);
        index[dim] = 0;
      }
      if (dim < 0) return;
    }
  }
};

inline int32_t checkLayout(const void* layout, int32_t ndim, int operands) {
  if (ndim < 0 || ndim > AX_MAX_NDIM) return fail(AX_ERROR_ARGUMENT, "ndim must be in [0, %d], got %d", AX_MAX_NDIM, ndim);
  const int32_t* entries = static_cast<const int32_t*>(layout);
  for (int i = 0; i < ndim * (operands + 1); ++i) {
    if (entries[i] < 0) return fail(AX_ERROR_ARGUMENT, "sizes and strides must not be negative, got %d", entries[i]);
  }
  return AX_OK;
}

// Operand k of a call: resolves `count` elements, or what the layout spans.
template <class T, int N>
int32_t operand(uint32_t id, double offset, double count, int32_t dtype, const Layout<N>& layout, int k, T** address) {
  return resolve(id, offset, layout.ndim == 0 ? count : layout.span(k), dtype, reinterpret_cast<void**>(address));
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_BACKEND_H_
