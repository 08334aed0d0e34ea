// Reductions over any dimensions, and the index of the extreme value.
#include <limits>

#include "common/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class F, class T>
int32_t run(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, const Walk& walk, T identity,
            double scale, double beta) {
  T *to, *from;
  AX_TRY(at(out, out_offset, static_cast<double>(walk.keptCount()), dtype, &to));
  AX_TRY(at(x, x_offset, walk.span(), dtype, &from));
  return reduceWalk<F, T>(to, from, walk, identity, scale, beta);
}

enum ReduceId { kSum, kMax, kMin, kProd };

template <class T>
int32_t reduceAll(int32_t op, int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, const Walk& walk, double scale,
                  double beta) {
  constexpr bool floating = std::numeric_limits<T>::has_infinity;
  const T lowest = floating ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  const T highest = floating ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  if ((op == kMax || op == kMin) && walk.reducedCount() == 0 && walk.keptCount() > 0) {
    return fail(AX_ERROR_ARGUMENT, "the extreme value of nothing is not defined");
  }
  switch (op) {
    case kSum: return run<maths::Sum, T>(dtype, out, oo, x, xo, walk, T(0), scale, beta);
    case kMax: return run<maths::Max, T>(dtype, out, oo, x, xo, walk, lowest, scale, beta);
    case kMin: return run<maths::Min, T>(dtype, out, oo, x, xo, walk, highest, scale, beta);
    case kProd: return run<maths::Prod, T>(dtype, out, oo, x, xo, walk, T(1), scale, beta);
  }
  return fail(AX_ERROR_ARGUMENT, "unknown reduction %d", op);
}

template <class T>
struct ArgBody {
  int64_t* out;
  const T* x;
  Walk walk;
  int64_t total;
  bool maximum;
  AX_HD void operator()(At<1> at) const {
    const T* base = x + walk.keptPosition(at.v[0]);
    int64_t best = 0;
    T value = base[0];
    for (int64_t i = 1; i < total && value == value; ++i) {
      const T candidate = base[walk.reducedPosition(i)];
      if ((maximum ? candidate > value : candidate < value) || candidate != candidate) {
        best = i;
        value = candidate;
      }
    }
    out[at.v[0]] = best;
  }
};

template <class T>
int32_t argReduce(bool maximum, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, const Walk& walk) {
  const double kept = static_cast<double>(walk.keptCount());
  ArgBody<T> body{nullptr, nullptr, walk, walk.reducedCount(), maximum};
  if (body.total == 0 && kept > 0) return fail(AX_ERROR_ARGUMENT, "the extreme value of nothing is not defined");
  AX_TRY(at(out, out_offset, kept, AX_INT64, &body.out));
  AX_TRY(at(x, x_offset, walk.span(), dtype, &body.x));
  return forEach<1>(kept, Layout<1>{nullptr, 0}, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_reduce(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                  const void* layout, int32_t kept_ndim, int32_t reduced_ndim, double scale, double beta) {
  Walk walk;
  AX_TRY(makeWalk(layout, kept_ndim, reduced_ndim, &walk));
  switch (dtype) {
    case AX_FLOAT32: return reduceAll<float>(op, dtype, out, out_offset, x, x_offset, walk, scale, beta);
    case AX_FLOAT64: return reduceAll<double>(op, dtype, out, out_offset, x, x_offset, walk, scale, beta);
    case AX_INT32: return reduceAll<int32_t>(op, dtype, out, out_offset, x, x_offset, walk, scale, beta);
    case AX_INT64: return reduceAll<int64_t>(op, dtype, out, out_offset, x, x_offset, walk, scale, beta);
  }
  return fail(AX_ERROR_UNSUPPORTED, "reductions are not available for dtype %d", dtype);
}

int32_t ax_arg_reduce(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                      const void* layout, int32_t kept_ndim, int32_t reduced_ndim) {
  Walk walk;
  AX_TRY(makeWalk(layout, kept_ndim, reduced_ndim, &walk));
  if (op != kMax && op != kMin) return fail(AX_ERROR_ARGUMENT, "arg_reduce takes max or min, got operation %d", op);
  switch (dtype) {
    case AX_FLOAT32: return argReduce<float>(op == kMax, dtype, out, out_offset, x, x_offset, walk);
    case AX_FLOAT64: return argReduce<double>(op == kMax, dtype, out, out_offset, x, x_offset, walk);
    case AX_INT32: return argReduce<int32_t>(op == kMax, dtype, out, out_offset, x, x_offset, walk);
    case AX_INT64: return argReduce<int64_t>(op == kMax, dtype, out, out_offset, x, x_offset, walk);
  }
  return fail(AX_ERROR_UNSUPPORTED, "arg_reduce is not available for dtype %d", dtype);
}
