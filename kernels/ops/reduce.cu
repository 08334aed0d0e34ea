// Reductions over any dimensions, and the index of the extreme value.
#include <limits>

#include "common/math.h"
#include "cpu/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int kLanes = 16;

struct Walk {
  const int32_t* kept;
  int32_t kept_ndim;
  const int32_t* reduced;
  int32_t reduced_ndim;

  static int64_t product(const int32_t* sizes, int32_t ndim) {
    int64_t count = 1;
    for (int i = 0; i < ndim; ++i) count *= sizes[i];
    return count;
  }
  int64_t keptCount() const { return product(kept, kept_ndim); }
  int64_t reducedCount() const { return product(reduced, reduced_ndim); }
  double span() const {
    int64_t last = 0;
    for (int i = 0; i < kept_ndim; ++i) last += static_cast<int64_t>(kept[i] - 1) * kept[kept_ndim + i];
    for (int i = 0; i < reduced_ndim; ++i) last += static_cast<int64_t>(reduced[i] - 1) * reduced[reduced_ndim + i];
    return keptCount() == 0 || reducedCount() == 0 ? 0 : static_cast<double>(last + 1);
  }
  // Position of the element with row-major number `index`.
  static int64_t position(const int32_t* dims, int32_t ndim, int64_t index) {
    int64_t at = 0;
    for (int i = ndim - 1; i >= 0; --i) {
      at += index % dims[i] * dims[ndim + i];
      index /= dims[i];
    }
    return at;
  }
};

int32_t makeWalk(const void* layout, int32_t kept_ndim, int32_t reduced_ndim, Walk* walk) {
  if (kept_ndim < 0 || kept_ndim > AX_MAX_NDIM || reduced_ndim < 0 || reduced_ndim > AX_MAX_NDIM) {
    return fail(AX_ERROR_ARGUMENT, "ndim must be in [0, %d], got %d and %d", AX_MAX_NDIM, kept_ndim, reduced_ndim);
  }
  const int32_t* entries = static_cast<const int32_t*>(layout);
  for (int i = 0; i < 2 * (kept_ndim + reduced_ndim); ++i) {
    if (entries[i] < 0) return fail(AX_ERROR_ARGUMENT, "sizes and strides must not be negative, got %d", entries[i]);
  }
  *walk = Walk{entries, kept_ndim, entries + 2 * kept_ndim, reduced_ndim};
  return AX_OK;
}

// `count` elements at distance `stride`, in lanes that are combined pairwise at the end.
template <class F, class T>
T reduceRun(const T* x, int64_t count, int64_t stride, T identity) {
  T lanes[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = identity;
  int64_t i = 0;
  if (stride == 1) {
    for (; i + kLanes <= count; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = F::template combine<T>(lanes[lane], x[i + lane]);
    }
  }
  for (; i < count; ++i) lanes[i % kLanes] = F::template combine<T>(lanes[i % kLanes], x[i * stride]);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] = F::template combine<T>(lanes[lane], lanes[lane + width]);
  }
  return lanes[0];
}

// Long runs are split in halves, so that rounding errors grow with the logarithm of the count.
template <class F, class T>
T reducePairwise(const T* x, int64_t count, int64_t stride, T identity) {
  if (count <= 4096) return reduceRun<F, T>(x, count, stride, identity);
  const int64_t half = count / 2 / kLanes * kLanes;
  return F::template combine<T>(reducePairwise<F, T>(x, half, stride, identity),
                                reducePairwise<F, T>(x + half * stride, count - half, stride, identity));
}

template <class T>
void store(T* out, T value, double scale, double beta) {
  const T scaled = scale == 1 ? value : static_cast<T>(value * static_cast<T>(scale));
  *out = beta == 0 ? scaled : static_cast<T>(scaled + static_cast<T>(beta) * *out);
}

// Column sums: the kept dimension is contiguous, so whole rows are combined at once.
template <class F, class T>
void reduceColumns(T* out, const T* x, int64_t rows, int64_t row_stride, int64_t cols, T identity, double scale, double beta) {
  constexpr int64_t kBlock = 64;
  for (int64_t first = 0; first < cols; first += kBlock) {
    const int64_t width = cols - first < kBlock ? cols - first : kBlock;
    T sums[kBlock];
    for (int64_t j = 0; j < width; ++j) sums[j] = identity;
    for (int64_t i = 0; i < rows; ++i) {
      const T* row = x + i * row_stride + first;
      for (int64_t j = 0; j < width; ++j) sums[j] = F::template combine<T>(sums[j], row[j]);
    }
    for (int64_t j = 0; j < width; ++j) store(out + first + j, sums[j], scale, beta);
  }
}

template <class F, class T>
int32_t run(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, const Walk& walk, T identity,
            double scale, double beta) {
  T *to, *from;
  const int64_t kept = walk.keptCount();
  AX_TRY(resolve(out, out_offset, static_cast<double>(kept), dtype, reinterpret_cast<void**>(&to)));
  AX_TRY(resolve(x, x_offset, walk.span(), dtype, reinterpret_cast<void**>(&from)));
  const int32_t inner = walk.reduced_ndim - 1;
  if (walk.kept_ndim == 1 && walk.kept[1] == 1 && walk.reduced_ndim == 1) {
    reduceColumns<F, T>(to, from, walk.reduced[0], walk.reduced[1], kept, identity, scale, beta);
    return AX_OK;
  }
  const int64_t run_count = inner < 0 ? 1 : walk.reduced[inner], run_stride = inner < 0 ? 1 : walk.reduced[2 * inner + 1];
  const int64_t total = walk.reducedCount(), runs = run_count == 0 ? 0 : total / run_count;
  for (int64_t k = 0; k < kept; ++k) {
    const T* base = from + Walk::position(walk.kept, walk.kept_ndim, k);
    T value = identity;
    for (int64_t r = 0; r < runs; ++r) {
      const int64_t at = runs == 1 ? 0 : Walk::position(walk.reduced, walk.reduced_ndim, r * run_count);
      const T part = reducePairwise<F, T>(base + at, run_count, run_stride, identity);
      value = r == 0 ? part : F::template combine<T>(value, part);
    }
    store(to + k, value, scale, beta);
  }
  return AX_OK;
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
int32_t argReduce(bool maximum, int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, const Walk& walk) {
  int64_t* to;
  T* from;
  const int64_t kept = walk.keptCount(), total = walk.reducedCount();
  if (total == 0 && kept > 0) return fail(AX_ERROR_ARGUMENT, "the extreme value of nothing is not defined");
  AX_TRY(resolve(out, oo, static_cast<double>(kept), AX_INT64, reinterpret_cast<void**>(&to)));
  AX_TRY(resolve(x, xo, walk.span(), dtype, reinterpret_cast<void**>(&from)));
  for (int64_t k = 0; k < kept; ++k) {
    const T* base = from + Walk::position(walk.kept, walk.kept_ndim, k);
    int64_t best = 0;
    T value = base[0];
    for (int64_t i = 1; i < total && value == value; ++i) {
      const T candidate = base[Walk::position(walk.reduced, walk.reduced_ndim, i)];
      if ((maximum ? candidate > value : candidate < value) || candidate != candidate) {
        best = i;
        value = candidate;
      }
    }
    to[k] = best;
  }
  return AX_OK;
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
