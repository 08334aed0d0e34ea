// Memory that kernels use between each other.
#ifndef AX_CUDA_SCRATCH_H_
#define AX_CUDA_SCRATCH_H_
#include <stdint.h>

namespace ax {

// At least `bytes` of device memory, 256-byte aligned, for kernels that are launched on the compute stream before the next call of this
// function: what is launched after that may overwrite it.
int32_t streamScratch(uint64_t bytes, void** address);

}  // namespace ax

#endif  // AX_CUDA_SCRATCH_H_
