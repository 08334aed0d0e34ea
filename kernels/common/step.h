// Steps of optimizers over flat ranges, in the backend that is being compiled. A step has `kStates` and a type `Number` that it computes
// in, and step(parameter, gradient, states) changes one element: Number& parameter, Number gradient, Number* states.
//
// - runStep(range, step): for all elements. Those of 16-bit dtypes are widened and rounded.
#ifndef AX_COMMON_STEP_H_
#define AX_COMMON_STEP_H_
#include <stdint.h>

namespace ax {
inline namespace AX_ISA {

constexpr int kMaxStates = 3;

// Contiguous elements, all of one floating dtype; no two of the ranges overlap.
struct StepRange {
  int32_t dtype, state_count;
  int64_t count;
  void* parameter;
  const void* gradient;
  void* states[kMaxStates];
};

}  // namespace AX_ISA
}  // namespace ax

#ifdef AX_CUDA
#include "cuda/step.cuh"
#else
#include "cpu/step.h"
#endif
#endif  // AX_COMMON_STEP_H_
