// Products with few results: a thread or a warp for each, straight from global memory.
#ifndef AX_CUDA_MATMUL_SMALL_CUH_
#define AX_CUDA_MATMUL_SMALL_CUH_
#include "cuda/matmul/work.cuh"

namespace ax {
inline namespace AX_ISA {

constexpr int kSmallThreads = 128;

// `lanes` threads, 1 or 32, have a result: thread l of them sums k = l, l + lanes, ...; then halves are added.
template <class S>
__global__ void AX_MAX_THREADS(kSmallThreads) smallProductKernel(const __grid_constant__ Work<S> work, int32_t lanes) {
  using T = Compute<S>;
  const ProductShape& s = work.s;
  const unsigned thread = blockIdx.x * kSmallThreads + threadIdx.x, i = thread / static_cast<unsigned>(lanes);
  if (i >= static_cast<unsigned>(s.batch) * static_cast<unsigned>(s.m) * static_cast<unsigned>(s.n)) return;
  const unsigned col = i % static_cast<unsigned>(s.n), line = i / static_cast<unsigned>(s.n);
  const int64_t row = line % static_cast<unsigned>(s.m), batch = line / static_cast<unsigned>(s.m);
  const int64_t step_a = s.transpose_a ? s.lda : 1, step_b = s.transpose_b ? 1 : s.ldb;
  const S* const a = work.a + batch * s.batch_a + row * (s.transpose_a ? 1 : s.lda);
  const S* const b = work.b + batch * s.batch_b + int64_t{col} * (s.transpose_b ? s.ldb : 1);
  T sum = T(0);
#pragma unroll 4  // so many loads are under way
  for (int32_t k = static_cast<int32_t>(thread % static_cast<unsigned>(lanes)); k < s.k; k += lanes) sum += T(a[k * step_a]) * T(b[k * step_b]);
  for (int distance = lanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffff, sum, distance);
  if (thread % static_cast<unsigned>(lanes) == 0) work.finish.store(batch, row, static_cast<int32_t>(col), sum);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_SMALL_CUH_
