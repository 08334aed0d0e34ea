// Losses of pairs of elements, an input and a target: forward, summed or elementwise, and backward.
#include <math.h>

#include "common/backend.h"
#include "common/floating.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// Each has the value for input x and target y, and its derivatives.
struct SquaredError {
  template <class T>
  static AX_HD T value(T x, T y, T) { return (x - y) * (x - y); }
  template <class T>
  static AX_HD T inputGradient(T x, T y, T) { return T(2) * (x - y); }
  template <class T>
  static AX_HD T targetGradient(T x, T y, T) { return T(2) * (y - x); }
};

template <class T>
AX_HD T signOf(T x) {
  return T((x > T(0)) - (x < T(0)));
}

struct AbsoluteError {
  template <class T>
  static AX_HD T value(T x, T y, T) { return fabs(x - y); }
  template <class T>
  static AX_HD T inputGradient(T x, T y, T) { return signOf(x - y); }
  template <class T>
  static AX_HD T targetGradient(T x, T y, T) { return signOf(y - x); }
};

// Quadratic below beta.
struct SmoothAbsoluteError {
  template <class T>
  static AX_HD T value(T x, T y, T beta) {
    const T distance = fabs(x - y);
    return distance < beta ? T(0.5) * distance * distance / beta : distance - T(0.5) * beta;
  }
  template <class T>
  static AX_HD T inputGradient(T x, T y, T beta) {
    const T distance = x - y;
    return fabs(distance) < beta ? distance / beta : signOf(distance);
  }
  template <class T>
  static AX_HD T targetGradient(T x, T y, T beta) { return inputGradient(y, x, beta); }
};

// Binary cross-entropy of a logit.
struct LogisticError {
  template <class T>
  static AX_HD T value(T x, T y, T) {
    const T negative = x < T(0) ? -x : T(0);
    return (T(1) - y) * x + negative + special::log1p(special::expNonPositive(-fabs(x)));
  }
  template <class T>
  static AX_HD T inputGradient(T x, T y, T) { return special::sigmoid(x) - y; }
  template <class T>
  static AX_HD T targetGradient(T x, T, T) { return -x; }
};

// Kullback-Leibler divergence of a log-probability from a probability. 0 log 0 is 0.
struct Divergence {
  template <class T>
  static AX_HD T value(T x, T y, T) {
    const T entropy = y * special::log(y);
    return (y == T(0) ? T(0) : entropy) - y * x;
  }
  template <class T>
  static AX_HD T inputGradient(T, T y, T) { return -y; }
  // y / y is NaN at 0, where PyTorch's derivative is.
  template <class T>
  static AX_HD T targetGradient(T x, T y, T) { return special::log(y) + y / y - x; }
};

// The same from a log-probability.
struct LogDivergence {
  template <class T>
  static AX_HD T value(T x, T y, T) { return special::exp(y) * (y - x); }
  template <class T>
  static AX_HD T inputGradient(T, T y, T) { return -special::exp(y); }
  template <class T>
  static AX_HD T targetGradient(T x, T y, T) { return special::exp(y) * (y - x + T(1)); }
};

#ifdef AX_CUDA
#define AX_LOSSES(CASE)                               \
  CASE(AX_LOSS_MSE, SquaredError)                     \
  CASE(AX_LOSS_L1, AbsoluteError)                     \
  CASE(AX_LOSS_SMOOTH_L1, SmoothAbsoluteError)        \
  CASE(AX_LOSS_BCE_WITH_LOGITS, LogisticError)        \
  CASE(AX_LOSS_KL_DIV, Divergence)                    \
  CASE(AX_LOSS_KL_DIV_LOG, LogDivergence)

template <class T>
struct Setting {
  T beta;
  int32_t kind;
};

// One kernel computes all losses of a type: the branch is the same for all threads, and a kernel for each would take six times the space.
struct AnyLoss {
#define AX_CASE(id, F) case id: return F::template AX_PART<T>(x, y, setting.beta);
#define AX_PART value
  template <class T>
  static __device__ T value(T x, T y, const Setting<T>& setting) {
    switch (setting.kind) { AX_LOSSES(AX_CASE) }
    return T(0);
  }
#undef AX_PART
#define AX_PART inputGradient
  template <class T>
  static __device__ T inputGradient(T x, T y, const Setting<T>& setting) {
    switch (setting.kind) { AX_LOSSES(AX_CASE) }
    return T(0);
  }
#undef AX_PART
#define AX_PART targetGradient
  template <class T>
  static __device__ T targetGradient(T x, T y, const Setting<T>& setting) {
    switch (setting.kind) { AX_LOSSES(AX_CASE) }
    return T(0);
  }
#undef AX_PART
#undef AX_CASE
};
#else
template <class T> using Setting = T;
#endif

template <class F, class T>
struct Value {
  const T *x, *y;
  Setting<T> beta;
  AX_HD T operator()(int64_t i) const { return F::template value<T>(x[i], y[i], beta); }
};

template <class F, class T>
struct Values {
  T* out;
  Value<F, T> value;
  AX_HD void operator()(At<1> at) const { out[at.v[0]] = value(at.v[0]); }
};

template <class F, class T>
struct Gradients {
  T *dx, *dy;  // either may be null
  const T *gradient, *x, *y;
  T scale;
  Setting<T> beta;
  int32_t gradient_stride;
  AX_HD void operator()(At<1> at) const {
    const int64_t i = at.v[0];
    const T g = scale * (gradient_stride == 0 ? *gradient : gradient[i]), a = x[i], b = y[i];
    if (dx != nullptr) dx[i] = g * F::template inputGradient<T>(a, b, beta);
    if (dy != nullptr) dy[i] = g * F::template targetGradient<T>(a, b, beta);
  }
};

struct Operands {
  int32_t dtype;
  uint32_t x, y;
  double x_offset, y_offset, count, scale, beta;
#ifdef AX_CUDA
  int32_t kind = 0;
#endif
};

template <class T>
Setting<T> settingOf(const Operands& o) {
#ifdef AX_CUDA
  return {static_cast<T>(o.beta), o.kind};
#else
  return static_cast<T>(o.beta);
#endif
}

template <class F, class T>
int32_t forward(const Operands& o, uint32_t out, double out_offset, int32_t sums) {
  Value<F, T> value{nullptr, nullptr, settingOf<T>(o)};
  T* to;
  AX_TRY(at(out, out_offset, sums ? 1 : o.count, o.dtype, &to));
  AX_TRY(at(o.x, o.x_offset, o.count, o.dtype, &value.x));
  AX_TRY(at(o.y, o.y_offset, o.count, o.dtype, &value.y));
  if (sums) return sumInto<T>(to, static_cast<int64_t>(o.count), o.scale, value);
  return forEach<1>(o.count, Layout<1>{nullptr, 0}, Values<F, T>{to, value});
}

template <class F, class T>
int32_t backward(const Operands& o, uint32_t dx, uint32_t dy, uint32_t gradient, double gradient_offset, int32_t gradient_stride) {
  Gradients<F, T> body{nullptr, nullptr, nullptr, nullptr, nullptr, static_cast<T>(o.scale), settingOf<T>(o), gradient_stride};
  if (gradient_stride != 0 && gradient_stride != 1) return fail(AX_ERROR_ARGUMENT, "gradient_stride must be 0 or 1, got %d", gradient_stride);
  if (dx != 0) AX_TRY(at(dx, 0, o.count, o.dtype, &body.dx));
  if (dy != 0) AX_TRY(at(dy, 0, o.count, o.dtype, &body.dy));
  AX_TRY(at(gradient, gradient_offset, gradient_stride == 0 ? 1 : o.count, o.dtype, &body.gradient));
  AX_TRY(at(o.x, o.x_offset, o.count, o.dtype, &body.x));
  AX_TRY(at(o.y, o.y_offset, o.count, o.dtype, &body.y));
  return forEach<1>(o.count, Layout<1>{nullptr, 0}, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

// Chooses the loss and the dtype; returns from the function.
#ifdef AX_CUDA
#define AX_KNOWN_LOSS(id, F) case id:
#define AX_BY_LOSS(run, operands, ...)                                   \
  switch (kind) {                                                        \
    AX_LOSSES(AX_KNOWN_LOSS) break;                                      \
    default: return fail(AX_ERROR_ARGUMENT, "unknown loss %d", kind);    \
  }                                                                      \
  Operands chosen = operands;                                            \
  chosen.kind = kind;                                                    \
  if (dtype == AX_FLOAT32) return run<AnyLoss, float>(chosen, __VA_ARGS__); \
  if (dtype == AX_FLOAT64) return run<AnyLoss, double>(chosen, __VA_ARGS__); \
  return unsupportedDtype("this loss", dtype)
#else
#define AX_LOSS_CASE(id, F, run, ...)                                    \
  case id:                                                               \
    if (dtype == AX_FLOAT32) return run<F, float>(__VA_ARGS__);          \
    if (dtype == AX_FLOAT64) return run<F, double>(__VA_ARGS__);         \
    break;
#define AX_BY_LOSS(run, ...)                                             \
  switch (kind) {                                                        \
    AX_LOSS_CASE(AX_LOSS_MSE, SquaredError, run, __VA_ARGS__)            \
    AX_LOSS_CASE(AX_LOSS_L1, AbsoluteError, run, __VA_ARGS__)            \
    AX_LOSS_CASE(AX_LOSS_SMOOTH_L1, SmoothAbsoluteError, run, __VA_ARGS__) \
    AX_LOSS_CASE(AX_LOSS_BCE_WITH_LOGITS, LogisticError, run, __VA_ARGS__) \
    AX_LOSS_CASE(AX_LOSS_KL_DIV, Divergence, run, __VA_ARGS__)           \
    AX_LOSS_CASE(AX_LOSS_KL_DIV_LOG, LogDivergence, run, __VA_ARGS__)    \
    default: return fail(AX_ERROR_ARGUMENT, "unknown loss %d", kind);    \
  }                                                                      \
  return unsupportedDtype("this loss", dtype)
#endif

int32_t ax_loss_forward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t y,
                        double y_offset, double count, int32_t sums, double scale, double beta) {
  const Operands operands{dtype, x, y, x_offset, y_offset, count, scale, beta};
  AX_BY_LOSS(forward, operands, out, out_offset, sums);
}

int32_t ax_loss_backward(int32_t kind, int32_t dtype, uint32_t dx, uint32_t dy, uint32_t gradient, double gradient_offset,
                         int32_t gradient_stride, uint32_t x, double x_offset, uint32_t y, double y_offset, double count, double scale,
                         double beta) {
  const Operands operands{dtype, x, y, x_offset, y_offset, count, scale, beta};
  AX_BY_LOSS(backward, operands, dx, dy, gradient, gradient_offset, gradient_stride);
}
