// Carries a plan out: kernels for few results, kernels over tiles, and the sum of the parts where k is split.
#ifndef AX_CUDA_MATMUL_RUN_CUH_
#define AX_CUDA_MATMUL_RUN_CUH_
#include <type_traits>

#include "cuda/matmul/cublaslt.h"
#include "cuda/matmul/launch.cuh"
#include "cuda/matmul/small.cuh"
#include "cuda/matmul/work.cuh"
#include "cuda/scratch.h"

namespace ax {
inline namespace AX_ISA {

// Adds the parts of every sum in order.
template <class S>
__global__ void AX_MAX_THREADS(kThreads) addPartsKernel(const __grid_constant__ Work<S> work) {
  const ProductShape& s = work.s;
  const unsigned m = static_cast<unsigned>(s.m), n = static_cast<unsigned>(s.n), count = static_cast<unsigned>(s.batch) * m * n;
  for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < count; i += kThreads * gridDim.x) {
    typename Work<S>::T sum = work.partials[i];
    for (int32_t split = 1; split < work.splits; ++split) sum += work.partials[int64_t{split} * count + i];
    const unsigned line = i / n;
    work.finish.store(line / m, line % m, static_cast<int32_t>(i % n), sum);
  }
}

template <class S>
constexpr int32_t dtypeOf() {
  if (std::is_same_v<S, double>) return AX_FLOAT64;
  if (std::is_same_v<S, BFloat16>) return AX_BFLOAT16;
  return std::is_same_v<S, Float16> ? AX_FLOAT16 : AX_FLOAT32;
}

template <auto kKernel, int32_t kTileM, int32_t kTileN, class S>
int32_t launchTiles(Work<S>& work, int threads, size_t shared_bytes) {
  work.tiles_m = static_cast<int32_t>(divideUp(work.s.m, kTileM));
  work.tiles_n = static_cast<int32_t>(divideUp(work.s.n, kTileN));
  return launchBlocks<kKernel>(work.blocks(), threads, shared_bytes, work);
}

// A product by cuBLASLt. A plain one goes straight to `out`; for an epilogue the sums take the way of a product whose k has one part.
template <class S>
int32_t multiplyByCublasLt(const ProductShape& s, const ProductOperands<S>& p, const Finish<S>& finish) {
  using T = Compute<S>;
  constexpr int32_t kDtype = dtypeOf<S>(), kSumDtype = dtypeOf<T>();
  CublasLtProduct product = {s, p.a, p.b, p.out, kDtype, kDtype, finish.alpha, finish.beta};
  if (finish.epilogue == AX_EPILOGUE_NONE) return enqueueByCublasLt(&product);
  const int64_t outputs = int64_t{s.batch} * s.m * s.n;
  if (outputs > kMaxCounted) return fail(AX_ERROR_UNSUPPORTED, "an epilogue after cuBLASLt is limited to 2^26 results");
  product.s.ldc = s.n;
  product.s.batch_out = s.m * s.n;
  product.out = nullptr;
  product.out_dtype = kSumDtype;
  product.alpha = 1;
  AX_TRY(enqueueByCublasLt(&product, static_cast<size_t>(outputs) * sizeof(T)));
  const Work<S> work = {s, p.a, p.b, finish, static_cast<T*>(product.out), 1, 1, 1, s.k};
  return launchBlocks<addPartsKernel<S>>(gridFor(outputs), kThreads, 0, work);
}

// `launch_tiles` launches the kernel for the plan's tile.
template <class S, class LaunchTiles>
int32_t runPlan(const ProductShape& s, const ProductOperands<S>& p, const Finish<S>& finish, const Plan& plan, const LaunchTiles& launch_tiles) {
  using T = Compute<S>;
  bool by_cublaslt = false;
  AX_TRY(chooseLibrary(&by_cublaslt));
  if (by_cublaslt && s.k > 0) return multiplyByCublasLt(s, p, finish);
  Work<S> work = {s, p.a, p.b, finish, nullptr, 1, 1, plan.splits, plan.split_depth};
  const int64_t outputs = int64_t{s.batch} * s.m * s.n;
  if (plan.method != Method::kTiles) {
    const int32_t lanes = plan.method == Method::kWarp ? 32 : 1;
    return launchBlocks<smallProductKernel<S>>(divideUp(outputs * lanes, kSmallThreads), kSmallThreads, 0, work, lanes);
  }
  if (plan.splits == 1) return launch_tiles(work);
  void* workspace;
  AX_TRY(scratch(static_cast<size_t>(outputs) * static_cast<size_t>(plan.splits) * sizeof(T), &workspace));
  work.partials = static_cast<T*>(workspace);
  AX_TRY(launch_tiles(work));
  return launchBlocks<addPartsKernel<S>>(gridFor(outputs), kThreads, 0, work);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_RUN_CUH_
