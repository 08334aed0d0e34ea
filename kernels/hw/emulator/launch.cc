// The launch of programs that consist of kernels alone and record no steps; the library has one of its own (cuda/recording.cu).
#include "hw/cuda.h"

__attribute__((weak)) cudaError_t hw::launchKernel(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                                                   const Arguments& arguments) {
  return enqueueKernel(kernel, grid, block, shared_bytes, stream, arguments);
}
