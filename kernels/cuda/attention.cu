// Attention on the SIMT units: a block of threads for each query, which walks over the keys kThreads at a time, and in the backward pass
// also one for each key. Scores lie in shared memory only.
#include "common/attention.h"
#include "cuda/backend.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
struct Attention {
  using C = Compute<T>;
  AttentionShape s;
  AttentionOperands a;
  AttentionDropout dropout;
  C scale;

  AX_DEVICE static int64_t offset(const RowStrides& strides, int64_t batch, int64_t head, int64_t row) {
    return batch * strides.batch + head * strides.head + row * strides.row;
  }

  AX_DEVICE static C dot(const T* x, const T* y, int64_t count) {
    C sum = C(0);
    for (int64_t d = 0; d < count; ++d) sum += static_cast<C>(x[d]) * static_cast<C>(y[d]);
    return sum;
  }

  AX_DEVICE const T* q(int64_t batch, int64_t head, int64_t row) const { return static_cast<const T*>(a.q) + offset(s.q, batch, head, row); }
  AX_DEVICE const T* k(int64_t batch, int64_t head, int64_t row) const { return static_cast<const T*>(a.k) + offset(s.k, batch, head, row); }
  AX_DEVICE const T* v(int64_t batch, int64_t head, int64_t row) const { return static_cast<const T*>(a.v) + offset(s.v, batch, head, row); }
  AX_DEVICE T* out(int64_t batch, int64_t head, int64_t row) const { return static_cast<T*>(a.out) + offset(s.out, batch, head, row); }
  AX_DEVICE const T* gradOut(int64_t batch, int64_t head, int64_t row) const {
    return static_cast<const T*>(a.grad_out) + offset(s.grad_out, batch, head, row);
  }
  AX_DEVICE int64_t rowIndex(int64_t batch, int64_t head, int64_t row) const { return (batch * s.heads + head) * s.q_len + row; }
  AX_DEVICE C* lse(int64_t row) const { return static_cast<C*>(a.lse) + row; }

  // The masked score of a query and a key.
  AX_DEVICE C score(int64_t batch, int64_t head, int64_t query, int64_t key) const {
    if (s.isCausal() && key > query) return C(-INFINITY);
    const C value = scale * dot(q(batch, head, query), k(batch, head / s.groupSize(), key), s.dim);
    if (s.mask_kind == AX_ATTENTION_NO_MASK) return value;
    const int64_t at = batch * s.mask_batch + head * s.mask_head + query * s.mask_row + key * s.mask_column;
    if (s.mask_kind == AX_ATTENTION_BOOL_MASK) return static_cast<const uint8_t*>(a.mask)[at] != 0 ? value : C(-INFINITY);
    // A float32 mask also goes with 16-bit operands; for the others C is the mask's dtype.
    if (s.mask_dtype == AX_FLOAT32 || s.mask_dtype == AX_FLOAT64) return value + static_cast<const C*>(a.mask)[at];
    return value + static_cast<C>(static_cast<const T*>(a.mask)[at]);
  }

  // Probability and gradient of the score of a query and a key; `kept` is the probability after dropout.
  AX_DEVICE void differentiate(int64_t batch, int64_t head, int64_t query, int64_t key, C* kept, C* gradient) const {
    const int64_t row = rowIndex(batch, head, query);
    const C sum = *lse(row);
    *kept = *gradient = C(0);
    if (sum == C(-INFINITY) || (s.isCausal() && key > query)) return;
    const T* g = gradOut(batch, head, query);
    const C probability = exp(score(batch, head, query, key) - sum);
    const C factor = dropout.p > 0 ? static_cast<C>(dropout.factor(row, key)) : C(1);
    const C delta = dot(g, out(batch, head, query), s.v_dim);
    *kept = probability * factor;
    *gradient = probability * (dot(g, v(batch, head / s.groupSize(), key), s.v_dim) * factor - delta);
  }
};

// A block for each query.
template <class T>
__global__ void AX_MAX_THREADS(kThreads) forwardKernel(Attention<T> x, int64_t rows) {
  using C = Compute<T>;
  AX_SHARED(C, weights, [kThreads]);
  const AttentionShape& s = x.s;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t query = row % s.q_len, head = row / s.q_len % s.heads, batch = row / s.q_len / s.heads;
    const int64_t limit = s.isCausal() && query + 1 < s.k_len ? query + 1 : s.k_len;
    // NaN is not below the maximum, so it reaches the sum.
    C largest = C(-INFINITY);
    for (int64_t key = threadIdx.x; key < limit; key += kThreads) {
      const C value = x.score(batch, head, query, key);
      if (value > largest) largest = value;
    }
    largest = combineBlock(largest, [](C a, C b) { return a > b ? a : b; });
    const C reference = largest == C(-INFINITY) ? C(0) : largest;
    C sum = C(0);
    for (int64_t key = threadIdx.x; key < limit; key += kThreads) sum += exp(x.score(batch, head, query, key) - reference);
    sum = combineBlock(sum, [](C a, C b) { return a + b; });
    const bool sees = sum != C(0);
    if (threadIdx.x == 0) *x.lse(row) = sees ? reference + log(sum) : C(-INFINITY);
    const C inverse = sees ? C(1) / sum : C(0);
    for (int64_t d0 = 0; d0 < s.v_dim; d0 += kThreads) {
      const int64_t d = d0 + threadIdx.x;
      C total = C(0);
      for (int64_t first = 0; first < limit; first += kThreads) {
        const int64_t key = first + threadIdx.x, count = limit - first < kThreads ? limit - first : kThreads;
        __syncthreads();
        if (key < limit) {
          const C probability = exp(x.score(batch, head, query, key) - reference) * inverse;
          weights[threadIdx.x] = x.dropout.p > 0 ? probability * static_cast<C>(x.dropout.factor(row, key)) : probability;
        }
        __syncthreads();
        if (d >= s.v_dim) continue;
        for (int64_t j = 0; j < count; ++j) total += weights[j] * static_cast<C>(x.v(batch, head / s.groupSize(), first + j)[d]);
      }
      if (d < s.v_dim) x.out(batch, head, query)[d] = static_cast<T>(total);
    }
  }
}

// A block for each query: its gradient, and those of its scores.
template <class T>
__global__ void AX_MAX_THREADS(kThreads) queryGradientKernel(Attention<T> x, int64_t rows) {
  using C = Compute<T>;
  AX_SHARED(C, weights, [kThreads]);
  const AttentionShape& s = x.s;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t query = row % s.q_len, head = row / s.q_len % s.heads, batch = row / s.q_len / s.heads;
    T* const gradient = static_cast<T*>(x.a.grad_q) + Attention<T>::offset(s.grad_q, batch, head, query);
    // Also with dim 0 once, for the gradients of the scores.
    for (int64_t d0 = 0; d0 == 0 || d0 < s.dim; d0 += kThreads) {
      const int64_t d = d0 + threadIdx.x;
      C total = C(0);
      for (int64_t first = 0; first < s.k_len; first += kThreads) {
        const int64_t key = first + threadIdx.x, count = s.k_len - first < kThreads ? s.k_len - first : kThreads;
        __syncthreads();
        if (key < s.k_len) {
          C kept;
          x.differentiate(batch, head, query, key, &kept, &weights[threadIdx.x]);
          if (x.a.grad_scores != nullptr) static_cast<C*>(x.a.grad_scores)[row * s.k_len + key] = weights[threadIdx.x];
        }
        __syncthreads();
        if (d >= s.dim) continue;
        for (int64_t j = 0; j < count; ++j) total += weights[j] * static_cast<C>(x.k(batch, head / s.groupSize(), first + j)[d]);
      }
      if (d < s.dim) gradient[d] = static_cast<T>(x.scale * total);
    }
  }
}

// A block for each key of each key head: the gradients of the key and of its value, summed over queries and heads in order.
template <class T>
__global__ void AX_MAX_THREADS(kThreads) keyGradientKernel(Attention<T> x, int64_t rows) {
  using C = Compute<T>;
  AX_SHARED(C, kept, [kThreads]);
  AX_SHARED(C, weights, [kThreads]);
  const AttentionShape& s = x.s;
  const int64_t group = s.groupSize(), widest = s.dim > s.v_dim ? s.dim : s.v_dim;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t key = row % s.k_len, kv_head = row / s.k_len % s.kv_heads, batch = row / s.k_len / s.kv_heads;
    T* const grad_k = static_cast<T*>(x.a.grad_k) + Attention<T>::offset(s.grad_k, batch, kv_head, key);
    T* const grad_v = static_cast<T*>(x.a.grad_v) + Attention<T>::offset(s.grad_v, batch, kv_head, key);
    for (int64_t d0 = 0; d0 < widest; d0 += kThreads) {
      const int64_t d = d0 + threadIdx.x;
      C total_k = C(0), total_v = C(0);
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        for (int64_t first = 0; first < s.q_len; first += kThreads) {
          const int64_t query = first + threadIdx.x, count = s.q_len - first < kThreads ? s.q_len - first : kThreads;
          __syncthreads();
          if (query < s.q_len) x.differentiate(batch, head, query, key, &kept[threadIdx.x], &weights[threadIdx.x]);
          __syncthreads();
          for (int64_t i = 0; i < count; ++i) {
            if (d < s.dim) total_k += weights[i] * static_cast<C>(x.q(batch, head, first + i)[d]);
            if (d < s.v_dim) total_v += kept[i] * static_cast<C>(x.gradOut(batch, head, first + i)[d]);
          }
        }
      }
      if (d < s.dim) grad_k[d] = static_cast<T>(x.scale * total_k);
      if (d < s.v_dim) grad_v[d] = static_cast<T>(total_v);
    }
  }
}

inline int gridOf(int64_t rows) { return static_cast<int>(rows < kMaxBlocks ? rows : kMaxBlocks); }

template <class T>
int32_t run(int32_t dtype, const double* operands, const AttentionShape& s, const AttentionScalars& scalars, bool is_backward) {
  Attention<T> x{s, {}, AttentionDropout(s, scalars), static_cast<Compute<T>>(scalars.scale)};
  AX_TRY(resolveAttention(dtype, operands, s, is_backward, &x.a));
  const int64_t queries = int64_t{s.batch} * s.heads * s.q_len, keys = int64_t{s.batch} * s.kv_heads * s.k_len;
  if (!is_backward) {
    if (queries == 0) return AX_OK;
    return launch(forwardKernel<T>, gridOf(queries), x, queries);
  }
  if (queries > 0) {
    AX_TRY(launch(queryGradientKernel<T>, gridOf(queries), x, queries));
  }
  if (keys == 0) return AX_OK;
  return launch(keyGradientKernel<T>, gridOf(keys), x, keys);
}

int32_t runAny(int32_t dtype, const void* operands, const void* shape, const void* scalars, bool is_backward) {
  const AttentionShape& s = *static_cast<const AttentionShape*>(shape);
  const AttentionScalars& numbers = *static_cast<const AttentionScalars*>(scalars);
  AX_TRY(checkAttention(dtype, s, numbers));
  const double* pairs = static_cast<const double*>(operands);
  switch (dtype) {
    case AX_FLOAT64: return run<double>(dtype, pairs, s, numbers, is_backward);
    case AX_BFLOAT16: return run<BFloat16>(dtype, pairs, s, numbers, is_backward);
    case AX_FLOAT16: return run<Float16>(dtype, pairs, s, numbers, is_backward);
  }
  return run<float>(dtype, pairs, s, numbers, is_backward);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_attention_forward(int32_t dtype, const void* operands, const void* shape, const void* scalars) {
  return withAttentionRandom(operands, shape, scalars, false, [=](const void* o, const void* s, const void* n) { return runAny(dtype, o, s, n, false); });
}

int32_t ax_attention_backward(int32_t dtype, const void* operands, const void* shape, const void* scalars) {
  return withAttentionRandom(operands, shape, scalars, true, [=](const void* o, const void* s, const void* n) { return runAny(dtype, o, s, n, true); });
}
