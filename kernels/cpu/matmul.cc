// ax_matmul on the CPU: what happens around the product of gemm.h for each dtype and epilogue.
#include <type_traits>

#include "common/dtype.h"
#include "common/math.h"
#include "common/product.h"
#include "cpu/gemm_driver.h"
#include "cpu/gemm_pack.h"
#include "cpu/thread_pool.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// What is done with finished sums of one matrix. S is what tensors hold, T what is computed in.
template <class S, class T = Compute<S>>
struct Epilogue {
  int32_t kind;
  T beta;  // of an out that the sums do not contain yet
  S* out;
  int64_t ldc;
  const S* bias;
  S* aux;

  static void finish(const void* context, T* sums, int64_t ld, int64_t row, int64_t col, int64_t rows, int64_t cols) {
    const Epilogue& self = *static_cast<const Epilogue*>(context);
    for (int64_t i = 0; i < rows; ++i) self.finishRow(sums + i * ld, (row + i) * self.ldc + col, col, cols);
  }

  // `at` is the position of the row's first element in out and aux.
  void finishRow(T* sums, int64_t at, int64_t col, int64_t cols) const {
    S* const to = out + at;
    if (beta != T(0)) {
      for (int64_t j = 0; j < cols; ++j) sums[j] += beta * T(to[j]);
    }
    if (bias != nullptr) {
      for (int64_t j = 0; j < cols; ++j) sums[j] += T(bias[col + j]);
    }
    const auto combineWithAux = [&](auto combine) {
      const S* const from = aux + at;
      for (int64_t j = 0; j < cols; ++j) sums[j] = combine(sums[j], T(from[j]));
    };
    switch (kind) {
      case AX_EPILOGUE_BIAS_RELU:
        for (int64_t j = 0; j < cols; ++j) sums[j] = maths::Relu::apply<T>(sums[j], 0, 0);
        break;
      case AX_EPILOGUE_BIAS_GELU:
        copyTo(aux == nullptr ? nullptr : aux + at, sums, cols);
        for (int64_t j = 0; j < cols; ++j) sums[j] = maths::Gelu::apply<T>(sums[j], 0, 0);
        break;
      case AX_EPILOGUE_BIAS_GELU_TANH:
        copyTo(aux == nullptr ? nullptr : aux + at, sums, cols);
        for (int64_t j = 0; j < cols; ++j) sums[j] = maths::GeluTanh::apply<T>(sums[j], 0, 0);
        break;
      case AX_EPILOGUE_BIAS_RESIDUAL:
        combineWithAux([](T x, T residual) { return x + residual; });
        break;
      case AX_EPILOGUE_RELU_GRAD:
        combineWithAux([](T x, T y) { return maths::ReluGrad::apply<T>(x, y, 0, 0); });
        break;
      case AX_EPILOGUE_GELU_GRAD:
        combineWithAux([](T x, T y) { return maths::GeluGrad::apply<T>(x, y, 0, 0); });
        break;
      case AX_EPILOGUE_GELU_TANH_GRAD:
        combineWithAux([](T x, T y) { return maths::GeluTanhGrad::apply<T>(x, y, 0, 0); });
        break;
    }
    copyTo(to, sums, cols);
  }

  static void copyTo(S* to, const T* sums, int64_t cols) {
    if (to == nullptr || static_cast<const void*>(to) == sums) return;
    for (int64_t j = 0; j < cols; ++j) to[j] = S(sums[j]);
  }
};

template <class S>
struct Matrix {
  const S* x;
  int64_t ld, k;
  bool contiguous;
};

// Widens the elements of 16-bit lines while they are packed.
template <class S, int kWidth>
void packWide(const void* source, float* panel, int64_t, int64_t first, int64_t lines, int64_t start, int64_t depth) {
  const Matrix<S>& matrix = *static_cast<const Matrix<S>*>(source);
  packLines<S, float, kWidth>(panel, matrix.x, matrix.ld, matrix.contiguous, first, lines, start, depth);
}

#ifdef __AVX512F__
template <int kWidth>
void packPairs(const void* source, BFloat16Pair* panel, int64_t, int64_t first, int64_t lines, int64_t start, int64_t depth) {
  const Matrix<BFloat16>& m = *static_cast<const Matrix<BFloat16>*>(source);
  const int64_t pairs = m.k / 2 - start < depth ? m.k / 2 - start : depth;
  packLines<BFloat16, BFloat16Pair, kWidth>(panel, m.x, m.ld, m.contiguous, first, lines, start, pairs);
  if (pairs == depth) return;
  const BFloat16* const last = m.contiguous ? m.x + first * m.ld + m.k - 1 : m.x + (m.k - 1) * m.ld + first;
  packLastOfPairs<kWidth>(panel + pairs * kWidth, last, m.contiguous ? m.ld : 1, lines);
}

bool multipliesPairs() {
  static const bool has = __builtin_cpu_supports("avx512bf16");
  return has;
}
#endif

template <class S, class T = Compute<S>>
void product(const ProductShape& s, const ProductOperands<S>& p, int32_t epilogue, T alpha, T beta, int64_t batch, bool parallel) {
  const S* const a = p.a + batch * s.batch_a;
  const S* const b = p.b + batch * s.batch_b;
  S* const out = p.out + batch * s.batch_out;
  S* const aux = p.aux == nullptr ? nullptr : p.aux + batch * s.batch_out;
  Epilogue<S> e{epilogue, T(0), out, s.ldc, p.bias, aux};
  GemmTask<T> task{s.m, s.n, s.k, {}, {}, nullptr, s.ldc, alpha, beta, Epilogue<S>::finish, &e};
  const Matrix<S> left{a, s.lda, s.k, s.transpose_a == 0}, right{b, s.ldb, s.k, s.transpose_b != 0};
  if constexpr (sizeof(S) == 2) {
    e.beta = beta;
    task.beta = 0;
#ifdef __AVX512F__
    if constexpr (std::is_same_v<S, BFloat16>) {
      if (multipliesPairs()) {
        const GemmLines<BFloat16Pair> pairs_a{packPairs<kTileRows>, &left, nullptr, 0, false};
        const GemmLines<BFloat16Pair> pairs_b{packPairs<kTileColsOf<BFloat16Pair>>, &right, nullptr, 0, false};
        const int64_t k = (static_cast<int64_t>(s.k) + 1) / 2;
        runGemm<BFloat16Pair>({s.m, s.n, k, pairs_a, pairs_b, nullptr, s.ldc, alpha, 0, task.finish, &e}, parallel);
        return;
      }
    }
#endif
    task.a = {packWide<S, kTileRows>, &left, nullptr, 0, false};
    task.b = {packWide<S, kTileColsOf<float>>, &right, nullptr, 0, false};
  } else {
    task.a = {nullptr, nullptr, left.x, left.ld, left.contiguous};
    task.b = {nullptr, nullptr, right.x, right.ld, right.contiguous};
    // Sums in out would overwrite what the epilogue reads from an aux that is out itself.
    if (aux != out) task.c = out;
    if (epilogue == AX_EPILOGUE_NONE) task.finish = nullptr;
  }
  runGemm<T>(task, parallel);
}

// Multiplications below which another thread is not worth waking, and above which all of them share one product.
constexpr double kGrain = 1 << 16, kLarge = 1 << 22;

template <class S>
int32_t run(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b, double b_offset, uint32_t bias,
            double bias_offset, uint32_t aux, double aux_offset, const ProductShape& s, int32_t epilogue, double alpha, double beta) {
  using T = Compute<S>;
  ProductOperands<S> p;
  AX_TRY(resolveProduct(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, &p));
  const auto multiply = [&](int64_t begin, int64_t end, bool parallel) {
    for (int64_t i = begin; i < end; ++i) product<S>(s, p, epilogue, static_cast<T>(alpha), static_cast<T>(beta), i, parallel);
  };
  // Small products are shared out whole; of large ones each is cut, unless they go evenly into the threads.
  const double multiplications = static_cast<double>(s.m) * s.n * (s.k + 1.0);
  if (s.batch > 1 && (multiplications < kLarge || s.batch % threadCount() == 0)) {
    const int64_t grain = multiplications < kGrain ? static_cast<int64_t>(kGrain / (multiplications + 1)) + 1 : 1;
    parallelFor(s.batch, grain, [&](int64_t begin, int64_t end) { multiply(begin, end, false); });
  } else {
    multiply(0, s.batch, true);
  }
  return AX_OK;
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
