// Matrix product on the SIMT units: 64 x 64 tiles in shared memory, 4 x 4 outputs a thread.
#include "common/math.h"
#include "common/product.h"
#include "cuda/backend.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int kTile = 64, kDepth = 16, kPart = 4;  // kThreads = (kTile / kPart)^2

// S is what tensors hold, T what is computed in.
template <class S>
struct Product {
  using T = Compute<S>;
  ProductShape s;
  ProductOperands<S> p;
  int32_t epilogue;
  T alpha, beta;

  AX_DEVICE void store(int64_t batch, int64_t row, int64_t col, T value) const {
    const int64_t at = batch * s.batch_out + row * s.ldc + col;
    value *= alpha;
    if (beta != T(0)) value += beta * T(p.out[at]);
    if (p.bias != nullptr) value += T(p.bias[col]);
    switch (epilogue) {
      case AX_EPILOGUE_BIAS_RELU: value = maths::Relu::apply<T>(value, 0, 0); break;
      case AX_EPILOGUE_BIAS_GELU:
        if (p.aux != nullptr) p.aux[at] = S(value);
        value = maths::Gelu::apply<T>(value, 0, 0);
        break;
      case AX_EPILOGUE_BIAS_GELU_TANH:
        if (p.aux != nullptr) p.aux[at] = S(value);
        value = maths::GeluTanh::apply<T>(value, 0, 0);
        break;
      case AX_EPILOGUE_BIAS_RESIDUAL: value += T(p.aux[at]); break;
      case AX_EPILOGUE_RELU_GRAD: value = maths::ReluGrad::apply<T>(value, T(p.aux[at]), 0, 0); break;
      case AX_EPILOGUE_GELU_GRAD: value = maths::GeluGrad::apply<T>(value, T(p.aux[at]), 0, 0); break;
      case AX_EPILOGUE_GELU_TANH_GRAD: value = maths::GeluTanhGrad::apply<T>(value, T(p.aux[at]), 0, 0); break;
    }
    p.out[at] = S(value);
  }
};

template <class S>
__global__ void AX_MAX_THREADS(kThreads) productKernel(Product<S> product) {
  using T = Compute<S>;
  AX_SHARED(T, tile_a, [kDepth][kTile + 1]);
  AX_SHARED(T, tile_b, [kDepth][kTile + 1]);
  const ProductShape& s = product.s;
  const int64_t batch = blockIdx.z, row0 = blockIdx.y * int64_t{kTile}, col0 = blockIdx.x * int64_t{kTile};
  const S* a = product.p.a + batch * s.batch_a;
  const S* b = product.p.b + batch * s.batch_b;
  const int ty = threadIdx.x / (kTile / kPart), tx = threadIdx.x % (kTile / kPart);
  T sums[kPart][kPart] = {};
  for (int64_t k0 = 0; k0 < s.k; k0 += kDepth) {
    for (int e = threadIdx.x; e < kTile * kDepth; e += kThreads) {
      // Neighbouring threads read neighbouring elements, whichever way the matrix is stored.
      const int ia = s.transpose_a ? e % kTile : e / kDepth, ka = s.transpose_a ? e / kTile : e % kDepth;
      const int64_t row = row0 + ia, depth_a = k0 + ka;
      tile_a[ka][ia] = row < s.m && depth_a < s.k ? T(a[s.transpose_a ? depth_a * s.lda + row : row * s.lda + depth_a]) : T(0);
      const int jb = s.transpose_b ? e / kDepth : e % kTile, kb = s.transpose_b ? e % kDepth : e / kTile;
      const int64_t col = col0 + jb, depth_b = k0 + kb;
      tile_b[kb][jb] = col < s.n && depth_b < s.k ? T(b[s.transpose_b ? col * s.ldb + depth_b : depth_b * s.ldb + col]) : T(0);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
      T part_a[kPart], part_b[kPart];
#pragma unroll
      for (int i = 0; i < kPart; ++i) part_a[i] = tile_a[k][ty + i * (kTile / kPart)];
#pragma unroll
      for (int j = 0; j < kPart; ++j) part_b[j] = tile_b[k][tx + j * (kTile / kPart)];
#pragma unroll
      for (int i = 0; i < kPart; ++i) {
#pragma unroll
        for (int j = 0; j < kPart; ++j) sums[i][j] += part_a[i] * part_b[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kPart; ++i) {
#pragma unroll
    for (int j = 0; j < kPart; ++j) {
      const int64_t row = row0 + ty + i * (kTile / kPart), col = col0 + tx + j * (kTile / kPart);
      if (row < s.m && col < s.n) product.store(batch, row, col, sums[i][j]);
    }
  }
}

template <class S>
int32_t run(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b, double b_offset, uint32_t bias,
            double bias_offset, uint32_t aux, double aux_offset, const ProductShape& s, int32_t epilogue, double alpha, double beta) {
  using T = Compute<S>;
  Product<S> product{s, {}, epilogue, static_cast<T>(alpha), static_cast<T>(beta)};
  AX_TRY(resolveProduct(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, &product.p));
  if (s.batch == 0 || s.m == 0 || s.n == 0) return AX_OK;
  const int64_t rows = (int64_t{s.m} + kTile - 1) / kTile;
  if (s.batch > 65535 || rows > 65535) {
    return fail(AX_ERROR_UNSUPPORTED, "a product of %d matrices of %d rows is larger than the grid", s.batch, s.m);
  }
  const dim3 grid(static_cast<unsigned>((int64_t{s.n} + kTile - 1) / kTile), static_cast<unsigned>(rows), static_cast<unsigned>(s.batch));
  return launch(productKernel<S>, grid, product);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_matmul(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                  double b_offset, uint32_t bias, double bias_offset, uint32_t aux, double aux_offset,
                  const void* shape, int32_t epilogue, double alpha, double beta) {
  const ProductShape& s = *static_cast<const ProductShape*>(shape);
  AX_TRY(checkProduct(s, epilogue, beta, aux));
  const auto call = [&](auto run) {
    return run(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, alpha, beta);
  };
  switch (dtype) {
    case AX_FLOAT32: return call(run<float>);
    case AX_FLOAT64: return call(run<double>);
    case AX_BFLOAT16: return call(run<BFloat16>);
    case AX_FLOAT16: return call(run<Float16>);
  }
  return fail(AX_ERROR_UNSUPPORTED, "matmul is not available for dtype %d", dtype);
}
