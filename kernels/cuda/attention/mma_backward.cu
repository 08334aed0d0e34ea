// Attention on the tensor cores, backward.
#include "cuda/attention/mma_backward.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

AX_DEVICE float widen(uint16_t bits, bool is_bfloat16) {
  if (is_bfloat16) return __uint_as_float(static_cast<uint32_t>(bits) << 16);
  Float16 value;
  memcpy(&value, &bits, sizeof value);
  return static_cast<float>(value);
}

// rowsum(dO * O), kDeltaLanes threads for a row: 16 bytes of each operand at a time, in order of memory.
constexpr int kDeltaLanes = 8;

__global__ void AX_MAX_THREADS(kThreads) mmaDeltaKernel(AttentionProblem x) {
  const AttentionShape& s = x.s;
  const int64_t rows = int64_t{s.batch} * s.heads * s.q_len, index = (blockIdx.x * int64_t{kThreads} + threadIdx.x) / kDeltaLanes;
  const int64_t row = index < rows ? index : rows - 1;  // all lanes take part in the sum
  const int query = static_cast<int>(row % s.q_len);
  const int head = static_cast<int>(row / s.q_len % s.heads), batch = static_cast<int>(row / s.q_len / s.heads);
  const int64_t grad_at = x.offset(s.grad_out, batch, head) + int64_t{query} * s.grad_out.row;
  const int64_t out_at = x.offset(s.out, batch, head) + int64_t{query} * s.out.row;
  const bool is_bfloat16 = x.dtype == AX_BFLOAT16;
  float sum = 0.0f;
  for (int d = static_cast<int>(threadIdx.x) % kDeltaLanes * 8; d < s.v_dim; d += kDeltaLanes * 8) {
    Vector16<uint16_t> grad{}, out{};
    if (d + 8 <= s.v_dim) {
      grad = *reinterpret_cast<const Vector16<uint16_t>*>(static_cast<const uint16_t*>(x.a.grad_out) + grad_at + d);
      out = *reinterpret_cast<const Vector16<uint16_t>*>(static_cast<const uint16_t*>(x.a.out) + out_at + d);
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if (d + i >= s.v_dim) break;
        grad.v[i] = static_cast<const uint16_t*>(x.a.grad_out)[grad_at + d + i];
        out.v[i] = static_cast<const uint16_t*>(x.a.out)[out_at + d + i];
      }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += widen(grad.v[i], is_bfloat16) * widen(out.v[i], is_bfloat16);
  }
#pragma unroll
  for (int distance = kDeltaLanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(kWholeWarp, sum, distance);
  if (index < rows && static_cast<int>(threadIdx.x) % kDeltaLanes == 0) static_cast<float*>(x.delta)[row] = sum;
}

template <int kDim>
int32_t queryGradient(const AttentionProblem& x) {
  using Sizes = MmaQueryGradient<kDim>;
  const int64_t blocks = int64_t{x.s.batch} * x.s.heads * tilesOf(x.s.q_len, Sizes::kQueries);
  return launchAttention(mmaQueryGradientKernel<kDim>, blocks, kMmaThreads, Sizes::kTileBytes + Sizes::Extras::bytesFor(x), x);
}

template <int kDim>
int32_t keyGradient(const AttentionProblem& x) {
  using Sizes = MmaKeyGradient<kDim>;
  const int64_t blocks = int64_t{x.s.batch} * x.s.kv_heads * tilesOf(x.s.k_len, Sizes::kKeys);
  return launchAttention(mmaKeyGradientKernel<kDim>, blocks, kMmaThreads, Sizes::kTileBytes + Sizes::Extras::bytesFor(x), x);
}

int32_t delta(const AttentionProblem& x) {
  const int64_t rows = int64_t{x.s.batch} * x.s.heads * x.s.q_len;
  return launchAttention(mmaDeltaKernel, tilesOf(rows * kDeltaLanes, kThreads), kThreads, 0, x);
}

template <int kDim>
AttentionPasses passes(int dim) {
  return {mmaForward(dim), delta, queryGradient<kDim>, keyGradient<kDim>};
}

}  // namespace

AttentionPasses mmaAttention(int dim) {
  if (dim <= 32) return passes<32>(dim);
  if (dim <= 64) return passes<64>(dim);
  return passes<128>(dim);  // a kernel for 96 would take a fiftieth of the library
}

}  // namespace AX_ISA
}  // namespace ax
