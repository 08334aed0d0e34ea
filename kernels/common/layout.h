// Shapes and strides of N operands, as accelerate.h describes `layout`, and the checks of operands.
#ifndef AX_COMMON_LAYOUT_H_
#define AX_COMMON_LAYOUT_H_
#include <stdint.h>

#include "common/dtype.h"
#include "common/status.h"

namespace ax {
inline namespace AX_ISA {

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

  int64_t count() const {
    int64_t product = 1;
    for (int dim = 0; dim < ndim; ++dim) product *= size(dim);
    return product;
  }
};

// Where the operands of one element lie.
template <int N>
struct At {
  int64_t v[N];
};

inline int32_t checkLayout(const void* layout, int32_t ndim, int operands) {
  if (ndim < 0 || ndim > AX_MAX_NDIM) return fail(AX_ERROR_ARGUMENT, "ndim must be in [0, %d], got %d", AX_MAX_NDIM, ndim);
  const int32_t* entries = static_cast<const int32_t*>(layout);
  for (int i = 0; i < ndim * (operands + 1); ++i) {
    if (entries[i] < 0) return fail(AX_ERROR_ARGUMENT, "sizes and strides must not be negative, got %d", entries[i]);
  }
  return AX_OK;
}

// `count` contiguous elements.
template <class T>
int32_t at(uint32_t id, double offset, double count, int32_t dtype, T** address) {
  void* resolved = nullptr;
  AX_TRY(resolve(id, offset, count, dtype, &resolved));
  *address = static_cast<T*>(resolved);
  return AX_OK;
}

// Operand k of a call: `count` elements, or what the layout spans.
template <class T, int N>
int32_t operand(uint32_t id, double offset, double count, int32_t dtype, const Layout<N>& layout, int k, T** address) {
  return at(id, offset, layout.ndim == 0 ? count : layout.span(k), dtype, address);
}

// An optional operand: where the id is 0, the address stays what it is.
template <class T>
int32_t atIfGiven(uint32_t id, double offset, double count, int32_t dtype, T** address) {
  return id == 0 ? AX_OK : at(id, offset, count, dtype, address);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_COMMON_LAYOUT_H_
