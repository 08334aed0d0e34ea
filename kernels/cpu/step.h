// Steps of optimizers on the CPU: see common/step.h. The loop of a step is compiled for float and double only; blocks of 16-bit
// elements pass through buffers that stay in the first-level cache.
#ifndef AX_CPU_STEP_H_
#define AX_CPU_STEP_H_
#include "common/step.h"

namespace ax {
inline namespace AX_ISA {

// `count` elements of the type that the step computes in.
using StepKernel = void (*)(const void* step, int64_t count, void* parameter, const void* gradient, void* const* states);

int32_t runBlocks(const StepRange& range, StepKernel kernel, const void* step);

template <class Step>
void stepLoop(const void* shared, int64_t count, void* parameter, const void* gradient, void* const* states) {
  using T = typename Step::Number;
  const Step step = *static_cast<const Step*>(shared);
  T* p = static_cast<T*>(parameter);
  const T* g = static_cast<const T*>(gradient);
  T* const s0 = static_cast<T*>(states[0]);
  T* const s1 = static_cast<T*>(states[1]);
  T* const s2 = static_cast<T*>(states[2]);
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    T state[kMaxStates];
    if (Step::kStates > 0) state[0] = s0[i];
    if (Step::kStates > 1) state[1] = s1[i];
    if (Step::kStates > 2) state[2] = s2[i];
    T value = p[i];
    step(value, g[i], state);
    p[i] = value;
    if (Step::kStates > 0) s0[i] = state[0];
    if (Step::kStates > 1) s1[i] = state[1];
    if (Step::kStates > 2) s2[i] = state[2];
  }
}

template <class Step>
int32_t runStep(const StepRange& range, const Step& step) {
  return runBlocks(range, stepLoop<Step>, &step);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_STEP_H_
