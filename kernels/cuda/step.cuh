// Steps of optimizers on a GPU: see common/step.h. A thread changes four neighbours, each of whose values is read and written once.
#ifndef AX_CUDA_STEP_CUH_
#define AX_CUDA_STEP_CUH_
#include "common/step.h"
#include "cuda/launch.cuh"
#include "cuda/operand.cuh"

namespace ax {
inline namespace AX_ISA {

constexpr int kStepGroup = 4;  // 16 bytes of float32

// A step may have fewer states than kStates: those without data are left out.
template <class Step>
struct StepBody {
  using T = typename Step::Number;
  using Group = T[kStepGroup];
  Step step;
  // `value` is what the step changes: the parameter, or its master, of which `rounded` gets a copy.
  Operand value, gradient, states[kMaxStates], rounded;
  int64_t count;
  bool by_neighbours;

  AX_DEVICE void run(int64_t first) const {
    Group values, slopes, kept[kMaxStates] = {};
    const bool whole = by_neighbours && first + kStepGroup <= count;
    load(value, first, whole, values);
    load(gradient, first, whole, slopes);
#pragma unroll
    for (int k = 0; k < Step::kStates; ++k) {
      if (states[k].data != nullptr) load(states[k], first, whole, kept[k]);
    }
    // The group goes round in registers: the rules are long, and there is time for it while memory is waited for.
#pragma unroll 1
    for (int turn = 0; turn < kStepGroup; ++turn) {
      T result = values[0], state[kMaxStates];
#pragma unroll
      for (int k = 0; k < kMaxStates; ++k) state[k] = kept[k][0];
      step(result, slopes[0], state);
      rotate(values, result);
      rotate(slopes, T(0));
#pragma unroll
      for (int k = 0; k < Step::kStates; ++k) rotate(kept[k], state[k]);
    }
    store(value, first, whole, values);
    if (rounded.data != nullptr) store(rounded, first, whole, values);
#pragma unroll
    for (int k = 0; k < Step::kStates; ++k) {
      if (states[k].data != nullptr) store(states[k], first, whole, kept[k]);
    }
  }

 private:
  static AX_DEVICE void rotate(Group& group, T last) {
#pragma unroll
    for (int k = 0; k + 1 < kStepGroup; ++k) group[k] = group[k + 1];
    group[kStepGroup - 1] = last;
  }
  AX_DEVICE void load(const Operand& x, int64_t first, bool whole, Group& values) const {
    if (whole) return loadNeighbours(x, first, values);
    int64_t at[kStepGroup];
#pragma unroll
    for (int k = 0; k < kStepGroup; ++k) {
      at[k] = first + k < count ? first + k : -1;
      values[k] = T(0);
    }
    loadElements(x, at, values);
  }
  AX_DEVICE void store(const Operand& to, int64_t first, bool whole, const Group& values) const {
    if (whole) return storeNeighbours(to, first, values);
    byDtypeOf<T>(to.dtype, [&](auto stored) {
      using S = typename decltype(stored)::type;
#pragma unroll
      for (int k = 0; k < kStepGroup; ++k) {
        if (first + k < count) static_cast<S*>(to.data)[first + k] = converted<S>(values[k]);
      }
    });
  }
};

template <class Step>
__global__ void AX_MAX_THREADS(kThreads) stepKernel(const __grid_constant__ StepBody<Step> body) {
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kStepGroup;
  if (first < body.count) body.run(first);
}

template <class Step>
int32_t runStep(const StepRange& range, const Step& step) {
  if (range.count == 0) return AX_OK;
  const Operand parameter{range.parameter, range.dtype};
  const bool has_master = range.master != nullptr;
  StepBody<Step> body{step, parameter, {const_cast<void*>(range.gradient), range.dtype}, {}, {nullptr, range.dtype}, range.count, true};
  if (has_master) {
    body.value = {range.master, AX_FLOAT32};
    body.rounded = parameter;
  }
  for (int k = 0; k < range.state_count; ++k) body.states[k] = {range.states[k], has_master ? AX_FLOAT32 : range.dtype};
  const auto check = [&body](const Operand& x) {
    if (reinterpret_cast<uintptr_t>(x.data) % 16 != 0) body.by_neighbours = false;
  };
  for (const Operand* x : {&body.value, &body.gradient, &body.states[0], &body.states[1], &body.states[2], &body.rounded}) check(*x);
  const int64_t of_block = kThreads * kStepGroup;
  return launch(stepKernel<Step>, static_cast<unsigned>((range.count + of_block - 1) / of_block), body);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_STEP_CUH_
