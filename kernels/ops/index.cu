// Taking slices by an index tensor, and its gradient.
#include "common/backend.h"
#include "common/operand.h"
#ifdef AX_CUDA
#include "cuda/segments.cuh"
#endif

namespace ax {
inline namespace AX_ISA {
namespace {

struct Sizes {
  int64_t outer, dim_size, index_count, inner;
};

// One taken slice.
template <class T, class Index>
struct SelectBody {
  T* out;
  const T* x;
  const Index* index;
  Sizes s;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    const int64_t i = row % s.index_count, o = row / s.index_count, from = index[i];
    if (from < 0 || from >= s.dim_size) return;
    const T* source = x + (o * s.dim_size + from) * s.inner;
    T* target = out + row * s.inner;
    team.copy(target, source, s.inner);
  }
};

template <class T, class Index>
int32_t select(int32_t dtype, int32_t index_dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t index, double io,
               Sizes s) {
  SelectBody<T, Index> body{nullptr, nullptr, nullptr, s};
  const double slices = static_cast<double>(s.outer * s.inner);
  AX_TRY(at(out, oo, slices * static_cast<double>(s.index_count), dtype, &body.out));
  AX_TRY(at(x, xo, slices * static_cast<double>(s.dim_size), dtype, &body.x));
  AX_TRY(at(index, io, static_cast<double>(s.index_count), index_dtype, &body.index));
  AX_TRY(checkIndices(body.index, s.index_count, s.dim_size, int64_t{0}));
  return forEachRow(s.outer * s.index_count, s.inner, body);
}

#ifndef AX_CUDA
// Columns of one outer slice: every element is summed in the order of the index.
template <class T, class Index>
struct AddBody {
  T* out;
  const T* x;
  const Index* index;
  Sizes s;
  AX_HD void operator()(int64_t o, int64_t begin, int64_t end) const {
    for (int64_t i = 0; i < s.index_count; ++i) {
      const int64_t to = index[i];
      if (to < 0 || to >= s.dim_size) continue;
      T* target = out + (o * s.dim_size + to) * s.inner;
      const T* source = x + (o * s.index_count + i) * s.inner;
      for (int64_t j = begin; j < end; ++j) target[j] += source[j];
    }
  }
};
#endif

template <class T, class Index>
int32_t add(int32_t dtype, int32_t index_dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t index, double io,
            Sizes s) {
  T* to;
  const T* from;
  const Index* indices;
  const double slices = static_cast<double>(s.outer * s.inner);
  AX_TRY(at(out, oo, slices * static_cast<double>(s.dim_size), dtype, &to));
  AX_TRY(at(x, xo, slices * static_cast<double>(s.index_count), dtype, &from));
  AX_TRY(at(index, io, static_cast<double>(s.index_count), index_dtype, &indices));
  AX_TRY(checkIndices(indices, s.index_count, s.dim_size, int64_t{0}));
#ifdef AX_CUDA
  return addSegments(Segments<T, Index>{to, from, indices, s.outer, s.dim_size, s.index_count, s.inner});
#else
  return forEachSpan(s.outer, s.inner, AddBody<T, Index>{to, from, indices, s});
#endif
}

// Only the size of an element matters for a copy.
template <class Index>
int32_t selectAny(int32_t dtype, int32_t index_dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t index, double io,
                  Sizes s) {
  if (!isDtype(dtype)) return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype);
  switch (kDtypeBytes[dtype]) {
    case 8: return select<uint64_t, Index>(dtype, index_dtype, out, oo, x, xo, index, io, s);
    case 4: return select<uint32_t, Index>(dtype, index_dtype, out, oo, x, xo, index, io, s);
    case 2: return select<uint16_t, Index>(dtype, index_dtype, out, oo, x, xo, index, io, s);
  }
  return select<uint8_t, Index>(dtype, index_dtype, out, oo, x, xo, index, io, s);
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
  if (index_dtype == AX_INT32) return selectAny<int32_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes);
  if (index_dtype == AX_INT64) return selectAny<int64_t>(dtype, index_dtype, out, out_offset, x, x_offset, index, index_offset, sizes);
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
