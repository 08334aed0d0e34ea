// Optimizer steps over flat ranges, with the formulas of torch.optim's single-tensor path. A rule is the step of one element: it
// gets the parameter after decoupled decay, the gradient with coupled decay and the element's states, and returns the parameter.
#include <math.h>

#include "common/hd.h"
#include "common/layout.h"
#include "common/live.h"
#include "common/step.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
struct Sgd {
  static constexpr int kStates = 0;
  T lr;
  AX_HD T operator()(T p, T slope, T*) const { return p - lr * slope; }
};

template <class T>
struct SgdMomentum {
  static constexpr int kStates = 1;
  T lr, momentum, kept, taken;
  bool nesterov;
  AX_HD T operator()(T p, T slope, T* state) const {
    state[0] = kept * state[0] + taken * slope;
    return p - lr * (nesterov ? slope + momentum * state[0] : state[0]);
  }
};

template <class T, bool kAmsgrad>
struct Adam {
  static constexpr int kStates = kAmsgrad ? 3 : 2;
  T rest1, beta2, rest2, step_size, root, eps;
  AX_HD T operator()(T p, T slope, T* state) const {
    state[0] += rest1 * (slope - state[0]);
    state[1] = beta2 * state[1] + rest2 * slope * slope;
    if (kAmsgrad) state[kStates - 1] = state[kStates - 1] > state[1] ? state[kStates - 1] : state[1];
    return p - step_size * state[0] / (sqrt(state[kStates - 1]) / root + eps);
  }
};

template <class T>
struct Lion {
  static constexpr int kStates = 1;
  T lr, beta1, rest1, beta2, rest2;
  AX_HD T operator()(T p, T slope, T* state) const {
    const T direction = beta1 * state[0] + rest1 * slope;
    state[0] = beta2 * state[0] + rest2 * slope;
    return p - lr * (T(direction > 0) - T(direction < 0));
  }
};

// States: square_avg, then grad_avg and momentum_buffer where they are used.
template <class T, bool kCentered, bool kMomentum>
struct RmsProp {
  static constexpr int kStates = 1 + kCentered + kMomentum;
  T lr, alpha, rest, eps, momentum;
  AX_HD T operator()(T p, T slope, T* state) const {
    state[0] = alpha * state[0] + rest * slope * slope;
    T square = state[0];
    if (kCentered) {
      T& mean = state[kStates - 1 - kMomentum];
      mean += rest * (slope - mean);
      square -= mean * mean;
    }
    T change = slope / (sqrt(square) + eps);
    if (kMomentum) change = state[kStates - 1] = momentum * state[kStates - 1] + change;
    return p - lr * change;
  }
};

template <class T>
struct Adagrad {
  static constexpr int kStates = 1;
  T lr, eps;
  AX_HD T operator()(T p, T slope, T* state) const {
    state[0] += slope * slope;
    return p - lr * slope / (sqrt(state[0]) + eps);
  }
};

template <class T>
struct NAdam {
  static constexpr int kStates = 2;
  T rest1, beta2, rest2, correction, eps, of_gradient, of_average;
  AX_HD T operator()(T p, T slope, T* state) const {
    state[0] += rest1 * (slope - state[0]);
    state[1] = beta2 * state[1] + rest2 * slope * slope;
    const T denominator = sqrt(state[1] / correction) + eps;
    return p - of_gradient * slope / denominator - of_average * state[0] / denominator;
  }
};

#ifdef AX_CUDA
// One kernel runs all rules of a type: the branch is the same for all threads, the time goes into memory, and a kernel for each rule
// would take ten times the space.
#define AX_RULES(CASE)                          \
  CASE(sgd, Sgd<T>)                             \
  CASE(sgd_momentum, SgdMomentum<T>)            \
  CASE(adam, Adam<T AX_COMMA false>)            \
  CASE(amsgrad, Adam<T AX_COMMA true>)          \
  CASE(lion, Lion<T>)                           \
  CASE(rms_prop, RmsProp<T AX_COMMA false AX_COMMA false>)          \
  CASE(rms_prop_momentum, RmsProp<T AX_COMMA false AX_COMMA true>)  \
  CASE(rms_prop_centered, RmsProp<T AX_COMMA true AX_COMMA false>)  \
  CASE(rms_prop_both, RmsProp<T AX_COMMA true AX_COMMA true>)       \
  CASE(adagrad, Adagrad<T>)                     \
  CASE(nadam, NAdam<T>)
#define AX_COMMA ,

template <class T>
struct AnyRule {
  static constexpr int kStates = kMaxStates;
#define AX_CASE(name, Rule) k_##name,
  enum Id { AX_RULES(AX_CASE) } id;
#undef AX_CASE
  union {
#define AX_CASE(name, Rule) Rule name;
    AX_RULES(AX_CASE)
#undef AX_CASE
  };
#define AX_CASE(name, Rule) AnyRule(const Rule& rule) : id(k_##name), name(rule) {}
  AX_RULES(AX_CASE)
#undef AX_CASE
  __device__ T operator()(T p, T slope, T* state) const {
    switch (id) {
#define AX_CASE(name, Rule) case k_##name: return name(p, slope, state);
      AX_RULES(AX_CASE)
#undef AX_CASE
    }
    return p;
  }
};
template <class T, class Rule> using CompiledRule = AnyRule<T>;
#else
template <class T, class Rule> using CompiledRule = Rule;
#endif

// A rule with the decay and the sign of the gradient, which all rules share.
template <class T, class Rule>
struct Step {
  using Number = T;
  static constexpr int kStates = Rule::kStates;
  Rule rule;
  T keep, coupled, scale;
  AX_HD void operator()(T& p, T gradient, T* state) const { p = rule(p * keep, gradient * scale + coupled * p, state); }
};

// The arguments of ax_optimizer_step.
struct Call {
  int32_t optimizer, dtype;
  uint32_t parameter, gradient, states[kMaxStates];
  double parameter_offset, state_offset, gradient_offset, count;
  const double* hyper;
  int32_t flags;
};

template <class T>
int32_t resolveRange(uint32_t id, double offset, const Call& call, T** address) {
  return at(id, offset, call.count, call.dtype, address);
}

template <class T, class Rule>
int32_t run(const Call& call, const Rule& rule) {
  const double lr = call.hyper[0], decay = call.hyper[1];
  const bool decoupled = (call.flags & AX_STEP_DECOUPLED_DECAY) != 0;
  const Step<T, CompiledRule<T, Rule>> step{rule, decoupled ? static_cast<T>(1 - lr * decay) : T(1), decoupled ? T(0) : static_cast<T>(decay),
                           static_cast<T>(call.hyper[2])};
  StepRange range{call.dtype, 0, static_cast<int64_t>(call.count), nullptr, nullptr, {}};
  AX_TRY(resolveRange(call.parameter, call.parameter_offset, call, &range.parameter));
  AX_TRY(resolveRange(call.gradient, call.gradient_offset, call, &range.gradient));
  for (uint32_t id : call.states) {
    if (id == 0) continue;
    if (range.state_count == Rule::kStates) return fail(AX_ERROR_ARGUMENT, "optimizer %d takes %d states", call.optimizer, Rule::kStates);
    AX_TRY(resolveRange(id, call.state_offset, call, &range.states[range.state_count++]));
  }
  if (range.state_count < Rule::kStates) return fail(AX_ERROR_ARGUMENT, "optimizer %d needs %d states", call.optimizer, Rule::kStates);
  return runStep(range, step);
}

template <class T>
int32_t runRmsProp(const Call& call) {
  const double* h = call.hyper;
  const T lr = static_cast<T>(h[0]), alpha = static_cast<T>(h[3]), rest = static_cast<T>(1 - h[3]), eps = static_cast<T>(h[4]),
          momentum = static_cast<T>(h[5]);
  const bool centered = call.states[1] != 0;
  if (call.states[2] != 0) {
    return centered ? run<T>(call, RmsProp<T, true, true>{lr, alpha, rest, eps, momentum})
                    : run<T>(call, RmsProp<T, false, true>{lr, alpha, rest, eps, momentum});
  }
  return centered ? run<T>(call, RmsProp<T, true, false>{lr, alpha, rest, eps, momentum})
                  : run<T>(call, RmsProp<T, false, false>{lr, alpha, rest, eps, momentum});
}

template <class T>
int32_t runAs(const Call& call) {
  const double* h = call.hyper;
  const T lr = static_cast<T>(h[0]);
  switch (call.optimizer) {
    case AX_OPTIMIZER_SGD: {
      if (call.states[0] == 0) return run<T>(call, Sgd<T>{lr});
      const bool first = (call.flags & AX_STEP_FIRST) != 0;
      return run<T>(call, SgdMomentum<T>{lr, static_cast<T>(h[3]), static_cast<T>(first ? 0 : h[3]), static_cast<T>(first ? 1 : 1 - h[4]),
                                         (call.flags & AX_STEP_NESTEROV) != 0});
    }
    case AX_OPTIMIZER_ADAM: {
      const T rest1 = static_cast<T>(1 - h[3]), beta2 = static_cast<T>(h[4]), rest2 = static_cast<T>(1 - h[4]),
              step_size = static_cast<T>(h[0] / h[6]), root = static_cast<T>(sqrt(h[7])), eps = static_cast<T>(h[5]);
      return call.states[2] == 0 ? run<T>(call, Adam<T, false>{rest1, beta2, rest2, step_size, root, eps})
                                 : run<T>(call, Adam<T, true>{rest1, beta2, rest2, step_size, root, eps});
    }
    case AX_OPTIMIZER_LION:
      return run<T>(call, Lion<T>{lr, static_cast<T>(h[3]), static_cast<T>(1 - h[3]), static_cast<T>(h[4]), static_cast<T>(1 - h[4])});
    case AX_OPTIMIZER_RMSPROP: return runRmsProp<T>(call);
    case AX_OPTIMIZER_ADAGRAD: return run<T>(call, Adagrad<T>{lr, static_cast<T>(h[3])});
    case AX_OPTIMIZER_NADAM:
      return run<T>(call, NAdam<T>{static_cast<T>(1 - h[3]), static_cast<T>(h[4]), static_cast<T>(1 - h[4]), static_cast<T>(h[6]),
                                   static_cast<T>(h[5]), static_cast<T>(h[7]), static_cast<T>(h[8])});
  }
  return fail(AX_ERROR_UNSUPPORTED, "there is no optimizer %d", call.optimizer);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_optimizer_step(int32_t optimizer, int32_t dtype, uint32_t parameter, double parameter_offset, uint32_t state0,
                          uint32_t state1, uint32_t state2, double state_offset, uint32_t gradient, double gradient_offset,
                          double count, const void* hyper, int32_t flags) {
  return withNumbers(static_cast<const double*>(hyper), AX_OPTIMIZER_NUMBERS, [=](const double* numbers) {
    const Call call{optimizer, dtype, parameter, gradient, {state0, state1, state2}, parameter_offset, state_offset, gradient_offset, count,
                    numbers, flags};
    switch (dtype) {
      case AX_FLOAT32:
      case AX_BFLOAT16:
      case AX_FLOAT16: return runAs<float>(call);
      case AX_FLOAT64: return runAs<double>(call);
    }
    return fail(AX_ERROR_UNSUPPORTED, "optimizer_step is not available for dtype %d", dtype);
  });
}
