// Optimizer steps over flat ranges, with the formulas of torch.optim's single-tensor path.
#include <math.h>

#include "cpu/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
int32_t adamStep(int32_t dtype, uint32_t parameter, double po, uint32_t exp_avg, uint32_t exp_avg_sq, uint32_t max_exp_avg_sq,
                 double so, uint32_t gradient, double go, double count, const double* hyper, int32_t flags) {
  T *p, *m, *v, *highest = nullptr, *g;
  AX_TRY(resolve(parameter, po, count, dtype, reinterpret_cast<void**>(&p)));
  AX_TRY(resolve(exp_avg, so, count, dtype, reinterpret_cast<void**>(&m)));
  AX_TRY(resolve(exp_avg_sq, so, count, dtype, reinterpret_cast<void**>(&v)));
  AX_TRY(resolve(gradient, go, count, dtype, reinterpret_cast<void**>(&g)));
  if (flags & AX_OPTIMIZER_AMSGRAD) AX_TRY(resolve(max_exp_avg_sq, so, count, dtype, reinterpret_cast<void**>(&highest)));
  const T lr = static_cast<T>(hyper[0]), beta2 = static_cast<T>(hyper[2]), eps = static_cast<T>(hyper[3]);
  const T decay = static_cast<T>(hyper[4]), step_size = static_cast<T>(hyper[0] / hyper[5]);
  const T root = static_cast<T>(sqrt(hyper[6]));
  const T rest1 = static_cast<T>(1 - hyper[1]), rest2 = static_cast<T>(1 - hyper[2]);
  const T scale = static_cast<T>(flags & AX_OPTIMIZER_MAXIMIZE ? -hyper[7] : hyper[7]);
  const bool decoupled = flags & AX_OPTIMIZER_DECOUPLED_DECAY;
  const T keep = decoupled ? T(1) - lr * decay : T(1), coupled = decoupled ? T(0) : decay;
  const int64_t n = static_cast<int64_t>(count);
  for (int64_t i = 0; i < n; ++i) {
    const T value = p[i] * keep, slope = g[i] * scale + coupled * p[i];
    m[i] += rest1 * (slope - m[i]);
    v[i] = beta2 * v[i] + rest2 * slope * slope;
    T second = v[i];
    if (highest != nullptr) second = highest[i] = highest[i] > v[i] ? highest[i] : v[i];
    p[i] = value - step_size * m[i] / (sqrt(second) / root + eps);
  }
  return AX_OK;
}

template <class T>
int32_t sgdStep(int32_t dtype, uint32_t parameter, double po, uint32_t buffer, double so, uint32_t gradient, double go,
                double count, const double* hyper, int32_t flags) {
  T *p, *g, *b = nullptr;
  AX_TRY(resolve(parameter, po, count, dtype, reinterpret_cast<void**>(&p)));
  AX_TRY(resolve(gradient, go, count, dtype, reinterpret_cast<void**>(&g)));
  if (buffer != 0) AX_TRY(resolve(buffer, so, count, dtype, reinterpret_cast<void**>(&b)));
  const T lr = static_cast<T>(hyper[0]), momentum = static_cast<T>(hyper[1]), taken = static_cast<T>(1 - hyper[2]);
  const T decay = static_cast<T>(hyper[3]), scale = static_cast<T>(flags & AX_OPTIMIZER_MAXIMIZE ? -hyper[4] : hyper[4]);
  const bool nesterov = flags & AX_OPTIMIZER_NESTEROV, first = flags & AX_OPTIMIZER_FIRST_STEP;
  const int64_t n = static_cast<int64_t>(count);
  for (int64_t i = 0; i < n; ++i) {
    T slope = g[i] * scale + decay * p[i];
    if (b != nullptr) {
      b[i] = first ? slope : momentum * b[i] + taken * slope;
      slope = nesterov ? slope + momentum * b[i] : b[i];
    }
    p[i] -= lr * slope;
  }
  return AX_OK;
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
