// Optimizer steps over flat ranges, with the formulas of torch.optim's single-tensor path.
#include <math.h>

#include "common/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
struct AdamBody {
  T *p, *m, *v, *highest;
  const T* g;
  T keep, coupled, scale, rest1, beta2, rest2, step_size, root, eps;
  AX_HD void operator()(At<1> at) const {
    const int64_t i = at.v[0];
    const T value = p[i] * keep, slope = g[i] * scale + coupled * p[i];
    const T first = m[i] + rest1 * (slope - m[i]), second = beta2 * v[i] + rest2 * slope * slope;
    m[i] = first;
    v[i] = second;
    T largest = second;
    if (highest != nullptr) {
      largest = highest[i] > second ? highest[i] : second;
      highest[i] = largest;
    }
    p[i] = value - step_size * first / (sqrt(largest) / root + eps);
  }
};

template <class T>
int32_t adamStep(int32_t dtype, uint32_t parameter, double po, uint32_t exp_avg, uint32_t exp_avg_sq, uint32_t max_exp_avg_sq,
                 double so, uint32_t gradient, double go, double count, const double* hyper, int32_t flags) {
  const double lr = hyper[0], decay = hyper[4];
  const bool decoupled = (flags & AX_OPTIMIZER_DECOUPLED_DECAY) != 0;
  AdamBody<T> body{};
  body.keep = decoupled ? static_cast<T>(1 - lr * decay) : T(1);
  body.coupled = decoupled ? T(0) : static_cast<T>(decay);
  body.scale = static_cast<T>(flags & AX_OPTIMIZER_MAXIMIZE ? -hyper[7] : hyper[7]);
  body.rest1 = static_cast<T>(1 - hyper[1]);
  body.beta2 = static_cast<T>(hyper[2]);
  body.rest2 = static_cast<T>(1 - hyper[2]);
  body.step_size = static_cast<T>(lr / hyper[5]);
  body.root = static_cast<T>(sqrt(hyper[6]));
  body.eps = static_cast<T>(hyper[3]);
  AX_TRY(at(parameter, po, count, dtype, &body.p));
  AX_TRY(at(exp_avg, so, count, dtype, &body.m));
  AX_TRY(at(exp_avg_sq, so, count, dtype, &body.v));
  AX_TRY(at(gradient, go, count, dtype, &body.g));
  if (flags & AX_OPTIMIZER_AMSGRAD) AX_TRY(at(max_exp_avg_sq, so, count, dtype, &body.highest));
  return forEach<1>(count, Layout<1>{nullptr, 0}, body);
}

template <class T>
struct SgdBody {
  T *p, *b;
  const T* g;
  T lr, momentum, taken, decay, scale;
  bool nesterov, first;
  AX_HD void operator()(At<1> at) const {
    const int64_t i = at.v[0];
    T slope = g[i] * scale + decay * p[i];
    if (b != nullptr) {
      const T velocity = first ? slope : momentum * b[i] + taken * slope;
      b[i] = velocity;
      slope = nesterov ? slope + momentum * velocity : velocity;
    }
    p[i] -= lr * slope;
  }
};

template <class T>
int32_t sgdStep(int32_t dtype, uint32_t parameter, double po, uint32_t buffer, double so, uint32_t gradient, double go,
                double count, const double* hyper, int32_t flags) {
  SgdBody<T> body{};
  body.lr = static_cast<T>(hyper[0]);
  body.momentum = static_cast<T>(hyper[1]);
  body.taken = static_cast<T>(1 - hyper[2]);
  body.decay = static_cast<T>(hyper[3]);
  body.scale = static_cast<T>(flags & AX_OPTIMIZER_MAXIMIZE ? -hyper[4] : hyper[4]);
  body.nesterov = (flags & AX_OPTIMIZER_NESTEROV) != 0;
  body.first = (flags & AX_OPTIMIZER_FIRST_STEP) != 0;
  AX_TRY(at(parameter, po, count, dtype, &body.p));
  AX_TRY(at(gradient, go, count, dtype, &body.g));
  if (buffer != 0) AX_TRY(at(buffer, so, count, dtype, &body.b));
  return forEach<1>(count, Layout<1>{nullptr, 0}, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_adam_step(int32_t dtype, uint32_t parameter, double parameter_offset, uint32_t exp_avg, uint32_t exp_avg_sq,
                     uint32_t max_exp_avg_sq, double state_offset, uint32_t gradient, double gradient_offset,
                     double count, const void* hyper, int32_t flags) {
  const double* numbers = static_cast<const double*>(hyper);
  if (dtype == AX_FLOAT32) return adamStep<float>(dtype, parameter, parameter_offset, exp_avg, exp_avg_sq, max_exp_avg_sq, state_offset, gradient, gradient_offset, count, numbers, flags);
  if (dtype == AX_FLOAT64) return adamStep<double>(dtype, parameter, parameter_offset, exp_avg, exp_avg_sq, max_exp_avg_sq, state_offset, gradient, gradient_offset, count, numbers, flags);
  return fail(AX_ERROR_UNSUPPORTED, "adam_step is not available for dtype %d", dtype);
}

int32_t ax_sgd_step(int32_t dtype, uint32_t parameter, double parameter_offset, uint32_t buffer, double state_offset,
                    uint32_t gradient, double gradient_offset, double count, const void* hyper, int32_t flags) {
  const double* numbers = static_cast<const double*>(hyper);
  if (dtype == AX_FLOAT32) return sgdStep<float>(dtype, parameter, parameter_offset, buffer, state_offset, gradient, gradient_offset, count, numbers, flags);
  if (dtype == AX_FLOAT64) return sgdStep<double>(dtype, parameter, parameter_offset, buffer, state_offset, gradient, gradient_offset, count, numbers, flags);
  return fail(AX_ERROR_UNSUPPORTED, "sgd_step is not available for dtype %d", dtype);
}
