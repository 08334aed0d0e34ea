// Attention on the SIMT units: float32 and float64, and 16-bit rows that the tensor cores' kernels do not take.
#include "cuda/attention/simt_backward.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

// Blocks for the parts of `columns` columns of every tile of `rows` rows.
template <class C>
int64_t blocksFor(const AttentionShape& s, int64_t heads, int64_t rows, int64_t columns) {
  const int64_t parts = columns > SimtTile<C>::kColumns ? tilesOf(columns, SimtTile<C>::kColumns) : 1;
  return s.batch * heads * tilesOf(rows, SimtTile<C>::kRows) * parts;
}

template <class C>
int32_t forward(const AttentionProblem& x) {
  return launchAttention(simtForwardKernel<C>, blocksFor<C>(x.s, x.s.heads, x.s.q_len, x.s.v_dim), kThreads, 0, x);
}

template <class C>
int32_t delta(const AttentionProblem& x) {
  return launchAttention(simtDeltaKernel<C>, tilesOf(int64_t{x.s.batch} * x.s.heads * x.s.q_len, kThreads), kThreads, 0, x);
}

template <class C>
int32_t queryGradient(const AttentionProblem& x) {
  return launchAttention(simtQueryGradientKernel<C>, blocksFor<C>(x.s, x.s.heads, x.s.q_len, x.s.dim), kThreads, 0, x);
}

template <class C>
int32_t keyGradient(const AttentionProblem& x) {
  const int64_t widest = x.s.dim > x.s.v_dim ? x.s.dim : x.s.v_dim;
  return launchAttention(simtKeyGradientKernel<C>, blocksFor<C>(x.s, x.s.kv_heads, x.s.k_len, widest), kThreads, 0, x);
}

template <class C>
constexpr AttentionPasses kPasses = {forward<C>, delta<C>, queryGradient<C>, keyGradient<C>};

}  // namespace

AttentionPasses simtAttention(int32_t dtype) { return dtype == AX_FLOAT64 ? kPasses<double> : kPasses<float>; }

}  // namespace AX_ISA
}  // namespace ax
