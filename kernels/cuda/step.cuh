// Steps of optimizers on a GPU: see common/step.h.
#ifndef AX_CUDA_STEP_CUH_
#define AX_CUDA_STEP_CUH_
#include "common/step.h"
#include "cuda/backend.cuh"
#include "cuda/operand.cuh"

namespace ax {
inline namespace AX_ISA {

// A step may have fewer states than kStates: those without data are left out.
template <class Step>
struct StepBody {
  using T = typename Step::Number;
  Step step;
  Operand parameter, gradient, states[kMaxStates];
  __device__ void operator()(At<1> at) const {
    const int64_t i = at.v[0];
    T value = loadFloating<T>(parameter, i), state[kMaxStates] = {};
#pragma unroll
    for (int k = 0; k < Step::kStates; ++k) {
      if (states[k].data != nullptr) state[k] = loadFloating<T>(states[k], i);
    }
    step(value, loadFloating<T>(gradient, i), state);
    storeFloating<T>(parameter, i, value);
#pragma unroll
    for (int k = 0; k < Step::kStates; ++k) {
      if (states[k].data != nullptr) storeFloating<T>(states[k], i, state[k]);
    }
  }
};

template <class Step>
int32_t runStep(const StepRange& range, const Step& step) {
  StepBody<Step> body{step, {range.parameter, range.dtype}, {const_cast<void*>(range.gradient), range.dtype}, {}};
  for (int k = 0; k < range.state_count; ++k) body.states[k] = {range.states[k], range.dtype};
  return forEach<1>(static_cast<double>(range.count), Layout<1>{nullptr, 0}, body);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_STEP_CUH_
