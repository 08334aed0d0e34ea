// Elements taken and placed by an index tensor, running totals, and triangles of matrices.
#include "common/backend.h"
#include "common/operand.h"
#ifdef AX_CUDA
#include "cuda/scan.cuh"
#include "cuda/segments.cuh"
#endif

namespace ax {
inline namespace AX_ISA {
namespace {

// A contiguous tensor (outer, size, inner) and an index (outer, count, inner) into its middle dimension.
struct Sizes {
  int64_t outer, size, count, inner;
};

int32_t checkSizes(double outer, double size, double count, double inner, Sizes* sizes) {
  if (!(outer >= 0 && size >= 0 && count >= 0 && inner >= 0)) return fail(AX_ERROR_ARGUMENT, "sizes must not be negative");
  *sizes = {static_cast<int64_t>(outer), static_cast<int64_t>(size), static_cast<int64_t>(count), static_cast<int64_t>(inner)};
  return AX_OK;
}

double elements(int64_t outer, int64_t size, int64_t inner) { return static_cast<double>(outer * size * inner); }

// A row is one index position, or all of them where the dimension is the last.
template <class T>
struct GatherBody {
  T* out;
  const T* x;
  const int64_t* index;
  Sizes s;
  int64_t cols;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    const T* source = x + (s.inner == 1 ? row : row / s.count) * s.size * s.inner;
    const int64_t step = s.inner == 1 ? 0 : 1, first = row * cols, inner = s.inner, size = s.size;
    const int64_t* at = index + first;
    T* target = out + first;
    team.each(cols, [=](int64_t j) {
      if (at[j] >= 0 && at[j] < size) target[j] = source[at[j] * inner + j * step];
    });
  }
};

template <class T>
int32_t gather(int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t index, double io, const Sizes& s) {
  GatherBody<T> body{nullptr, nullptr, nullptr, s, s.inner == 1 ? s.count : s.inner};
  const double count = elements(s.outer, s.count, s.inner);
  AX_TRY(at(out, oo, count, dtype, &body.out));
  AX_TRY(at(x, xo, elements(s.outer, s.size, s.inner), dtype, &body.x));
  AX_TRY(at(index, io, count, AX_INT64, &body.index));
  AX_TRY(checkIndices(body.index, static_cast<int64_t>(count), s.size, int64_t{0}));
  return forEachRow(s.inner == 1 ? s.outer : s.outer * s.count, body.cols, body);
}

// A line runs along the middle dimension, in the order of the index, so that sums are deterministic and the last one placed stays.
template <class T, bool kAdd>
struct ScatterBody {
  T* out;
  const T* x;
  const int64_t* index;
  Sizes s;
  AX_HD void operator()(int64_t line) const {
    const int64_t o = line / s.inner, j = line % s.inner;
    T* target = out + o * s.size * s.inner + j;
    for (int64_t i = 0; i < s.count; ++i) {
      const int64_t from = (o * s.count + i) * s.inner + j, to = index[from];
      if (to < 0 || to >= s.size) continue;
      if constexpr (kAdd) target[to * s.inner] += x[from];
      else target[to * s.inner] = x[from];
    }
  }
};

template <class T, bool kAdd>
int32_t scatter(int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t index, double io, const Sizes& s) {
  ScatterBody<T, kAdd> body{nullptr, nullptr, nullptr, s};
  const double count = elements(s.outer, s.count, s.inner);
  AX_TRY(at(out, oo, elements(s.outer, s.size, s.inner), dtype, &body.out));
  AX_TRY(at(x, xo, count, dtype, &body.x));
  AX_TRY(at(index, io, count, AX_INT64, &body.index));
  AX_TRY(checkIndices(body.index, static_cast<int64_t>(count), s.size, int64_t{0}));
#ifdef AX_CUDA
  // Long lines of neighbours are sorted; for others there is a thread each.
  constexpr int64_t kLongLine = 32;
  if (s.inner == 1 && s.count > kLongLine) {
    return scatterSegments<T, kAdd>(Segments<T, int64_t>{body.out, body.x, body.index, s.outer, s.size, s.count, 1});
  }
#endif
  return forEachLine(s.outer * s.inner, s.count, body);
}

// float is accumulated in double, as in PyTorch.
template <class T>
struct Wide {
  using type = T;
};
template <>
struct Wide<float> {
  using type = double;
};

template <class T, bool kProduct>
struct CumulateBody {
  T* out;
  const T* x;
  int64_t count, inner;
  bool reverse;
  AX_HD void operator()(int64_t line) const {
    const int64_t start = line / inner * count * inner + line % inner;
    typename Wide<T>::type total = kProduct ? 1 : 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = start + (reverse ? count - 1 - i : i) * inner;
      if constexpr (kProduct) total *= x[at];
      else total += x[at];
      out[at] = static_cast<T>(total);
    }
  }
};

template <class T>
int32_t cumulate(bool product, bool reverse, int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, const Sizes& s) {
  T *to, *from;
  AX_TRY(at(out, oo, elements(s.outer, s.count, s.inner), dtype, &to));
  AX_TRY(at(x, xo, elements(s.outer, s.count, s.inner), dtype, &from));
#ifdef AX_CUDA
  if (s.inner == 1) return scanRows<T, typename Wide<T>::type>(to, from, s.outer, s.count, reverse, product);
#endif
  const int64_t lines = s.outer * s.inner;
  if (product) return forEachLine(lines, s.count, CumulateBody<T, true>{to, from, s.count, s.inner, reverse});
  return forEachLine(lines, s.count, CumulateBody<T, false>{to, from, s.count, s.inner, reverse});
}

template <class T>
struct TriangleBody {
  T* out;
  const T* x;
  int64_t rows, cols, diagonal;
  bool upper;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    const int64_t first = row * cols, edge = row % rows + diagonal;
    T* target = out + first;
    const T* source = x + first;
    const bool above = upper;
    team.each(cols, [=](int64_t j) { target[j] = (above ? j >= edge : j <= edge) ? source[j] : T(0); });
  }
};

template <class T>
int32_t triangle(int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, double batch, double rows, double cols,
                 double diagonal, bool upper) {
  TriangleBody<T> body{nullptr, nullptr, static_cast<int64_t>(rows), static_cast<int64_t>(cols), static_cast<int64_t>(diagonal), upper};
  AX_TRY(at(out, oo, batch * rows * cols, dtype, &body.out));
  AX_TRY(at(x, xo, batch * rows * cols, dtype, &body.x));
  return forEachRow(static_cast<int64_t>(batch * rows), body.cols, body);
}

int32_t unknown(int32_t dtype) { return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype); }

// Of an element that is only moved, nothing but the size matters.
#define AX_BY_SIZE(dtype, call)                    \
  do {                                             \
    if (!isDtype(dtype)) return unknown(dtype);    \
    switch (kDtypeBytes[dtype]) {                  \
      case 8: { using T = uint64_t; return call; } \
      case 4: { using T = uint32_t; return call; } \
      case 2: { using T = uint16_t; return call; } \
      default: { using T = uint8_t; return call; } \
    }                                              \
  } while (0)

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_gather(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t index, double index_offset,
                  double outer, double size, double index_count, double inner) {
  Sizes s;
  AX_TRY(checkSizes(outer, size, index_count, inner, &s));
  AX_BY_SIZE(dtype, (gather<T>(dtype, out, out_offset, x, x_offset, index, index_offset, s)));
}

int32_t ax_scatter(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t index, double index_offset,
                   double outer, double size, double index_count, double inner) {
  Sizes s;
  AX_TRY(checkSizes(outer, size, index_count, inner, &s));
  AX_BY_SIZE(dtype, (scatter<T, false>(dtype, out, out_offset, x, x_offset, index, index_offset, s)));
}

int32_t ax_scatter_add(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t index,
                       double index_offset, double outer, double size, double index_count, double inner) {
  Sizes s;
  AX_TRY(checkSizes(outer, size, index_count, inner, &s));
  switch (dtype) {
    case AX_FLOAT32: return scatter<float, true>(dtype, out, out_offset, x, x_offset, index, index_offset, s);
    case AX_FLOAT64: return scatter<double, true>(dtype, out, out_offset, x, x_offset, index, index_offset, s);
    case AX_INT64: return scatter<int64_t, true>(dtype, out, out_offset, x, x_offset, index, index_offset, s);
  }
  return fail(AX_ERROR_UNSUPPORTED, "scatter_add is not available for dtype %d", dtype);
}

int32_t ax_cumulate(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double outer,
                    double count, double inner, int32_t reverse) {
  if (op != AX_CUMULATE_SUM && op != AX_CUMULATE_PROD) return fail(AX_ERROR_ARGUMENT, "unknown cumulation %d", op);
  Sizes s;
  AX_TRY(checkSizes(outer, 0, count, inner, &s));
  const bool product = op == AX_CUMULATE_PROD;
  switch (dtype) {
    case AX_FLOAT32: return cumulate<float>(product, reverse != 0, dtype, out, out_offset, x, x_offset, s);
    case AX_FLOAT64: return cumulate<double>(product, reverse != 0, dtype, out, out_offset, x, x_offset, s);
    case AX_INT64: return cumulate<int64_t>(product, reverse != 0, dtype, out, out_offset, x, x_offset, s);
  }
  return fail(AX_ERROR_UNSUPPORTED, "cumulate is not available for dtype %d", dtype);
}

int32_t ax_triangle(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double batch, double rows,
                    double cols, double diagonal, int32_t upper) {
  if (!(batch >= 0 && rows >= 0 && cols >= 0)) return fail(AX_ERROR_ARGUMENT, "sizes must not be negative");
  AX_BY_SIZE(dtype, (triangle<T>(dtype, out, out_offset, x, x_offset, batch, rows, cols, diagonal, upper != 0)));
}
