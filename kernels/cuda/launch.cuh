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

// Every launch goes through here: blocks of kThreads threads in the compute stream, and CUDA's answer.
template <class... Parameters, class... Arguments>
int32_t launch(void (*kernel)(Parameters...), dim3 grid, const Arguments&... arguments) {
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));
  return checkCuda(hw::launch(kernel, grid, kThreads, 0, stream, arguments...), "launch a kernel");
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_LAUNCH_CUH_
