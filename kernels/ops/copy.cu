// Fill, arange and strided copies between all dtypes.
#include "common/backend.h"
#include "common/map.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class Bits>
struct FillBody {
  Bits value;
  AX_HD Bits operator()() const { return value; }
};

// Of an element that is only stored, nothing but the size matters.
template <class T, class Bits>
int32_t runFill(uint32_t out, double out_offset, double count, double value) {
  static_assert(sizeof(T) == sizeof(Bits));
  Operand operand{nullptr, kDtypeOf<Bits>};
  AX_TRY(resolve(out, out_offset, count, kDtypeOf<T>, &operand.data));
  const T element = converted<T>(value);
  FillBody<Bits> body;
  memcpy(&body.value, &element, sizeof element);
  return mapElements<Bits>(&operand, count, Layout<1>{nullptr, 0}, body);
}

template <class T>
struct ArangeBody {
  T* out;
  double start, step;
  AX_HD void operator()(At<1> at) const { out[at.v[0]] = converted<T>(start + static_cast<double>(at.v[0]) * step); }
};

template <class T>
int32_t runArange(uint32_t out, double out_offset, double count, double start, double step) {
  ArangeBody<T> body{nullptr, start, step};
  AX_TRY(at(out, out_offset, count, kDtypeOf<T>, &body.out));
  return forEach<1>(count, Layout<1>{nullptr, 0}, body);
}

int32_t unknown(int32_t dtype) { return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype); }

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_copy(int32_t out_dtype, int32_t x_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                double count, const void* layout, int32_t ndim) {
  if (!isDtype(out_dtype)) return unknown(out_dtype);
  if (!isDtype(x_dtype)) return unknown(x_dtype);
  AX_TRY(checkLayout(layout, ndim, 2));
  const Layout<2> walk{static_cast<const int32_t*>(layout), ndim};
  char *to, *from;
  AX_TRY(operand(out, out_offset, count, out_dtype, walk, 0, &to));
  AX_TRY(operand(x, x_offset, count, x_dtype, walk, 1, &from));
  return copyElements({to, out_dtype}, {from, x_dtype}, count, walk);
}

int32_t ax_fill(int32_t dtype, uint32_t out, double out_offset, double count, double value) {
  switch (dtype) {
    case AX_FLOAT32: return runFill<float, int32_t>(out, out_offset, count, value);
    case AX_FLOAT64: return runFill<double, int64_t>(out, out_offset, count, value);
    case AX_BFLOAT16: return runFill<BFloat16, BFloat16>(out, out_offset, count, value);
    case AX_FLOAT16: return runFill<Float16, BFloat16>(out, out_offset, count, value);
    case AX_INT32: return runFill<int32_t, int32_t>(out, out_offset, count, value);
    case AX_INT64: return runFill<int64_t, int64_t>(out, out_offset, count, value);
    case AX_UINT8: return runFill<uint8_t, uint8_t>(out, out_offset, count, value);
    case AX_BOOL: return runFill<Bool, uint8_t>(out, out_offset, count, value);
  }
  return unknown(dtype);
}

int32_t ax_arange(int32_t dtype, uint32_t out, double out_offset, double count, double start, double step) {
  switch (dtype) {
    case AX_FLOAT32: return runArange<float>(out, out_offset, count, start, step);
    case AX_FLOAT64: return runArange<double>(out, out_offset, count, start, step);
    case AX_BFLOAT16: return runArange<BFloat16>(out, out_offset, count, start, step);
    case AX_FLOAT16: return runArange<Float16>(out, out_offset, count, start, step);
    case AX_INT32: return runArange<int32_t>(out, out_offset, count, start, step);
    case AX_INT64: return runArange<int64_t>(out, out_offset, count, start, step);
    case AX_UINT8: return runArange<uint8_t>(out, out_offset, count, start, step);
  }
  return fail(AX_ERROR_UNSUPPORTED, "arange is not available for dtype %d", dtype);
}
