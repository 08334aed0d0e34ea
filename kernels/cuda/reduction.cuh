// Reductions on a GPU, a block for each output: see common/reduction.h.
#ifndef AX_CUDA_REDUCTION_CUH_
#define AX_CUDA_REDUCTION_CUH_
#include "cuda/backend.cuh"
#include "cuda/operand.cuh"

namespace ax {
inline namespace AX_ISA {

inline int gridForRows(int64_t rows) { return static_cast<int>(rows < kMaxBlocks ? rows : kMaxBlocks); }

template <class F, class C>
__global__ void AX_MAX_THREADS(kThreads) reduceKernel(Operand out, Operand x, Walk walk, double scale, double beta) {
  const int64_t kept = walk.keptCount(), total = walk.reducedCount();
  for (int64_t k = blockIdx.x; k < kept; k += gridDim.x) {
    const int64_t base = walk.keptPosition(k);
    C value = F::template identity<C>();
    for (int64_t i = threadIdx.x; i < total; i += kThreads) {
      value = F::template combine<C>(value, F::template map<C>(loadElement<C>(x, base + walk.reducedPosition(i))));
    }
    value = combineBlock(value, [](C a, C b) { return F::template combine<C>(a, b); });
    if (threadIdx.x != 0) continue;
    if (scale != 1) value = static_cast<C>(value * static_cast<C>(scale));
    if (beta != 0) value = static_cast<C>(value + static_cast<C>(beta) * loadElement<C>(out, k));
    storeElement<C>(out, k, value);
  }
}

template <class F, class C>
int32_t reduceElements(const Operand& out, const Operand& x, const Walk& walk, double scale, double beta) {
  const int64_t kept = walk.keptCount();
  if (kept == 0) return AX_OK;
  return launch(reduceKernel<F, C>, gridForRows(kept), out, x, walk, scale, beta);
}

template <class C>
struct Best {
  C value;
  int64_t index;
};

// The first NaN wins, then the extreme value, then the smaller index.
template <class C>
__device__ Best<C> better(const Best<C>& a, const Best<C>& b, bool maximum) {
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return a_nan ? a : b;
  if (a_nan || a.value == b.value) return a.index < b.index ? a : b;
  return (maximum ? a.value > b.value : a.value < b.value) ? a : b;
}

template <class C>
__global__ void AX_MAX_THREADS(kThreads) argReduceKernel(int64_t* out, Operand x, Walk walk, bool maximum) {
  const int64_t kept = walk.keptCount(), total = walk.reducedCount();
  for (int64_t k = blockIdx.x; k < kept; k += gridDim.x) {
    const int64_t base = walk.keptPosition(k);
    const int64_t first = static_cast<int64_t>(threadIdx.x) < total ? threadIdx.x : 0;
    Best<C> best{loadElement<C>(x, base + walk.reducedPosition(first)), first};
    for (int64_t i = first + kThreads; i < total; i += kThreads) {
      best = better(best, Best<C>{loadElement<C>(x, base + walk.reducedPosition(i)), i}, maximum);
    }
    best = combineBlock(best, [=](const Best<C>& a, const Best<C>& b) { return better(a, b, maximum); });
    if (threadIdx.x == 0) out[k] = best.index;
  }
}

template <class C>
int32_t argReduceElements(int64_t* out, const Operand& x, const Walk& walk, bool maximum) {
  const int64_t kept = walk.keptCount();
  if (kept == 0) return AX_OK;
  return launch(argReduceKernel<C>, gridForRows(kept), out, x, walk, maximum);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_REDUCTION_CUH_
