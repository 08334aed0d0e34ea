// Fill, arange and strided copies between all dtypes.
#include "cpu/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class From>
struct Widened {
  static From of(From value) { return value; }
};
template <>
struct Widened<BFloat16> {
  static float of(BFloat16 value) { return static_cast<float>(value); }
};
template <>
struct Widened<_Float16> {
  static float of(_Float16 value) { return static_cast<float>(value); }
};
template <>
struct Widened<Bool> {
  static uint8_t of(Bool value) { return value.value; }
};

template <class To>
struct Narrowed {
  template <class From> static To of(From value) { return static_cast<To>(value); }
};
template <>
struct Narrowed<BFloat16> {
  template <class From> static BFloat16 of(From value) { return BFloat16(static_cast<float>(value)); }
};
template <>
struct Narrowed<Bool> {
  template <class From> static Bool of(From value) { return Bool{static_cast<uint8_t>(value != From(0))}; }
};

template <class To, class From>
int32_t runCopy(int32_t out_dtype, int32_t x_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count,
                Layout<2> layout) {
  To* to;
  From* from;
  AX_TRY(operand(out, out_offset, count, out_dtype, layout, 0, &to));
  AX_TRY(operand(x, x_offset, count, x_dtype, layout, 1, &from));
  const auto run = [&](int64_t n, const int64_t* at, const int64_t* step) {
    To* target = to + at[0];
    const From* source = from + at[1];
    const int64_t so = step[0], sx = step[1];
    if (so == 1 && sx == 1) {
      for (int64_t i = 0; i < n; ++i) target[i] = Narrowed<To>::of(Widened<From>::of(source[i]));
    } else {
      for (int64_t i = 0; i < n; ++i) target[i * so] = Narrowed<To>::of(Widened<From>::of(source[i * sx]));
    }
  };
  if (layout.ndim == 0) {
    const int64_t at[2] = {}, step[2] = {1, 1};
    run(static_cast<int64_t>(count), at, step);
  } else {
    layout.forEachRun(run);
  }
  return AX_OK;
}

template <class From>
int32_t copyFrom(int32_t out_dtype, int32_t x_dtype, uint32_t out, double oo, uint32_t x, double xo, double count,
                 Layout<2> layout) {
  switch (out_dtype) {
    case AX_FLOAT32: return runCopy<float, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_FLOAT64: return runCopy<double, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_BFLOAT16: return runCopy<BFloat16, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_FLOAT16: return runCopy<_Float16, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_INT32: return runCopy<int32_t, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_INT64: return runCopy<int64_t, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_UINT8: return runCopy<uint8_t, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
    case AX_BOOL: return runCopy<Bool, From>(out_dtype, x_dtype, out, oo, x, xo, count, layout);
  }
  return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", out_dtype);
}

template <class T>
int32_t runFill(int32_t dtype, uint32_t out, double out_offset, double count, double value) {
  T* to;
  AX_TRY(resolve(out, out_offset, count, dtype, reinterpret_cast<void**>(&to)));
  const T filler = Narrowed<T>::of(value);
  const int64_t n = static_cast<int64_t>(count);
  for (int64_t i = 0; i < n; ++i) to[i] = filler;
  return AX_OK;
}

template <class T>
int32_t runArange(int32_t dtype, uint32_t out, double out_offset, double count, double start, double step) {
  T* to;
  AX_TRY(resolve(out, out_offset, count, dtype, reinterpret_cast<void**>(&to)));
  const int64_t n = static_cast<int64_t>(count);
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(start + static_cast<double>(i) * step);
  return AX_OK;
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
    case AX_FLOAT16: return copyFrom<_Float16>(out_dtype, x_dtype, out, out_offset, x, x_offset, count, walk);
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
    case AX_FLOAT16: return runFill<_Float16>(dtype, out, out_offset, count, value);
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
