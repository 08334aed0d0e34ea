// Attention on the tensor cores, forward.
#include "cuda/attention/mma_forward.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

template <int kDim>
int32_t forward(const AttentionProblem& x) {
  using Sizes = MmaForward<kDim>;
  const int64_t blocks = int64_t{x.s.batch} * x.s.heads * tilesOf(x.s.q_len, Sizes::kQueries);
  return launchAttention(mmaForwardKernel<kDim>, blocks, kMmaThreads, Sizes::kTileBytes + Sizes::Extras::bytesFor(x), x);
}

}  // namespace

AttentionPass mmaForward(int dim) {
  if (dim <= 32) return forward<32>;
  if (dim <= 64) return forward<64>;
  return forward<128>;
}

}  // namespace AX_ISA
}  // namespace ax
