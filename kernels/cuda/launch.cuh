// Sizes of a grid, and the launch of a kernel.
#ifndef AX_CUDA_LAUNCH_CUH_
#define AX_CUDA_LAUNCH_CUH_
#include <stdint.h>

#include "common/status.h"
#include "cuda/runtime.h"

namespace ax {
inline namespace AX_ISA {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 1 << 16;  // more elements are reached by striding over the grid

inline int gridFor(int64_t count) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

// Every launch goes through here: the stream, and CUDA's answer.
template <class Launch>
int32_t launch(const Launch& start) {
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));
  start(stream);
  return checkCuda(cudaGetLastError(), "launch a kernel");
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_LAUNCH_CUH_
