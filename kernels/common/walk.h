// The operand of a reduction: dimensions that are kept, and dimensions that are reduced.
#ifndef AX_COMMON_WALK_H_
#define AX_COMMON_WALK_H_
#include "common/layout.h"
#include "common/math.h"

namespace ax {
inline namespace AX_ISA {

struct Walk {
  int32_t kept_ndim, reduced_ndim;
  int32_t kept[2 * AX_MAX_NDIM], reduced[2 * AX_MAX_NDIM];  // sizes, then strides

  AX_HD static int64_t product(const int32_t* sizes, int32_t ndim) {
    int64_t count = 1;
    for (int i = 0; i < ndim; ++i) count *= sizes[i];
    return count;
  }
  AX_HD int64_t keptCount() const { return product(kept, kept_ndim); }
  AX_HD int64_t reducedCount() const { return product(reduced, reduced_ndim); }

  // Position of the element with row-major number `index`.
  AX_HD static int64_t position(const int32_t* dims, int32_t ndim, int64_t index) {
    int64_t at = 0;
    for (int i = ndim - 1; i >= 0; --i) {
      at += index % dims[i] * dims[ndim + i];
      index /= dims[i];
    }
    return at;
  }
  AX_HD int64_t keptPosition(int64_t index) const { return position(kept, kept_ndim, index); }
  AX_HD int64_t reducedPosition(int64_t index) const { return position(reduced, reduced_ndim, index); }

  double span() const {
    int64_t last = 0;
    for (int i = 0; i < kept_ndim; ++i) last += static_cast<int64_t>(kept[i] - 1) * kept[kept_ndim + i];
    for (int i = 0; i < reduced_ndim; ++i) last += static_cast<int64_t>(reduced[i] - 1) * reduced[reduced_ndim + i];
    return keptCount() == 0 || reducedCount() == 0 ? 0 : static_cast<double>(last + 1);
  }
};

inline int32_t makeWalk(const void* layout, int32_t kept_ndim, int32_t reduced_ndim, Walk* walk) {
  if (kept_ndim < 0 || kept_ndim > AX_MAX_NDIM || reduced_ndim < 0 || reduced_ndim > AX_MAX_NDIM) {
    return fail(AX_ERROR_ARGUMENT, "ndim must be in [0, %d], got %d and %d", AX_MAX_NDIM, kept_ndim, reduced_ndim);
  }
  const int32_t* entries = static_cast<const int32_t*>(layout);
  for (int i = 0; i < 2 * (kept_ndim + reduced_ndim); ++i) {
    if (entries[i] < 0) return fail(AX_ERROR_ARGUMENT, "sizes and strides must not be negative, got %d", entries[i]);
  }
  walk->kept_ndim = kept_ndim;
  walk->reduced_ndim = reduced_ndim;
  for (int i = 0; i < 2 * kept_ndim; ++i) walk->kept[i] = entries[i];
  for (int i = 0; i < 2 * reduced_ndim; ++i) walk->reduced[i] = entries[2 * kept_ndim + i];
  return AX_OK;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_COMMON_WALK_H_
