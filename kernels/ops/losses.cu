// Mean squared error and cross-entropy, forward and backward.
#include <math.h>

#include "cpu/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

int32_t at(uint32_t id, double offset, double count, int32_t dtype, void* address) {
  return resolve(id, offset, count, dtype, static_cast<void**>(address));
}

template <class T>
int32_t mseForward(int32_t dtype, uint32_t out, double oo, uint32_t a, double ao, uint32_t b, double bo, double count,
                   double scale) {
  T *to, *x, *y;
  AX_TRY(at(out, oo, 1, dtype, &to));
  AX_TRY(at(a, ao, count, dtype, &x));
  AX_TRY(at(b, bo, count, dtype, &y));
  const int64_t n = static_cast<int64_t>(count);
  // Blocks in 16 lanes, block sums in double: the error does not grow with the count.
  double total = 0;
  for (int64_t first = 0; first < n; first += 4096) {
    const int64_t last = first + 4096 < n ? first + 4096 : n;
    T lanes[16] = {};
    int64_t i = first;
    for (; i + 16 <= last; i += 16) {
      for (int lane = 0; lane < 16; ++lane) {
        const T d = x[i + lane] - y[i + lane];
        lanes[lane] += d * d;
      }
    }
    for (; i < last; ++i) lanes[i % 16] += (x[i] - y[i]) * (x[i] - y[i]);
    for (T lane : lanes) total += static_cast<double>(lane);
  }
  *to = static_cast<T>(total * scale);
  return AX_OK;
}

template <class T>
int32_t mseBackward(int32_t dtype, uint32_t out, double oo, uint32_t gradient, double go, uint32_t a, double ao, uint32_t b,
                    double bo, double count, double scale) {
  T *to, *g, *x, *y;
  AX_TRY(at(out, oo, count, dtype, &to));
  AX_TRY(at(gradient, go, 1, dtype, &g));
  AX_TRY(at(a, ao, count, dtype, &x));
  AX_TRY(at(b, bo, count, dtype, &y));
  const T factor = static_cast<T>(2 * scale) * *g;
  const int64_t n = static_cast<int64_t>(count);
  for (int64_t i = 0; i < n; ++i) to[i] = factor * (x[i] - y[i]);
  return AX_OK;
}

template <class T, class Target>
int32_t crossEntropyForward(int32_t dtype, int32_t target_dtype, uint32_t losses, double lo, uint32_t lse, double so,
                            uint32_t logits, double xo, uint32_t target, double to, double rows, double cols,
                            double ignore_index, double smoothing) {
  T *loss, *sums, *x;
  Target* t;
  AX_TRY(at(losses, lo, rows, dtype, &loss));
  AX_TRY(at(lse, so, rows, dtype, &sums));
  AX_TRY(at(logits, xo, rows * cols, dtype, &x));
  AX_TRY(at(target, to, rows, target_dtype, &t));
  const int64_t n = static_cast<int64_t>(rows), c = static_cast<int64_t>(cols), ignored = static_cast<int64_t>(ignore_index);
  for (int64_t i = 0; i < n; ++i) {
    const T* row = x + i * c;
    T largest = c > 0 ? row[0] : T(0);
    for (int64_t j = 1; j < c; ++j) largest = row[j] > largest ? row[j] : largest;
    T sum = 0;
    double mean = 0;
    for (int64_t j = 0; j < c; ++j) {
      sum += exp(row[j] - largest);
      mean += static_cast<double>(row[j]);
    }
    sums[i] = largest + log(sum);
    if (t[i] == ignored) {
      loss[i] = 0;
      continue;
    }
    if (t[i] < 0 || t[i] >= c) {
      return fail(AX_ERROR_INDEX, "target %lld of row %lld is outside [0, %lld)", static_cast<long long>(t[i]),
                  static_cast<long long>(i), static_cast<long long>(c));
    }
    loss[i] = static_cast<T>(1 - smoothing) * (sums[i] - row[t[i]]);
    if (smoothing != 0) loss[i] += static_cast<T>(smoothing * (static_cast<double>(sums[i]) - mean / static_cast<double>(c)));
  }
  return AX_OK;
}

template <class T, class Target>
int32_t crossEntropyMean(int32_t dtype, int32_t target_dtype, uint32_t mean, double mo, uint32_t valid, double vo,
                         uint32_t losses, double lo, uint32_t target, double to, double rows, double ignore_index) {
  T *m, *v, *loss;
  Target* t;
  AX_TRY(at(mean, mo, 1, dtype, &m));
  AX_TRY(at(valid, vo, 1, dtype, &v));
  AX_TRY(at(losses, lo, rows, dtype, &loss));
  AX_TRY(at(target, to, rows, target_dtype, &t));
  double sum = 0, count = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(rows); ++i) {
    sum += static_cast<double>(loss[i]);
    count += t[i] != static_cast<int64_t>(ignore_index);
  }
  *m = static_cast<T>(sum / count);
  *v = static_cast<T>(count);
  return AX_OK;
}

template <class T, class Target>
int32_t crossEntropyBackward(int32_t dtype, int32_t target_dtype, uint32_t out, double oo, uint32_t gradient, double go,
                             int32_t gradient_stride, uint32_t lse, uint32_t logits, double xo, uint32_t target, double to,
                             double rows, double cols, double ignore_index, double smoothing) {
  T *dx, *g, *sums, *x;
  Target* t;
  AX_TRY(at(out, oo, rows * cols, dtype, &dx));
  AX_TRY(at(gradient, go, gradient_stride == 0 ? 1 : rows, dtype, &g));
  AX_TRY(at(lse, 0, rows, dtype, &sums));
  AX_TRY(at(logits, xo, rows * cols, dtype, &x));
  AX_TRY(at(target, to, rows, target_dtype, &t));
  const int64_t n = static_cast<int64_t>(rows), c = static_cast<int64_t>(cols), ignored = static_cast<int64_t>(ignore_index);
  const T even = static_cast<T>(smoothing / cols), peak = static_cast<T>(1 - smoothing);
  for (int64_t i = 0; i < n; ++i) {
    T* row = dx + i * c;
    if (t[i] == ignored) {
      for (int64_t j = 0; j < c; ++j) row[j] = 0;
      continue;
    }
    const T scale = g[i * gradient_stride];
    for (int64_t j = 0; j < c; ++j) row[j] = scale * (exp(x[i * c + j] - sums[i]) - even);
    row[t[i]] -= scale * peak;
  }
  return AX_OK;
}

int32_t unsupported(const char* what, int32_t dtype, int32_t target_dtype) {
  return fail(AX_ERROR_UNSUPPORTED, "%s is not available for dtypes %d and %d", what, dtype, target_dtype);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

// The four pairs of dtypes; returns from the function.
#define AX_BY_DTYPES(run, ...)                                                                       \
  if (dtype == AX_FLOAT32 && target_dtype == AX_INT32) return run<float, int32_t>(__VA_ARGS__);      \
  if (dtype == AX_FLOAT32 && target_dtype == AX_INT64) return run<float, int64_t>(__VA_ARGS__);      \
  if (dtype == AX_FLOAT64 && target_dtype == AX_INT32) return run<double, int32_t>(__VA_ARGS__);     \
  if (dtype == AX_FLOAT64 && target_dtype == AX_INT64) return run<double, int64_t>(__VA_ARGS__);     \
  return unsupported("cross_entropy", dtype, target_dtype)

int32_t ax_mse_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                       double b_offset, double count, double scale) {
  if (dtype == AX_FLOAT32) return mseForward<float>(dtype, out, out_offset, a, a_offset, b, b_offset, count, scale);
  if (dtype == AX_FLOAT64) return mseForward<double>(dtype, out, out_offset, a, a_offset, b, b_offset, count, scale);
  return unsupported("mse", dtype, dtype);
}

int32_t ax_mse_backward(int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                        uint32_t a, double a_offset, uint32_t b, double b_offset, double count, double scale) {
  if (dtype == AX_FLOAT32) return mseBackward<float>(dtype, out, out_offset, gradient, gradient_offset, a, a_offset, b, b_offset, count, scale);
  if (dtype == AX_FLOAT64) return mseBackward<double>(dtype, out, out_offset, gradient, gradient_offset, a, a_offset, b, b_offset, count, scale);
  return unsupported("mse", dtype, dtype);
}

int32_t ax_cross_entropy_forward(int32_t dtype, int32_t target_dtype, uint32_t losses, double losses_offset, uint32_t lse,
                                 double lse_offset, uint32_t logits, double logits_offset, uint32_t target,
                                 double target_offset, double rows, double cols, double ignore_index, double smoothing) {
  AX_BY_DTYPES(crossEntropyForward, dtype, target_dtype, losses, losses_offset, lse, lse_offset, logits, logits_offset, target,
               target_offset, rows, cols, ignore_index, smoothing);
}

int32_t ax_cross_entropy_mean(int32_t dtype, int32_t target_dtype, uint32_t mean, double mean_offset, uint32_t valid,
                              double valid_offset, uint32_t losses, double losses_offset, uint32_t target,
                              double target_offset, double rows, double ignore_index) {
  AX_BY_DTYPES(crossEntropyMean, dtype, target_dtype, mean, mean_offset, valid, valid_offset, losses, losses_offset, target,
               target_offset, rows, ignore_index);
}

int32_t ax_cross_entropy_backward(int32_t dtype, int32_t target_dtype, uint32_t out, double out_offset, uint32_t gradient,
                                  double gradient_offset, int32_t gradient_stride, uint32_t lse, uint32_t logits,
                                  double logits_offset, uint32_t target, double target_offset, double rows, double cols,
                                  double ignore_index, double smoothing) {
  AX_BY_DTYPES(crossEntropyBackward, dtype, target_dtype, out, out_offset, gradient, gradient_offset, gradient_stride, lse,
               logits, logits_offset, target, target_offset, rows, cols, ignore_index, smoothing);
}
