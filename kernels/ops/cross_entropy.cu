// Cross-entropy of logits, or negative log-likelihood of log-probabilities, with the classes as integers: forward and backward.
#include <math.h>

#include "common/backend.h"
#include "common/floating.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// `options` of accelerate.h.
struct Options {
  double rows, cols, ignore_index, smoothing, takes_log_probabilities;
};

// The loss of a row whose class counts, and log(sum(exp(row))). With class weights w: (1 - s) w[t] l[t] + s / cols * sum(w[j] l[j]),
// where l[j] = lse - x[j].
template <class C, class Team, class In>
AX_ROW C crossEntropyRow(const Team& team, In x, const C* weight, int64_t cols, int64_t t, C smoothing, C* lse) {
  C top;
  const C log_sum = special::log(team.template expSum<C>(cols, x, &top));
  *lse = top + log_sum;
  if (t < 0) return C(0);
  C loss = (C(1) - smoothing) * ((top - x[t]) + log_sum);
  if (weight != nullptr) loss *= weight[t];
  if (smoothing == C(0)) return loss;
  const C others = weight == nullptr ? team.template sum<C>(cols, [=](auto j) { return (top - x[j]) + log_sum; })
                                     : team.template sum<C>(cols, [=](auto j) { return weight[j] * ((top - x[j]) + log_sum); });
  return loss + smoothing / static_cast<C>(cols) * others;
}

// dx[j] = scale (p[j] (peak + sum of even w) - even w[j]), and peak less at the class itself.
template <class C, class Team, class In, class Out>
AX_ROW void crossEntropyGradientRow(const Team& team, In x, Out dx, const C* weight, int64_t cols, int64_t t, C scale, C lse, C smoothing) {
  const C even = scale * smoothing / static_cast<C>(cols);
  const C peak = scale * (C(1) - smoothing) * (weight == nullptr ? C(1) : weight[t]);
  if (weight == nullptr) {
    team.writeExcept(dx, cols, t, [=](auto j) { return special::expNonPositive(x[j] - lse) * scale - even; },
                     [=](auto j) { return special::expNonPositive(x[j] - lse) * scale - even - peak; });
    return;
  }
  const C total = smoothing == C(0) ? peak : peak + even * team.template sum<C>(cols, [=](auto j) { return weight[j]; });
  team.writeExcept(dx, cols, t, [=](auto j) { return special::expNonPositive(x[j] - lse) * total - even * weight[j]; },
                   [=](auto j) { return special::expNonPositive(x[j] - lse) * total - even * weight[j] - peak; });
}

template <class C, class Team, class Out>
AX_ROW void peakRow(const Team& team, Out dx, int64_t cols, int64_t t, C peak) {
  const auto nothing = [](auto) { return C(0); };
  if (t < 0) return team.write(dx, cols, nothing);
  team.writeExcept(dx, cols, t, nothing, [=](auto) { return peak; });
}

// The classes of the rows: int32 or int64. One is read for a row, so the branch costs less than a kernel for each.
struct Targets {
  const void* data;
  bool is_wide;
  int64_t ignored;
  AX_HD int64_t operator[](int64_t row) const {
    return is_wide ? static_cast<const int64_t*>(data)[row] : static_cast<const int32_t*>(data)[row];
  }
  // -1 where a row does not count. A class outside the row was reported before.
  AX_HD int64_t classOf(int64_t row, int64_t cols) const {
    const int64_t t = (*this)[row];
    return t == ignored || t < 0 || t >= cols ? -1 : t;
  }
};

int32_t resolveTargets(int32_t dtype, uint32_t id, double offset, double rows, double ignore_index, Targets* targets) {
  if (dtype != AX_INT32 && dtype != AX_INT64) {
    return fail(AX_ERROR_UNSUPPORTED, "targets of a cross-entropy must be int32 or int64, got dtype %d", dtype);
  }
  targets->is_wide = dtype == AX_INT64;
  targets->ignored = static_cast<int64_t>(ignore_index);
  return at(id, offset, rows, dtype, &targets->data);
}

template <class T>
struct Forward {
  using C = Compute<T>;
  C *losses, *lse;
  const T* logits;
  Targets target;
  const C* weight;
  int64_t cols;
  C smoothing;
  bool takes_log_probabilities;
  static constexpr int kHeldRows = 0;
  bool isAligned() const { return areAligned(logits); }
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    const T* x = logits + row * cols;
    const int64_t t = target.classOf(row, cols);
    C loss, log_sum;
    if (takes_log_probabilities) {
      if (team.isFirst()) losses[row] = t < 0 ? C(0) : -static_cast<C>(x[t]) * (weight == nullptr ? C(1) : weight[t]);
      return;
    }
    loss = crossEntropyRow<C>(team, team.input(x, cols, 0), weight, cols, t, smoothing, &log_sum);
    if (!team.isFirst()) return;
    losses[row] = loss;
    lse[row] = log_sum;
  }
};

template <class C>
struct Mean {
  C *mean, *valid;
  const C *losses, *weight;
  Targets target;
  int64_t rows;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t) const {
    const C *loss = losses, *w = weight;
    const Targets t = target;
    const double sum = team.template sum<double>(rows, [=](int64_t i) { return static_cast<double>(loss[i]); });
    const double count = team.template sum<double>(rows, [=](int64_t i) {
      if (t[i] == t.ignored) return 0.0;
      return w == nullptr ? 1.0 : static_cast<double>(w[t[i]]);
    });
    if (!team.isFirst()) return;
    *mean = static_cast<C>(sum / count);
    *valid = static_cast<C>(count);
  }
};

template <class T>
struct Backward {
  using C = Compute<T>;
  T* out;
  const C *gradient, *lse;
  const T* logits;
  Targets target;
  const C* weight;
  int64_t cols;
  int32_t gradient_stride;
  C smoothing;
  bool takes_log_probabilities;
  static constexpr int kHeldRows = 0;
  bool isAligned() const { return areAligned(out, logits); }
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    T* to = out + row * cols;
    const int64_t t = target.classOf(row, cols);
    const C scale = gradient[row * gradient_stride];
    const auto dx = team.output(to, 1);
    if (t < 0 || takes_log_probabilities) {
      peakRow<C>(team, dx, cols, t, t < 0 ? C(0) : -scale * (weight == nullptr ? C(1) : weight[t]));
    } else {
      crossEntropyGradientRow<C>(team, team.input(logits + row * cols, cols, 0), dx, weight, cols, t, scale, lse[row], smoothing);
    }
    team.store(to, dx, cols);
  }
};

template <class T>
int32_t forward(int32_t dtype, int32_t target_dtype, uint32_t losses, uint32_t lse, uint32_t logits, double xo, uint32_t target, double to,
                uint32_t weight, double wo, const Options& o) {
  using C = Compute<T>;
  Forward<T> body{nullptr, nullptr, nullptr, {}, nullptr, static_cast<int64_t>(o.cols), static_cast<C>(o.smoothing),
                  o.takes_log_probabilities != 0};
  const int32_t compute = computeDtype(dtype);
  const int64_t rows = static_cast<int64_t>(o.rows);
  AX_TRY(at(losses, 0, o.rows, compute, &body.losses));
  if (!body.takes_log_probabilities) AX_TRY(at(lse, 0, o.rows, compute, &body.lse));
  AX_TRY(at(logits, xo, o.rows * o.cols, dtype, &body.logits));
  AX_TRY(resolveTargets(target_dtype, target, to, o.rows, o.ignore_index, &body.target));
  if (weight != 0) AX_TRY(at(weight, wo, o.cols, compute, &body.weight));
  const void* classes = body.target.data;
  AX_TRY(body.target.is_wide ? checkIndices(static_cast<const int64_t*>(classes), rows, body.cols, body.target.ignored)
                             : checkIndices(static_cast<const int32_t*>(classes), rows, body.cols, body.target.ignored));
  return forEachRow<T>(rows, body.takes_log_probabilities ? 1 : body.cols, body.cols, 1, body);
}

template <class C>
int32_t mean(int32_t dtype, int32_t target_dtype, uint32_t mean, double mo, uint32_t valid, double vo, uint32_t losses, uint32_t target,
             double to, uint32_t weight, double wo, double rows, double cols, double ignore_index) {
  Mean<C> body{nullptr, nullptr, nullptr, nullptr, {}, static_cast<int64_t>(rows)};
  AX_TRY(at(mean, mo, 1, dtype, &body.mean));
  AX_TRY(at(valid, vo, 1, dtype, &body.valid));
  AX_TRY(at(losses, 0, rows, dtype, &body.losses));
  AX_TRY(resolveTargets(target_dtype, target, to, rows, ignore_index, &body.target));
  if (weight != 0) AX_TRY(at(weight, wo, cols, dtype, &body.weight));
  return forEachRow(1, body.rows, body);
}

template <class T>
int32_t backward(int32_t dtype, int32_t target_dtype, uint32_t out, double oo, uint32_t gradient, double go, int32_t gradient_stride,
                 uint32_t lse, uint32_t logits, double xo, uint32_t target, double to, uint32_t weight, double wo, const Options& o) {
  using C = Compute<T>;
  Backward<T> body{nullptr, nullptr, nullptr, nullptr, {}, nullptr, static_cast<int64_t>(o.cols), gradient_stride,
                   static_cast<C>(o.smoothing), o.takes_log_probabilities != 0};
  if (gradient_stride != 0 && gradient_stride != 1) return fail(AX_ERROR_ARGUMENT, "gradient_stride must be 0 or 1, got %d", gradient_stride);
  const int32_t compute = computeDtype(dtype);
  AX_TRY(at(out, oo, o.rows * o.cols, dtype, &body.out));
  AX_TRY(at(gradient, go, gradient_stride == 0 ? 1 : o.rows, compute, &body.gradient));
  AX_TRY(resolveTargets(target_dtype, target, to, o.rows, o.ignore_index, &body.target));
  if (!body.takes_log_probabilities) {
    AX_TRY(at(lse, 0, o.rows, compute, &body.lse));
    AX_TRY(at(logits, xo, o.rows * o.cols, dtype, &body.logits));
  }
  if (weight != 0) AX_TRY(at(weight, wo, o.cols, compute, &body.weight));
  return forEachRow<T>(static_cast<int64_t>(o.rows), body.cols, body.cols, 2, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_cross_entropy_forward(int32_t dtype, int32_t target_dtype, uint32_t losses, uint32_t lse, uint32_t logits,
                                 double logits_offset, uint32_t target, double target_offset, uint32_t weight, double weight_offset,
                                 const void* options) {
  AX_BY_FLOATING("cross-entropy", dtype, forward, dtype, target_dtype, losses, lse, logits, logits_offset, target, target_offset, weight,
                 weight_offset, *static_cast<const Options*>(options));
}

int32_t ax_cross_entropy_mean(int32_t dtype, int32_t target_dtype, uint32_t average, double mean_offset, uint32_t valid,
                              double valid_offset, uint32_t losses, uint32_t target, double target_offset, uint32_t weight,
                              double weight_offset, double rows, double cols, double ignore_index) {
  if (dtype != AX_FLOAT32 && dtype != AX_FLOAT64) return unsupportedDtype("the mean of a cross-entropy", dtype);
  const auto run = dtype == AX_FLOAT32 ? mean<float> : mean<double>;
  return run(dtype, target_dtype, average, mean_offset, valid, valid_offset, losses, target, target_offset, weight, weight_offset, rows,
             cols, ignore_index);
}

int32_t ax_cross_entropy_backward(int32_t dtype, int32_t target_dtype, uint32_t out, double out_offset, uint32_t gradient,
                                  double gradient_offset, int32_t gradient_stride, uint32_t lse, uint32_t logits, double logits_offset,
                                  uint32_t target, double target_offset, uint32_t weight, double weight_offset, const void* options) {
  AX_BY_FLOATING("cross-entropy", dtype, backward, dtype, target_dtype, out, out_offset, gradient, gradient_offset, gradient_stride, lse,
                 logits, logits_offset, target, target_offset, weight, weight_offset, *static_cast<const Options*>(options));
}
