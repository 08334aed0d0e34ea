// Workspace of kernels: memory for partial results, such as the sums of a split-K product.
#ifndef AX_CUDA_SCRATCH_H_
#define AX_CUDA_SCRATCH_H_
#include <stddef.h>
#include <stdint.h>

namespace ax {

// At least `bytes` of device memory, 256-byte aligned and not initialised, for what this thread enqueues in the compute stream of its
// current device until it calls scratch() again: a call that needs several areas asks once for all of them. Call it after the operands were
// resolved, which makes their device the current one. It does not wait for the GPU and costs a few nanoseconds, except when it must grow. A
// recorded step gets memory that stays with its graph.
int32_t scratch(size_t bytes, void** address);

}  // namespace ax

#endif  // AX_CUDA_SCRATCH_H_
