// Attention on the GPU: which kernels compute a call, and the memory that its backward pass needs. cuda/attention/problem.cuh says how.
#include "cuda/attention/problem.cuh"
#include "cuda/workspace.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// Whether 16-byte copies can read (and stores write) the rows of an operand.
bool isAligned(const void* data, const RowStrides& strides) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && strides.batch % 8 == 0 && strides.head % 8 == 0 && strides.row % 8 == 0;
}

// Whether the kernels for the tensor cores take a call. They look for the largest score before it is scaled, so the scale must be positive.
bool fitsTensorCores(const AttentionProblem& x, bool is_backward) {
  const AttentionShape& s = x.s;
  const AttentionOperands& a = x.a;
  const int widest = s.dim > s.v_dim ? s.dim : s.v_dim;
  if (x.dtype != AX_BFLOAT16 && x.dtype != AX_FLOAT16) return false;
  if (s.dim == 0 || s.v_dim == 0 || widest > 128 || !(x.scale > 0 && x.scale < INFINITY)) return false;
  if (!isAligned(a.q, s.q) || !isAligned(a.k, s.k) || !isAligned(a.v, s.v) || !isAligned(a.out, s.out)) return false;
  return !is_backward || (isAligned(a.grad_out, s.grad_out) && isAligned(a.grad_q, s.grad_q) && isAligned(a.grad_k, s.grad_k) &&
                          isAligned(a.grad_v, s.grad_v));
}

int32_t run(int32_t dtype, const void* operands, const void* shape, const void* scalars, bool is_backward) {
  const AttentionShape& s = *static_cast<const AttentionShape*>(shape);
  const AttentionScalars& numbers = *static_cast<const AttentionScalars*>(scalars);
  AX_TRY(checkAttention(dtype, s, numbers));
  const int group = s.kv_heads == 0 ? 1 : static_cast<int>(s.groupSize());
  AttentionProblem x{s, {}, AttentionDropout(s, numbers), numbers.scale, dtype, group, nullptr};
  AX_TRY(resolveAttention(dtype, static_cast<const double*>(operands), s, is_backward, &x.a));
  AttentionPasses passes = simtAttention(dtype);
  if (fitsTensorCores(x, is_backward)) passes = mmaAttention(s.dim > s.v_dim ? s.dim : s.v_dim);
  if (!is_backward) return passes.forward(x);
  Workspace workspace;
  const uint64_t queries = static_cast<uint64_t>(int64_t{s.batch} * s.heads * s.q_len);
  AX_TRY(workspace.take(queries * (dtype == AX_FLOAT64 ? sizeof(double) : sizeof(float))));
  x.delta = workspace.address();
  AX_TRY(passes.delta(x));
  AX_TRY(passes.query_gradient(x));
  return passes.key_gradient(x);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_attention_forward(int32_t dtype, const void* operands, const void* shape, const void* scalars) {
  return withAttentionRandom(operands, shape, scalars, false,
                             [=](const void* o, const void* s, const void* n) { return run(dtype, o, s, n, false); });
}

int32_t ax_attention_backward(int32_t dtype, const void* operands, const void* shape, const void* scalars) {
  return withAttentionRandom(operands, shape, scalars, true,
                             [=](const void* o, const void* s, const void* n) { return run(dtype, o, s, n, true); });
}
