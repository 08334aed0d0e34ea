// Launches of kernels whose blocks have their own size and more shared memory than a GPU gives unasked.
#ifndef AX_CUDA_MATMUL_LAUNCH_CUH_
#define AX_CUDA_MATMUL_LAUNCH_CUH_
#include <atomic>

#include "cuda/launch.cuh"
#include "cuda/matmul/work.cuh"

namespace ax {
inline namespace AX_ISA {

constexpr int kMaxGpus = 64;
constexpr size_t kSharedUnasked = 48 << 10;

// Lets a kernel have its shared memory, once on each GPU.
template <auto kKernel>
int32_t allowShared(size_t bytes) {
  static std::atomic<uint64_t> allowed{0};
  int device = 0;
  AX_TRY(checkCuda(cudaGetDevice(&device), "ask for the device"));
  const uint64_t bit = uint64_t{1} << device % kMaxGpus;
  if ((allowed.load(std::memory_order_relaxed) & bit) != 0) return AX_OK;
  AX_TRY(checkCuda(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), "reserve shared memory"));
  allowed.fetch_or(bit, std::memory_order_relaxed);
  return AX_OK;
}

template <auto kKernel, class... Arguments>
int32_t launchBlocks(int64_t blocks, int threads, size_t shared_bytes, const Arguments&... arguments) {
  if (blocks > INT32_MAX) return fail(AX_ERROR_UNSUPPORTED, "a product of %lld tiles is larger than the grid", static_cast<long long>(blocks));
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));
  if (shared_bytes > kSharedUnasked) AX_TRY(allowShared<kKernel>(shared_bytes));
  return checkCuda(hw::launch(kKernel, static_cast<unsigned>(blocks), threads, shared_bytes, stream, arguments...), "launch a product");
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_LAUNCH_CUH_
