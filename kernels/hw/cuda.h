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

#include <type_traits>

#define AX_SHARED(type, name, ...) __shared__ type name __VA_ARGS__
#define AX_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#define AX_MAX_THREADS(...) __launch_bounds__(__VA_ARGS__)
#define AX_HW_INLINE __host__ __device__ __forceinline__

namespace hw {

// Pointers to the arguments of a kernel.
using Arguments = void* const*;

inline cudaError_t enqueueKernel(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, Arguments arguments) {
  return cudaLaunchKernel(kernel, grid, block, const_cast<void**>(arguments), shared_bytes, stream);
}

// Gives a kernel node of a graph another grid and other arguments.
inline cudaError_t setKernelNode(cudaGraphExec_t graph, cudaGraphNode_t node, const void* kernel, dim3 grid, dim3 block,
                                 size_t shared_bytes, Arguments arguments) {
  cudaKernelNodeParams parameters{};
  parameters.func = const_cast<void*>(kernel);
  parameters.gridDim = grid;
  parameters.blockDim = block;
  parameters.sharedMemBytes = static_cast<unsigned>(shared_bytes);
  parameters.kernelParams = const_cast<void**>(arguments);
  return cudaGraphExecKernelNodeSetParams(graph, node, &parameters);
}

// The node that the last call has added to the graph in which the stream is being captured.
inline cudaError_t lastCapturedNode(cudaStream_t stream, cudaGraphNode_t* node) {
  cudaStreamCaptureStatus status;
  const cudaGraphNode_t* last = nullptr;
  size_t count = 0;
  const cudaError_t error = cudaStreamGetCaptureInfo(stream, &status, nullptr, nullptr, &last, nullptr, &count);
  if (error != cudaSuccess) return error;
  if (status != cudaStreamCaptureStatusActive || count != 1) return cudaErrorStreamCaptureInvalidated;
  *node = *last;
  return cudaSuccess;
}

// What launch() calls. Who records graphs puts a function of its own here, which may give a node of a graph new arguments instead.
inline cudaError_t (*launch_function)(const void*, dim3, dim3, size_t, cudaStream_t, Arguments) = enqueueKernel;

template <class... Parameters, class... Arguments_>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   const Arguments_&... arguments) {
  return [&](std::decay_t<Parameters>... values) {
    void* pointers[sizeof...(values) + 1] = {const_cast<void*>(static_cast<const void*>(&values))...};
    return launch_function(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, stream, pointers);
  }(static_cast<Parameters>(arguments)...);
}

}  // namespace hw
#else
#include "hw/emulator/cuda.h"
#endif
#endif  // AX_HW_CUDA_H_
