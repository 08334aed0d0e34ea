// Softmax, its logarithm, and the logarithm of the sum of exponentials, over one dimension.
#include <math.h>

#include "common/backend.h"
#include "common/floating.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// Rows: the dimension is the last one. The largest value is subtracted first, so that nothing overflows; NaN reach the result by way
// of the sum.

template <class C, class Team, class In>
AX_DEVICE C largestOf(const Team& team, In x, int64_t count) {
  return team.template max<C>(count, C(-INFINITY), [=](auto i) { return x[i]; });
}

template <class C, class Team, class In, class Out>
AX_ROW void softmaxRow(const Team& team, In x, Out y, int64_t count) {
  // A row that is not held is not read again after it was rounded.
  if constexpr (Team::kHoldsRows) {
    const C top = largestOf<C>(team, x, count);
    const C factor = C(1) / team.template sum<C>(count, [=](auto i) {
      const C e = special::expNonPositive(x[i] - top);
      y[i] = e;
      return e;
    });
    team.write(y, count, [=](auto i) { return y[i] * factor; });
  } else {
    C top;
    const C factor = C(1) / team.template expSum<C>(count, x, &top);
    team.write(y, count, [=](auto i) { return special::expNonPositive(x[i] - top) * factor; });
  }
}

template <class C, class Team, class In, class Out>
AX_ROW void logSoftmaxRow(const Team& team, In x, Out y, int64_t count) {
  C top;
  const C log_sum = special::log(team.template expSum<C>(count, x, &top));
  team.write(y, count, [=](auto i) { return (x[i] - top) - log_sum; });
}

// Infinite where the largest value is.
template <class C, class Team, class In>
AX_ROW C logSumExpRow(const Team& team, In x, int64_t count) {
  const C largest = largestOf<C>(team, x, count);
  const C top = fabs(largest) == C(INFINITY) ? C(0) : largest;
  return special::log(team.template sum<C>(count, [=](auto i) { return special::exp(x[i] - top); })) + top;
}

template <class C, class Team, class In, class Out>
AX_ROW void softmaxGradientRow(const Team& team, In g, In y, Out dx, int64_t count) {
  const C dot = team.template sum<C>(count, [=](auto i) { return g[i] * y[i]; });
  team.write(dx, count, [=](auto i) { return (g[i] - dot) * y[i]; });
}

template <class C, class Team, class In, class Out>
AX_ROW void logSoftmaxGradientRow(const Team& team, In g, In y, Out dx, int64_t count) {
  const C sum = team.template sum<C>(count, [=](auto i) { return g[i]; });
  team.write(dx, count, [=](auto i) { return g[i] - special::expNonPositive(y[i]) * sum; });
}

template <class T>
struct ForwardRows {
  T* out;
  const T* x;
  int64_t size;
  int32_t kind;
  static constexpr int kHeldRows = 1;
  bool isAligned() const { return areAligned(out, x); }
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    using C = Compute<T>;
    const auto from = team.keep(x + row * size, size, 0);
    if (kind == AX_LOGSUMEXP) {
      const C value = logSumExpRow<C>(team, from, size);
      if (team.isFirst()) out[row] = static_cast<T>(value);
      return;
    }
    const auto to = team.output(out + row * size, 0);  // in the place of the input, of which each element is read before
    if (kind == AX_SOFTMAX) {
      softmaxRow<C>(team, from, to, size);
    } else {
      logSoftmaxRow<C>(team, from, to, size);
    }
    team.store(out + row * size, to, size);
  }
};

template <class T>
struct BackwardRows {
  T* out;
  const T *gradient, *result;
  int64_t size;
  int32_t kind;
  static constexpr int kHeldRows = 2;
  bool isAligned() const { return areAligned(out, gradient, result); }
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    using C = Compute<T>;
    const int64_t at = row * size;
    const auto g = team.keep(gradient + at, size, 0), y = team.keep(result + at, size, 1);
    const auto dx = team.output(out + at, 2);
    if (kind == AX_SOFTMAX) {
      softmaxGradientRow<C>(team, g, y, dx, size);
    } else {
      logSoftmaxGradientRow<C>(team, g, y, dx, size);
    }
    team.store(out + at, dx, size);
  }
};

// Columns: the dimension is not the last one. A block of columns is walked from row to row.

// sums[j] = sum of f(i, j) over i, in runs, so that rounding errors do not grow with all of `size`.
template <class C, class F>
AX_DEVICE void sumColumns(C* sums, int64_t size, int width, const F& f) {
  constexpr int64_t kRun = 128;
  for (int j = 0; j < width; ++j) sums[j] = C(0);
  for (int64_t first = 0; first < size; first += kRun) {
    const int64_t last = size - first < kRun ? size : first + kRun;
    C part[kColumnBlock];
    for (int j = 0; j < width; ++j) part[j] = C(0);
    for (int64_t i = first; i < last; ++i) {
      for (int j = 0; j < width; ++j) part[j] += f(i, j);
    }
    for (int j = 0; j < width; ++j) sums[j] += part[j];
  }
}

template <class T>
struct ForwardColumns {
  T* out;
  const T* x;
  int64_t size, inner;
  int32_t kind;
  AX_DEVICE void operator()(int64_t o, int64_t first, int width) const {
    using C = Compute<T>;
    const T* from = x + o * size * inner + first;
    C top[kColumnBlock], sum[kColumnBlock];
    for (int j = 0; j < width; ++j) top[j] = C(-INFINITY);
    for (int64_t i = 0; i < size; ++i) {
      for (int j = 0; j < width; ++j) {
        const C value = static_cast<C>(from[i * inner + j]);
        top[j] = value > top[j] ? value : top[j];
      }
    }
    if (kind == AX_LOGSUMEXP) {
      for (int j = 0; j < width; ++j) top[j] = fabs(top[j]) == C(INFINITY) ? C(0) : top[j];
    }
    sumColumns(sum, size, width, [&](int64_t i, int j) { return special::exp(static_cast<C>(from[i * inner + j]) - top[j]); });
    if (kind == AX_LOGSUMEXP) {
      T* to = out + o * inner + first;
      for (int j = 0; j < width; ++j) to[j] = static_cast<T>(special::log(sum[j]) + top[j]);
      return;
    }
    T* to = out + o * size * inner + first;
    if (kind == AX_SOFTMAX) {
      for (int j = 0; j < width; ++j) sum[j] = C(1) / sum[j];
      for (int64_t i = 0; i < size; ++i) {
        for (int j = 0; j < width; ++j) {
          to[i * inner + j] = static_cast<T>(special::expNonPositive(static_cast<C>(from[i * inner + j]) - top[j]) * sum[j]);
        }
      }
    } else {
      for (int j = 0; j < width; ++j) sum[j] = special::log(sum[j]);
      for (int64_t i = 0; i < size; ++i) {
        for (int j = 0; j < width; ++j) to[i * inner + j] = static_cast<T>((static_cast<C>(from[i * inner + j]) - top[j]) - sum[j]);
      }
    }
  }
};

template <class T>
struct BackwardColumns {
  T* out;
  const T *gradient, *result;
  int64_t size, inner;
  int32_t kind;
  AX_DEVICE void operator()(int64_t o, int64_t first, int width) const {
    using C = Compute<T>;
    const int64_t start = o * size * inner + first;
    const T *g = gradient + start, *y = result + start;
    T* to = out + start;
    const bool plain = kind == AX_SOFTMAX;
    C sum[kColumnBlock];
    sumColumns(sum, size, width, [&](int64_t i, int j) {
      const C value = static_cast<C>(g[i * inner + j]);
      return plain ? value * static_cast<C>(y[i * inner + j]) : value;
    });
    for (int64_t i = 0; i < size; ++i) {
      for (int j = 0; j < width; ++j) {
        const C value = static_cast<C>(g[i * inner + j]), result_value = static_cast<C>(y[i * inner + j]);
        const C dx = plain ? (value - sum[j]) * result_value : value - special::expNonPositive(result_value) * sum[j];
        to[i * inner + j] = static_cast<T>(dx);
      }
    }
  }
};

template <class T>
int32_t forward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, int64_t outer, int64_t size,
                int64_t inner) {
  const double count = static_cast<double>(outer * size * inner);
  T* to;
  const T* from;
  AX_TRY(at(out, out_offset, kind == AX_LOGSUMEXP ? static_cast<double>(outer * inner) : count, dtype, &to));
  AX_TRY(at(x, x_offset, count, dtype, &from));
  if (inner == 1) return forEachRow<T>(outer, size, size, 1, ForwardRows<T>{to, from, size, kind});
  return forEachColumns(outer, size, inner, ForwardColumns<T>{to, from, size, inner, kind});
}

template <class T>
int32_t backward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                 uint32_t result, double result_offset, int64_t outer, int64_t size, int64_t inner) {
  const double count = static_cast<double>(outer * size * inner);
  T* to;
  const T *g, *y;
  AX_TRY(at(out, out_offset, count, dtype, &to));
  AX_TRY(at(gradient, gradient_offset, count, dtype, &g));
  AX_TRY(at(result, result_offset, count, dtype, &y));
  if (inner == 1) return forEachRow<T>(outer, size, size, 3, BackwardRows<T>{to, g, y, size, kind});
  return forEachColumns(outer, size, inner, BackwardColumns<T>{to, g, y, size, inner, kind});
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_softmax_forward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double outer,
                           double size, double inner) {
  if (kind < AX_SOFTMAX || kind > AX_LOGSUMEXP) return fail(AX_ERROR_ARGUMENT, "unknown kind of softmax %d", kind);
  AX_BY_FLOATING("softmax", dtype, forward, kind, dtype, out, out_offset, x, x_offset, static_cast<int64_t>(outer),
                 static_cast<int64_t>(size), static_cast<int64_t>(inner));
}

int32_t ax_softmax_backward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                            uint32_t result, double result_offset, double outer, double size, double inner) {
  if (kind != AX_SOFTMAX && kind != AX_LOG_SOFTMAX) return fail(AX_ERROR_ARGUMENT, "unknown kind of softmax %d", kind);
  AX_BY_FLOATING("softmax", dtype, backward, kind, dtype, out, out_offset, gradient, gradient_offset, result, result_offset,
                 static_cast<int64_t>(outer), static_cast<int64_t>(size), static_cast<int64_t>(inner));
}
