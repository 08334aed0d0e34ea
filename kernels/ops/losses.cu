// Mean squared error and cross-entropy, forward and backward.
#include <math.h>

#include "common/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
struct MseForward {
  T* out;
  const T *a, *b;
  int64_t count;
  double scale;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t) const {
    const T *x = a, *y = b;
    const T total = team.template sum<T>(count, [=](int64_t i) { return (x[i] - y[i]) * (x[i] - y[i]); });
    if (team.isFirst()) *out = static_cast<T>(static_cast<double>(total) * scale);
  }
};

template <class T>
int32_t mseForward(int32_t dtype, uint32_t out, double oo, uint32_t a, double ao, uint32_t b, double bo, double count,
                   double scale) {
  MseForward<T> body{nullptr, nullptr, nullptr, static_cast<int64_t>(count), scale};
  AX_TRY(at(out, oo, 1, dtype, &body.out));
  AX_TRY(at(a, ao, count, dtype, &body.a));
  AX_TRY(at(b, bo, count, dtype, &body.b));
  return forEachRow(1, body.count, body);
}

template <class T>
struct MseBackward {
  T* out;
  const T *gradient, *a, *b;
  T scale;
  AX_HD void operator()(At<1> at) const {
    const int64_t i = at.v[0];
    out[i] = scale * *gradient * (a[i] - b[i]);
  }
};

template <class T>
int32_t mseBackward(int32_t dtype, uint32_t out, double oo, uint32_t gradient, double go, uint32_t a, double ao, uint32_t b,
                    double bo, double count, double scale) {
  MseBackward<T> body{nullptr, nullptr, nullptr, nullptr, static_cast<T>(2 * scale)};
  AX_TRY(at(out, oo, count, dtype, &body.out));
  AX_TRY(at(gradient, go, 1, dtype, &body.gradient));
  AX_TRY(at(a, ao, count, dtype, &body.a));
  AX_TRY(at(b, bo, count, dtype, &body.b));
  return forEach<1>(count, Layout<1>{nullptr, 0}, body);
}

template <class T, class Target>
struct CrossEntropyForward {
  T *losses, *lse;
  const T* logits;
  const Target* target;
  int64_t cols, ignored;
  double smoothing;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    const T* x = logits + row * cols;
    const T largest = team.template max<T>(cols, cols > 0 ? x[0] : T(0), [=](int64_t j) { return x[j]; });
    const T sum = team.template sum<T>(cols, [=](int64_t j) { return exp(x[j] - largest); });
    const T total = smoothing == 0 ? T(0) : team.template sum<T>(cols, [=](int64_t j) { return x[j]; });
    if (!team.isFirst()) return;
    const int64_t t = target[row];
    const T log_sum = largest + log(sum);
    lse[row] = log_sum;
    if (t == ignored || t < 0 || t >= cols) {
      losses[row] = 0;
      return;
    }
    T loss = static_cast<T>(1 - smoothing) * (log_sum - x[t]);
    if (smoothing != 0) loss += static_cast<T>(smoothing) * (log_sum - total / static_cast<T>(cols));
    losses[row] = loss;
  }
};

template <class T, class Target>
int32_t crossEntropyForward(int32_t dtype, int32_t target_dtype, uint32_t losses, double lo, uint32_t lse, double so,
                            uint32_t logits, double xo, uint32_t target, double to, double rows, double cols,
                            double ignore_index, double smoothing) {
  CrossEntropyForward<T, Target> body{nullptr, nullptr, nullptr, nullptr, static_cast<int64_t>(cols), static_cast<int64_t>(ignore_index),
                                      smoothing};
  AX_TRY(at(losses, lo, rows, dtype, &body.losses));
  AX_TRY(at(lse, so, rows, dtype, &body.lse));
  AX_TRY(at(logits, xo, rows * cols, dtype, &body.logits));
  AX_TRY(at(target, to, rows, target_dtype, &body.target));
  AX_TRY(checkIndices(body.target, static_cast<int64_t>(rows), body.cols, body.ignored));
  return forEachRow(static_cast<int64_t>(rows), body.cols, body);
}

template <class T, class Target>
struct CrossEntropyMean {
  T *mean, *valid;
  const T* losses;
  const Target* target;
  int64_t rows, ignored;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t) const {
    const T* loss = losses;
    const Target* t = target;
    const int64_t skip = ignored;
    const double sum = team.template sum<double>(rows, [=](int64_t i) { return static_cast<double>(loss[i]); });
    const double count = team.template sum<double>(rows, [=](int64_t i) { return t[i] != skip ? 1.0 : 0.0; });
    if (!team.isFirst()) return;
    *mean = static_cast<T>(sum / count);
    *valid = static_cast<T>(count);
  }
};

template <class T, class Target>
int32_t crossEntropyMean(int32_t dtype, int32_t target_dtype, uint32_t mean, double mo, uint32_t valid, double vo,
                         uint32_t losses, double lo, uint32_t target, double to, double rows, double ignore_index) {
  CrossEntropyMean<T, Target> body{nullptr, nullptr, nullptr, nullptr, static_cast<int64_t>(rows), static_cast<int64_t>(ignore_index)};
  AX_TRY(at(mean, mo, 1, dtype, &body.mean));
  AX_TRY(at(valid, vo, 1, dtype, &body.valid));
  AX_TRY(at(losses, lo, rows, dtype, &body.losses));
  AX_TRY(at(target, to, rows, target_dtype, &body.target));
  return forEachRow(1, body.rows, body);
}

template <class T, class Target>
struct CrossEntropyBackward {
  T* out;
  const T *gradient, *lse, *logits;
  const Target* target;
  int64_t cols, ignored;
  int32_t gradient_stride;
  T even, peak;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    T* to = out + row * cols;
    const T* x = logits + row * cols;
    const int64_t t = target[row];
    const bool counts = t != ignored;
    const T scale = gradient[row * gradient_stride], log_sum = lse[row], base = even, top = peak;
    team.each(cols, [=](int64_t j) { to[j] = counts ? scale * (exp(x[j] - log_sum) - base - (j == t ? top : T(0))) : T(0); });
  }
};

template <class T, class Target>
int32_t crossEntropyBackward(int32_t dtype, int32_t target_dtype, uint32_t out, double oo, uint32_t gradient, double go,
                             int32_t gradient_stride, uint32_t lse, uint32_t logits, double xo, uint32_t target, double to,
                             double rows, double cols, double ignore_index, double smoothing) {
  CrossEntropyBackward<T, Target> body{nullptr, nullptr, nullptr, nullptr, nullptr, static_cast<int64_t>(cols),
                                       static_cast<int64_t>(ignore_index), gradient_stride, static_cast<T>(smoothing / cols),
                                       static_cast<T>(1 - smoothing)};
  if (gradient_stride != 0 && gradient_stride != 1) return fail(AX_ERROR_ARGUMENT, "gradient_stride must be 0 or 1, got %d", gradient_stride);
  AX_TRY(at(out, oo, rows * cols, dtype, &body.out));
  AX_TRY(at(gradient, go, gradient_stride == 0 ? 1 : rows, dtype, &body.gradient));
  AX_TRY(at(lse, 0, rows, dtype, &body.lse));
  AX_TRY(at(logits, xo, rows * cols, dtype, &body.logits));
  AX_TRY(at(target, to, rows, target_dtype, &body.target));
  return forEachRow(static_cast<int64_t>(rows), body.cols, body);
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
