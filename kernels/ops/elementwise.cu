// Elementwise operations with broadcasting: unary, binary, comparison, where.
#include "common/backend.h"
#include "common/math.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class F, class T>
struct UnaryBody {
  T* out;
  const T* x;
  T alpha, beta;
  AX_HD void operator()(At<2> at) const { out[at.v[0]] = F::template apply<T>(x[at.v[1]], alpha, beta); }
};

template <class F, class T>
struct BinaryBody {
  T* out;
  const T *a, *b;
  T alpha, beta;
  AX_HD void operator()(At<3> at) const { out[at.v[0]] = F::template apply<T>(a[at.v[1]], b[at.v[2]], alpha, beta); }
};

template <class F, class T>
struct CompareBody {
  uint8_t* out;
  const T *a, *b;
  AX_HD void operator()(At<3> at) const { out[at.v[0]] = F::template apply<T>(a[at.v[1]], b[at.v[2]]); }
};

template <class T>
struct WhereBody {
  T* out;
  const uint8_t* condition;
  const T *a, *b;
  AX_HD void operator()(At<4> at) const { out[at.v[0]] = condition[at.v[1]] ? a[at.v[2]] : b[at.v[3]]; }
};

template <class F, class T>
int32_t runUnary(uint32_t out, double out_offset, uint32_t x, double x_offset, double count, Layout<2> layout, int32_t dtype,
                 double alpha, double beta) {
  UnaryBody<F, T> body{nullptr, nullptr, static_cast<T>(alpha), static_cast<T>(beta)};
  AX_TRY(operand(out, out_offset, count, dtype, layout, 0, &body.out));
  AX_TRY(operand(x, x_offset, count, dtype, layout, 1, &body.x));
  return forEach<2>(count, layout, body);
}

template <class F, class T>
int32_t runBinary(uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b, double b_offset, double count,
                  Layout<3> layout, int32_t dtype, double alpha, double beta) {
  BinaryBody<F, T> body{nullptr, nullptr, nullptr, static_cast<T>(alpha), static_cast<T>(beta)};
  AX_TRY(operand(out, out_offset, count, dtype, layout, 0, &body.out));
  AX_TRY(operand(a, a_offset, count, dtype, layout, 1, &body.a));
  AX_TRY(operand(b, b_offset, count, dtype, layout, 2, &body.b));
  return forEach<3>(count, layout, body);
}

template <class F, class T>
int32_t runCompare(uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b, double b_offset, double count,
                   Layout<3> layout, int32_t dtype) {
  CompareBody<F, T> body{};
  AX_TRY(operand(out, out_offset, count, AX_BOOL, layout, 0, &body.out));
  AX_TRY(operand(a, a_offset, count, dtype, layout, 1, &body.a));
  AX_TRY(operand(b, b_offset, count, dtype, layout, 2, &body.b));
  return forEach<3>(count, layout, body);
}

template <class T>
int32_t runWhere(int32_t dtype, uint32_t out, double out_offset, uint32_t condition, double condition_offset, uint32_t a,
                 double a_offset, uint32_t b, double b_offset, double count, Layout<4> layout) {
  WhereBody<T> body{};
  AX_TRY(operand(out, out_offset, count, dtype, layout, 0, &body.out));
  AX_TRY(operand(condition, condition_offset, count, AX_BOOL, layout, 1, &body.condition));
  AX_TRY(operand(a, a_offset, count, dtype, layout, 2, &body.a));
  AX_TRY(operand(b, b_offset, count, dtype, layout, 3, &body.b));
  return forEach<4>(count, layout, body);
}

int32_t unsupported(const char* family, int32_t op, int32_t dtype) {
  return fail(AX_ERROR_UNSUPPORTED, "%s operation %d is not available for %s", family, op,
              isDtype(dtype) ? kDtypeNames[dtype] : "an unknown dtype");
}

#define AX_ID(name, Functor) k_##name,
enum UnaryId { AX_UNARY_OPS(AX_ID) };
namespace binary { enum Id { AX_BINARY_OPS(AX_ID) }; }
namespace comparison { enum Id { AX_COMPARE_OPS(AX_ID) }; }

template <class T>
int32_t unaryExact(int32_t op, int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, double count, Layout<2> layout,
                   double alpha, double beta) {
  switch (op) {
#define AX_CASE(name, Functor) \
  case k_##name: return runUnary<maths::Functor, T>(out, oo, x, xo, count, layout, dtype, alpha, beta);
    AX_EXACT_UNARY_OPS(AX_CASE)
#undef AX_CASE
  }
  return unsupported("unary", op, dtype);
}

template <class T>
int32_t unaryFloating(int32_t op, int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, double count,
                      Layout<2> layout, double alpha, double beta) {
  switch (op) {
#define AX_CASE(name, Functor) \
  case k_##name: return runUnary<maths::Functor, T>(out, oo, x, xo, count, layout, dtype, alpha, beta);
    AX_UNARY_OPS(AX_CASE)
#undef AX_CASE
  }
  return unsupported("unary", op, dtype);
}

template <class T>
int32_t binaryExact(int32_t op, int32_t dtype, uint32_t out, double oo, uint32_t a, double ao, uint32_t b, double bo,
                    double count, Layout<3> layout, double alpha, double beta) {
  switch (op) {
#define AX_CASE(name, Functor) \
  case binary::k_##name: return runBinary<maths::Functor, T>(out, oo, a, ao, b, bo, count, layout, dtype, alpha, beta);
    AX_EXACT_BINARY_OPS(AX_CASE)
#undef AX_CASE
  }
  return unsupported("binary", op, dtype);
}

template <class T>
int32_t binaryFloating(int32_t op, int32_t dtype, uint32_t out, double oo, uint32_t a, double ao, uint32_t b, double bo,
                       double count, Layout<3> layout, double alpha, double beta) {
  switch (op) {
#define AX_CASE(name, Functor) \
  case binary::k_##name: return runBinary<maths::Functor, T>(out, oo, a, ao, b, bo, count, layout, dtype, alpha, beta);
    AX_BINARY_OPS(AX_CASE)
#undef AX_CASE
  }
  return unsupported("binary", op, dtype);
}

template <class T>
int32_t compareAll(int32_t op, int32_t dtype, uint32_t out, double oo, uint32_t a, double ao, uint32_t b, double bo,
                   double count, Layout<3> layout) {
  switch (op) {
#define AX_CASE(name, Functor) \
  case comparison::k_##name: return runCompare<maths::Functor, T>(out, oo, a, ao, b, bo, count, layout, dtype);
    AX_COMPARE_OPS(AX_CASE)
#undef AX_CASE
  }
  return unsupported("comparison", op, dtype);
}
#undef AX_ID

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_unary(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count,
                 const void* layout, int32_t ndim, double alpha, double beta) {
  AX_TRY(checkLayout(layout, ndim, 2));
  const Layout<2> walk{static_cast<const int32_t*>(layout), ndim};
  switch (dtype) {
    case AX_FLOAT32: return unaryFloating<float>(op, dtype, out, out_offset, x, x_offset, count, walk, alpha, beta);
    case AX_FLOAT64: return unaryFloating<double>(op, dtype, out, out_offset, x, x_offset, count, walk, alpha, beta);
    case AX_INT32: return unaryExact<int32_t>(op, dtype, out, out_offset, x, x_offset, count, walk, alpha, beta);
    case AX_INT64: return unaryExact<int64_t>(op, dtype, out, out_offset, x, x_offset, count, walk, alpha, beta);
    case AX_UINT8: return unaryExact<uint8_t>(op, dtype, out, out_offset, x, x_offset, count, walk, alpha, beta);
  }
  return unsupported("unary", op, dtype);
}

int32_t ax_binary(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                  double b_offset, double count, const void* layout, int32_t ndim, double alpha, double beta) {
  AX_TRY(checkLayout(layout, ndim, 3));
  const Layout<3> walk{static_cast<const int32_t*>(layout), ndim};
  switch (dtype) {
    case AX_FLOAT32: return binaryFloating<float>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk, alpha, beta);
    case AX_FLOAT64: return binaryFloating<double>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk, alpha, beta);
    case AX_INT32: return binaryExact<int32_t>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk, alpha, beta);
    case AX_INT64: return binaryExact<int64_t>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk, alpha, beta);
    case AX_UINT8: return binaryExact<uint8_t>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk, alpha, beta);
  }
  return unsupported("binary", op, dtype);
}

int32_t ax_compare(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                   double b_offset, double count, const void* layout, int32_t ndim) {
  AX_TRY(checkLayout(layout, ndim, 3));
  const Layout<3> walk{static_cast<const int32_t*>(layout), ndim};
  switch (dtype) {
    case AX_FLOAT32: return compareAll<float>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk);
    case AX_FLOAT64: return compareAll<double>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk);
    case AX_INT32: return compareAll<int32_t>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk);
    case AX_INT64: return compareAll<int64_t>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk);
    case AX_UINT8:
    case AX_BOOL: return compareAll<uint8_t>(op, dtype, out, out_offset, a, a_offset, b, b_offset, count, walk);
  }
  return unsupported("comparison", op, dtype);
}

int32_t ax_where(int32_t dtype, uint32_t out, double out_offset, uint32_t condition, double condition_offset, uint32_t a,
                 double a_offset, uint32_t b, double b_offset, double count, const void* layout, int32_t ndim) {
  AX_TRY(checkLayout(layout, ndim, 4));
  if (!isDtype(dtype)) return unsupported("where", 0, dtype);
  const Layout<4> walk{static_cast<const int32_t*>(layout), ndim};
  // Only the size of an element matters.
  switch (kDtypeBytes[dtype]) {
    case 8: return runWhere<uint64_t>(dtype, out, out_offset, condition, condition_offset, a, a_offset, b, b_offset, count, walk);
    case 4: return runWhere<uint32_t>(dtype, out, out_offset, condition, condition_offset, a, a_offset, b, b_offset, count, walk);
    case 2: return runWhere<uint16_t>(dtype, out, out_offset, condition, condition_offset, a, a_offset, b, b_offset, count, walk);
  }
  return runWhere<uint8_t>(dtype, out, out_offset, condition, condition_offset, a, a_offset, b, b_offset, count, walk);
}
