// CUDA as the sources of the CUDA library see it: nvcc's own, or under g++ the emulated one of hw/emulator, which runs kernels on the CPU.
//
// Sources use the language's own words (threadIdx, __syncthreads, __shfl_xor_sync, atomicAdd) and the runtime's functions (cudaMalloc).
// What both compilers cannot read alike has a form here:
//
// - AX_SHARED(type, name, [n][m]): a variable in shared memory; the dimensions may be left out.
// - AX_DYNAMIC_SHARED(name): the shared memory whose size the launch chooses, as bytes aligned to 1,024.
// - AX_MAX_THREADS(threads, blocks): __launch_bounds__.
// - AX_HW_INLINE: a function for host and device.
// - hw::launch(kernel, grid, block, shared_bytes, stream, arguments...): what <<<>>> does; returns its error.
//
// Instructions without a word in the language are functions of namespace hw, one header for each group in this folder, the only place
// that holds PTX.
#ifndef AX_HW_CUDA_H_
#define AX_HW_CUDA_H_
#ifdef __CUDACC__
#include <cuda_runtime.h>

#define AX_SHARED(type, name, ...) __shared__ type name __VA_ARGS__
#define AX_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#define AX_MAX_THREADS(...) __launch_bounds__(__VA_ARGS__)
#define AX_HW_INLINE __host__ __device__ __forceinline__

namespace hw {

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   const Arguments&... arguments) {
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
  return cudaGetLastError();
}

}  // namespace hw
#else
#include "hw/emulator/cuda.h"
#endif
#endif  // AX_HW_CUDA_H_
