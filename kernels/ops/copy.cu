// Fill, arange and strided copies between all dtypes.
#include "common/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class From>
struct Widened {
  AX_HD static From of(From value) { return value; }
};
template <>
struct Widened<BFloat16> {
  AX_HD static float of(BFloat16 value) { return static_cast<float>(value); }
};
template <>
struct Widened<Float16> {
  AX_HD static float of(Float16 value) { return static_cast<float>(value); }
};
template <>
struct Widened<Bool> {
  AX_HD static uint8_t of(Bool value) { return value.value; }
};

template <class To>
struct Narrowed {
  template <class From> AX_HD static To of(From value) { return static_cast<To>(value); }
};
template <>
struct Narrowed<BFloat16> {
  template <class From> AX_HD static BFloat16 of(From value) { return BFloat16(static_cast<float>(value)); }
};
template <>
struct Narrowed<Bool> {
  template <class From> AX_HD static Bool of(From value) { return Bool{static_cast<uint8_t>(value != From(0))}; }
};

template <class To, class From>
struct CopyBody {
  To* out;
  const From* x;
  AX_HD void operator()(At<2> at) const { out[at.v[0]] = Narrowed<To>::of(Widened<From>::of(x[at.v[1]])); }
};

template <class To, class From>
int32_t runCopy(int32_t out_dtype, int32_t x_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count,
                Layout<2> layout) {
  CopyBody<To, From> body{};
  AX_TRY(operand(out, out_offset, count, out_dtype, layout, 0, &body.out));
  AX_TRY(operand(x, x_offset, count, x_dtype, layout, 1, &body.x));
  return forEach<2>(count, layout, body);
}

template <class From>
int32_t copyFrom(int32_t out_dtype, int32_t x_dtype, uint32_t out, double oo, uint32_t x, double xo, double count,
                 Layout<2> layout) {
  switch (out_dtype) {
    case AX_FLOAT32: return runCopy<float, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_FLOAT64: return runCopy<double, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_BFLOAT16: return runCopy<BFloat16, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_FLOAT16: return runCopy<Float16, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_INT32: return runCopy<int32_t, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_INT64: return runCopy<int64_t, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_UINT8: return runCopy<uint8_t, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_BOOL: return runCopy<Bool, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
  }
  return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", out_dtype);
}

template <class T>
struct FillBody {
  T* out;
  T value;
  AX_HD void operator()(At<1> at) const { out[at.v[0]] = value; }
};

template <class T>
int32_t runFill(int32_t dtype, uint32_t out, double out_offset, double count, double value) {
  FillBody<T> body{nullptr, Narrowed<T>::of(value)};
  AX_TRY(at(out, out_offset, count, dtype, &body.out));
  return forEach<1>(count, Layout<1>{nullptr, 0}, body);
}

template <class T>
struct ArangeBody {
  T* out;
  double start, step;
  AX_HD void operator()(At<1> at) const { out[at.v[0]] = static_cast<T>(start + static_cast<double>(at.v[0]) * step); }
};

template <class T>
int32_t runArange(int32_t dtype, uint32_t out, double out_offset, double count, double start, double step) {
  ArangeBody<T> body{nullptr, start, step};
  AX_TRY(at(out, out_offset, count, dtype, &body.out));
  return forEach<1>(count, Layout<1>{nullptr, 0}, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_copy(int32_t out_dtype, int32_t x_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                double count, const void* layout, int32_t ndim) {
  AX_TRY(checkLayout(layout, ndim, 2));
  const Layout<2> walk{static_cast<const int32_t*>(layout), ndim};
  switch (x_dtype) {
    case AX_FLOAT32: return copyFrom<float>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
    case AX_FLOAT64: return copyFrom<double>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
    case AX_BFLOAT16: return copyFrom<BFloat16>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
    case AX_FLOAT16: return copyFrom<Float16>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
    case AX_INT32: return copyFrom<int32_t>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
    case AX_INT64: return copyFrom<int64_t>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
    case AX_UINT8: return copyFrom<uint8_t>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
    case AX_BOOL: return copyFrom<Bool>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
  }
  return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", x_dtype);
}

int32_t ax_fill(int32_t dtype, uint32_t out, double out_offset, double count, double value) {
  switch (dtype) {
    case AX_FLOAT32: return runFill<float>(dtype, out, out_offset, count, value);
    case AX_FLOAT64: return runFill<double>(dtype, out, out_offset, count, value);
    case AX_BFLOAT16: return runFill<BFloat16>(dtype, out, out_offset, count, value);
    case AX_FLOAT16: return runFill<Float16>(dtype, out, out_offset, count, value);
    case AX_INT32: return runFill<int32_t>(dtype, out, out_offset, count, value);
    case AX_INT64: return runFill<int64_t>(dtype, out, out_offset, count, value);
    case AX_UINT8: return runFill<uint8_t>(dtype, out, out_offset, count, value);
    case AX_BOOL: return runFill<Bool>(dtype, out, out_offset, count, value);
  }
  return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype);
}

int32_t ax_arange(int32_t dtype, uint32_t out, double out_offset, double count, double start, double step) {
  switch (dtype) {
    case AX_FLOAT32: return runArange<float>(dtype, out, out_offset, count, start, step);
    case AX_FLOAT64: return runArange<double>(dtype, out, out_offset, count, start, step);
    case AX_INT32: return runArange<int32_t>(dtype, out, out_offset, count, start, step);
    case AX_INT64: return runArange<int64_t>(dtype, out, out_offset, count, start, step);
  }
  return fail(AX_ERROR_UNSUPPORTED, "arange is not available for dtype %d", dtype);
}
