// Taking slices by an index tensor, and its gradient.
#include "cpu/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

struct Sizes {
  int64_t outer, dim_size, index_count, inner;
};

int32_t indexError(int64_t index, int64_t dim_size) {
  return fail(AX_ERROR_INDEX, "index %lld is outside [0, %lld)", static_cast<long long>(index), static_cast<long long>(dim_size));
}

template <class Index>
int32_t checkIndices(const Index* index, int64_t count, int64_t dim_size) {
  for (int64_t i = 0; i < count; ++i) {
    if (index[i] < 0 || index[i] >= dim_size) return indexError(index[i], dim_size);
  }
  return AX_OK;
}

template <class Index>
int32_t select(int32_t dtype, int32_t index_dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t index, double io,
               Sizes s) {
  char *to, *from;
  Index* at;
  const double slices = static_cast<double>(s.outer * s.inner);
  AX_TRY(resolve(out, oo, slices * static_cast<double>(s.index_count), dtype, reinterpret_cast<void**>(&to)));
  AX_TRY(resolve(x, xo, slices * static_cast<double>(s.dim_size), dtype, reinterpret_cast<void**>(&from)));
  AX_TRY(resolve(index, io, static_cast<double>(s.index_count), index_dtype, reinterpret_cast<void**>(&at)));
  AX_TRY(checkIndices(at, s.index_count, s.dim_size));
  const int64_t bytes = s.inner * kDtypeBytes[dtype];
  for (int64_t o = 0; o < s.outer; ++o) {
    for (int64_t i = 0; i < s.index_count; ++i) {
      memcpy(to + (o * s.index_count + i) * bytes, from + (o * s.dim_size + at[i]) * bytes, static_cast<size_t>(bytes));
    }
  }
  return AX_OK;
}

template <class T, class Index>
int32_t add(int32_t dtype, int32_t index_dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t index, double io,
            Sizes s) {
  T *to, *from;
  Index* at;
  const double slices = static_cast<double>(s.outer * s.inner);
  AX_TRY(resolve(out, oo, slices * static_cast<double>(s.dim_size), dtype, reinterpret_cast<void**>(&to)));
  AX_TRY(resolve(x, xo, slices * static_cast<double>(s.index_count), dtype, reinterpret_cast<void**>(&from)));
  AX_TRY(resolve(index, io, static_cast<double>(s.index_count), index_dtype, reinterpret_cast<void**>(&at)));
  AX_TRY(checkIndices(at, s.index_count, s.dim_size));
  for (int64_t o = 0; o < s.outer; ++o) {
    for (int64_t i = 0; i < s.index_count; ++i) {
      T* target = to + (o * s.dim_size + at[i]) * s.inner;
      const T* source = from + (o * s.index_count + i) * s.inner;
      for (int64_t j = 0; j < s.inner; ++j) target[j] += source[j];
    }
  }
  return AX_OK;
}

int32_t checkSizes(double outer, double dim_size, double index_count, double inner, Sizes* sizes) {
  if (!(outer >= 0 && dim_size >= 0 && index_count >= 0 && inner >= 0)) {
    return fail(AX_ERROR_ARGUMENT, "sizes must not be negative");
  }
  *sizes = {static_cast<int64_t>(outer), static_cast<int64_t>(dim_size), static_cast<int64_t>(index_count),
            static_cast<int64_t>(inner)};
  return AX_OK;
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_index_select(int32_t dtype, int32_t index_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                        uint32_t index, double index_offset, double outer, double dim_size, double index_count,
                        double inner) {
  Sizes sizes;
  AX_TRY(checkSizes(outer, dim_size, index_count, inner, &sizes));
  if (index_dtype == AX_INT32) return select<int32_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes);
  if (index_dtype == AX_INT64) return select<int64_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes);
  return fail(AX_ERROR_UNSUPPORTED, "an index must be int32 or int64, got dtype %d", index_dtype);
}

int32_t ax_index_add(int32_t dtype, int32_t index_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                     uint32_t index, double index_offset, double outer, double dim_size, double index_count,
                     double inner) {
  Sizes sizes;
  AX_TRY(checkSizes(outer, dim_size, index_count, inner, &sizes));
  const bool wide = index_dtype == AX_INT64;
  if (!wide && index_dtype != AX_INT32) return fail(AX_ERROR_UNSUPPORTED, "an index must be int32 or int64, got dtype %d", index_dtype);
  if (dtype == AX_FLOAT32) {
    return wide ? add<float, int64_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes)
                : add<float, int32_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes);
  }
  if (dtype == AX_FLOAT64) {
    return wide ? add<double, int64_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes)
                : add<double, int32_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes);
  }
  return fail(AX_ERROR_UNSUPPORTED, "index_add is not available for dtype %d", dtype);
}
