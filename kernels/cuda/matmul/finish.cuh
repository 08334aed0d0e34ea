// What becomes of a sum: scaling, the old value, bias, and the epilogues of accelerate.h, rounded once.
//
// The choice of an epilogue is made at run time, so this code must stand once in a kernel: sums go through shared memory, and a loop that
// is not unrolled takes them from there.
#ifndef AX_CUDA_MATMUL_FINISH_CUH_
#define AX_CUDA_MATMUL_FINISH_CUH_
#include "common/math.h"
#include "common/product.h"
#include "hw/cuda.h"

namespace ax {
inline namespace AX_ISA {

// Two neighbouring elements as one access.
template <class S>
struct alignas(2 * sizeof(S)) Pair {
  S x, y;
};

template <class S>
struct Finish {
  using T = Compute<S>;
  S* out;
  const S* bias;
  S* aux;
  int64_t ldc, batch_out;
  int32_t m, n, epilogue, has_pairs;
  T alpha, beta;

  AX_DEVICE int64_t place(int64_t batch, int64_t row, int64_t col) const { return batch * batch_out + row * ldc + col; }

  // The result for a sum; writes what an epilogue leaves in aux.
  AX_DEVICE T apply(int64_t at, int32_t col, T value) const {
    value *= alpha;
    if (beta != T(0)) value += beta * T(out[at]);
    if (bias != nullptr) value += T(bias[col]);
    switch (epilogue) {
      case AX_EPILOGUE_BIAS_RELU: return maths::Relu::apply<T>(value, 0, 0);
      case AX_EPILOGUE_BIAS_GELU:
      case AX_EPILOGUE_GELU_GRAD: return activate<maths::Gelu, maths::GeluGrad>(at, value, epilogue == AX_EPILOGUE_GELU_GRAD);
      case AX_EPILOGUE_BIAS_GELU_TANH:
      case AX_EPILOGUE_GELU_TANH_GRAD:
        return activate<maths::GeluTanh, maths::GeluTanhGrad>(at, value, epilogue == AX_EPILOGUE_GELU_TANH_GRAD);
      case AX_EPILOGUE_BIAS_RESIDUAL: return value + T(aux[at]);
      case AX_EPILOGUE_RELU_GRAD: return maths::ReluGrad::apply<T>(value, T(aux[at]), 0, 0);
      default: return value;
    }
  }

  // An activation, or a gradient times its slope at aux. Both are computed, because they share all but one multiplication, so the code
  // stands once.
  template <class Activation, class Gradient>
  AX_DEVICE T activate(int64_t at, T value, bool is_gradient) const {
    if (!is_gradient && aux != nullptr) aux[at] = S(value);
    const T x = is_gradient ? T(aux[at]) : value;
    const T activated = Activation::template apply<T>(x, 0, 0), slope = Gradient::template apply<T>(T(1), x, 0, 0);
    return is_gradient ? value * slope : activated;
  }

  AX_DEVICE void store(int64_t batch, int64_t row, int32_t col, T sum) const {
    const int64_t at = place(batch, row, col);
    out[at] = S(apply(at, col, sum));
  }

  // The same for the columns col and col + 1, of which the second may lie outside.
  AX_DEVICE void storePair(int64_t batch, int64_t row, int32_t col, T x, T y) const {
    const int64_t at = place(batch, row, col);
#pragma unroll 1
    for (int second = 0; second < 2; ++second) {
      if (col + second >= n) break;
      const T value = apply(at + second, col + second, second == 0 ? x : y);
      if (second == 0) x = value;
      else y = value;
    }
    if (has_pairs && col + 1 < n) {
      *reinterpret_cast<Pair<S>*>(out + at) = {S(x), S(y)};
    } else {
      out[at] = S(x);
      if (col + 1 < n) out[at + 1] = S(y);
    }
  }
};

inline bool isMultiple(const void* address, int64_t stride, int64_t batch_stride, int64_t element_bytes, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) == 0 && stride * element_bytes % bytes == 0 &&
         batch_stride * element_bytes % bytes == 0;
}

template <class S>
Finish<S> makeFinish(const ProductShape& s, const ProductOperands<S>& p, int32_t epilogue, double alpha, double beta) {
  using T = Compute<S>;
  const bool has_pairs = isMultiple(p.out, s.ldc, s.batch_out, sizeof(S), 2 * sizeof(S));
  return {p.out, p.bias, p.aux, s.ldc, s.batch_out, s.m, s.n, epilogue, has_pairs, static_cast<T>(alpha), static_cast<T>(beta)};
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_FINISH_CUH_
