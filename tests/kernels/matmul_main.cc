// Every kernel of kernels/cuda/matmul on the emulated GPU, whatever the plan would choose, against sums in double. Operands are multiples of 1/8 that
// all dtypes hold, so that sums are exact and results must be the rounded sum to the last bit. Prints a line for each case that fails,
// and at the end how many ran.
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "cuda/matmul/methods.h"
#include "cuda/matmul/simt_launch.cuh"
#include "cuda/matmul/tensor_launch.cuh"

using namespace ax;

namespace {

int g_cases = 0, g_failures = 0;

template <class S>
struct DeviceArray {
  S* data = nullptr;
  size_t count;
  explicit DeviceArray(const std::vector<S>& values) : count(values.size()) {
    cudaMalloc(&data, (count + 16) * sizeof(S));
    cudaMemcpy(data, values.data(), count * sizeof(S), cudaMemcpyHostToDevice);
  }
  ~DeviceArray() { cudaFree(data); }
};

struct Case {
  const char* kernel;
  ProductShape s;
  int32_t epilogue = AX_EPILOGUE_NONE;
  double alpha = 1, beta = 0;
  int32_t splits = 1;
};

template <class S>
std::vector<S> numbers(int64_t count, uint32_t seed) {
  std::vector<S> values;
  for (int64_t i = 0; i < count; ++i) {
    seed = seed * 1664525 + 1013904223;
    values.push_back(S(static_cast<Compute<S>>(static_cast<int>(seed >> 27) - 16) / 8));
  }
  return values;
}

// The epilogue in double. GELU is compared with a tolerance, all others exactly.
double finished(int32_t epilogue, double value, double aux) {
  switch (epilogue) {
    case AX_EPILOGUE_BIAS_RELU: return value > 0 ? value : 0;
    case AX_EPILOGUE_BIAS_GELU: return value * 0.5 * erfc(-value * M_SQRT1_2);
    case AX_EPILOGUE_BIAS_GELU_TANH: return 0.5 * value * (1 + tanh(0.7978845608028654 * (value + 0.044715 * value * value * value)));
    case AX_EPILOGUE_BIAS_RESIDUAL: return value + aux;
    case AX_EPILOGUE_RELU_GRAD: return aux > 0 ? value : 0;
    case AX_EPILOGUE_GELU_GRAD: return value * (0.5 * erfc(-aux * M_SQRT1_2) + aux * exp(-aux * aux / 2) * 0.3989422804014327);
    case AX_EPILOGUE_GELU_TANH_GRAD: {
      const double inner = 0.7978845608028654 * (aux + 0.044715 * aux * aux * aux), slope = 0.7978845608028654 * (1 + 3 * 0.044715 * aux * aux);
      const double t = tanh(inner);
      return value * (0.5 * (1 + t) + 0.5 * aux * (1 - t * t) * slope);
    }
    default: return value;
  }
}

// `multiply(s, operands, finish)` enqueues the product.
template <class S, class Multiply>
void check(const Case& c, const Multiply& multiply) {
  const ProductShape& s = c.s;
  const auto count = [&](int64_t rows, int64_t ld, int64_t stride) { return (s.batch - 1) * stride + rows * ld; };
  const auto a = numbers<S>(count(s.transpose_a ? s.k : s.m, s.lda, s.batch_a), 1);
  const auto b = numbers<S>(count(s.transpose_b ? s.n : s.k, s.ldb, s.batch_b), 2);
  const auto bias = numbers<S>(s.n, 3), aux = numbers<S>(count(s.m, s.ldc, s.batch_out), 4), out = numbers<S>(count(s.m, s.ldc, s.batch_out), 5);
  const DeviceArray<S> a_there(a), b_there(b), bias_there(bias), aux_there(aux), out_there(out);
  const bool has_bias = c.epilogue != AX_EPILOGUE_NONE && c.epilogue < AX_EPILOGUE_RELU_GRAD, has_aux = c.epilogue >= AX_EPILOGUE_BIAS_GELU;
  const ProductOperands<S> p = {out_there.data, a_there.data, b_there.data, has_bias ? bias_there.data : nullptr, has_aux ? aux_there.data : nullptr};
  int wrong = multiply(s, p, makeFinish(s, p, c.epilogue, c.alpha, c.beta)) == AX_OK ? 0 : 1;
  std::vector<S> result(out.size()), saved(aux.size());
  if (cudaDeviceSynchronize() != cudaSuccess) wrong += 1;
  cudaMemcpy(result.data(), out_there.data, result.size() * sizeof(S), cudaMemcpyDeviceToHost);
  cudaMemcpy(saved.data(), aux_there.data, saved.size() * sizeof(S), cudaMemcpyDeviceToHost);
  const bool is_gelu = c.epilogue == AX_EPILOGUE_BIAS_GELU || c.epilogue == AX_EPILOGUE_BIAS_GELU_TANH || c.epilogue >= AX_EPILOGUE_GELU_GRAD;
  const bool saves = c.epilogue == AX_EPILOGUE_BIAS_GELU || c.epilogue == AX_EPILOGUE_BIAS_GELU_TANH;
  std::vector<bool> is_result(out.size());
  const auto value = [](S x) { return static_cast<double>(static_cast<Compute<S>>(x)); };
  const auto rounded = [&](double x) { return value(S(static_cast<Compute<S>>(x))); };
  for (int64_t batch = 0; batch < s.batch; ++batch) {
    for (int64_t row = 0; row < s.m; ++row) {
      for (int64_t col = 0; col < s.n; ++col) {
        double sum = 0;
        for (int64_t k = 0; k < s.k; ++k) {
          sum += value(a[batch * s.batch_a + (s.transpose_a ? k * s.lda + row : row * s.lda + k)]) *
                 value(b[batch * s.batch_b + (s.transpose_b ? col * s.ldb + k : k * s.ldb + col)]);
        }
        const int64_t at = batch * s.batch_out + row * s.ldc + col;
        const double before = c.alpha * sum + (c.beta == 0 ? 0 : c.beta * value(out[at])) + (has_bias ? value(bias[col]) : 0);
        const double expected = finished(c.epilogue, before, value(aux[at]));
        // The formulas of GELU are float's, 1e-6 of their terms; what is near a tie may be rounded to either side.
        const double tolerance = is_gelu ? 2e-6 * (1 + fabs(before)) + (sizeof(S) == 2 ? fabs(expected) / 128 : 0) : 0;
        const double difference = fabs(value(result[at]) - (is_gelu ? expected : rounded(expected)));
        if (!(difference <= tolerance)) wrong += 1;
        if (saves && value(saved[at]) != rounded(before)) wrong += 1;
        is_result[at] = true;
      }
    }
  }
  // Nothing else may change.
  for (size_t i = 0; i < out.size(); ++i) {
    if (!is_result[i] && value(result[i]) != value(out[i])) wrong += 1;
    if (!(saves && is_result[i]) && value(saved[i]) != value(aux[i])) wrong += 1;
  }
  g_cases += 1;
  if (wrong == 0) return;
  g_failures += 1;
  printf("%s: batch %d, (%d, %d) x (%d, %d), layout %d%d, splits %d, epilogue %d, alpha %g, beta %g: %d wrong\n", c.kernel, s.batch, s.m,
         s.k, s.k, s.n, s.transpose_a, s.transpose_b, c.splits, c.epilogue, c.alpha, c.beta, wrong);
}

// Leading dimensions that are multiples of `unit`, and more than needed.
ProductShape shapeOf(int32_t batch, int32_t m, int32_t n, int32_t k, int layout, int32_t unit) {
  const auto up = [&](int32_t x) { return (x + unit) / unit * unit; };
  ProductShape s = {batch, m, n, k, layout >> 1, layout & 1, 0, 0, n + 1, 0, 0, 0, 0};
  s.lda = up(s.transpose_a ? m : k);
  s.ldb = up(s.transpose_b ? k : n);
  s.batch_a = s.lda * (s.transpose_a ? k : m) + unit;
  s.batch_b = 0;
  s.batch_out = m * s.ldc + 3;
  return s;
}

// Shapes around a tile, layouts, splits, and epilogues for one kernel.
template <class S, class Multiply>
void checkTile(const char* kernel, int32_t tile_m, int32_t tile_n, int32_t depth, int layouts, int32_t unit, const Multiply& multiply) {
  const auto run = [&](Case c) { check<S>(c, [&](const auto& s, const auto& p, const auto& finish) { return multiply(s, p, finish, c.splits); }); };
  for (int layout = 0; layout < layouts; ++layout) {
    run({kernel, shapeOf(1, tile_m, tile_n, 4 * depth, layout, unit)});
    run({kernel, shapeOf(1, tile_m - 3, tile_n + 5, 5 * depth + 3, layout, unit)});
    run({kernel, shapeOf(2, 9, 17, depth - 1, layout, unit), AX_EPILOGUE_NONE, 0.5, 2});
    run({kernel, shapeOf(1, 11, 3, 0, layout, unit), AX_EPILOGUE_BIAS});
    run({kernel, shapeOf(2, 13, 10, 6 * depth + 1, layout, unit), AX_EPILOGUE_BIAS_GELU, 1, 0, 3});
  }
  for (int32_t epilogue = 0; epilogue <= AX_EPILOGUE_GELU_TANH_GRAD; ++epilogue) {
    ProductShape s = shapeOf(1, 21, 34, depth + 5, 1, unit);
    run({kernel, s, epilogue});
    s.ldc = 36;  // pairs of results
    s.batch_out = 21 * 36;
    run({kernel, s, epilogue});
  }
}

template <class P, class Tile>
void checkTensorTile(const char* kernel) {
  using S = typename P::Storage;
  constexpr int32_t kDepth = Tile::kDepthBytes / sizeof(S), kUnit = 16 / sizeof(S);
  checkTile<S>(kernel, Tile::kM, Tile::kN, kDepth, 3, kUnit, [](const auto& s, const auto& p, const auto& finish, int32_t splits) {
    const int32_t split_depth = splits == 1 ? s.k : static_cast<int32_t>(divideUp(divideUp(s.k, splits), kDepth) * kDepth);
    return runPlan(s, p, finish, Plan{Method::kTiles, 0, splits, split_depth},
                   [](Work<S>& work) { return launchAligned<P, Tile>(work); });
  });
}

template <class P>
void checkUnaligned(const char* kernel) {
  using S = typename P::Storage;
  constexpr int32_t kDepth = SmallTile::kDepthBytes / sizeof(S);
  checkTile<S>(kernel, SmallTile::kM, SmallTile::kN, kDepth, 4, 1, [](const auto& s, const auto& p, const auto& finish, int32_t splits) {
    const int32_t split_depth = splits == 1 ? s.k : static_cast<int32_t>(divideUp(divideUp(s.k, splits), kDepth) * kDepth);
    return runPlan(s, p, finish, Plan{Method::kTiles, 0, splits, split_depth}, [](Work<S>& work) {
      return launchUnaligned<P>(work);
    });
  });
}

template <class Tile>
void checkSimtTile(const char* kernel, int32_t unit) {
  using T = typename Tile::T;
  checkTile<T>(kernel, Tile::kM, Tile::kN, Tile::kDepth, 4, unit, [&](const auto& s, const auto& p, const auto& finish, int32_t splits) {
    const int32_t split_depth = splits == 1 ? s.k : static_cast<int32_t>(divideUp(divideUp(s.k, splits), Tile::kDepth) * Tile::kDepth);
    return runPlan(s, p, finish, Plan{Method::kTiles, 0, splits, split_depth}, [&](Work<T>& work) { return launchSimt<Tile>(work); });
  });
}

template <class S>
void checkFew(const char* kernel, Method method) {
  checkTile<S>(kernel, 7, 9, 20, 4, 1, [&](const auto& s, const auto& p, const auto& finish, int32_t) {
    return runPlan(s, p, finish, Plan{method, 0, 1, s.k}, [](Work<S>&) { return AX_OK; });
  });
}

void expect(bool holds, const char* what) {
  g_cases += 1;
  if (holds) return;
  g_failures += 1;
  printf("plan: %s does not hold\n", what);
}

Plan planOf(int32_t m, int32_t n, int32_t k, int layout = 1, int32_t tiles = 3, int32_t multiprocessors = 132) {
  return choosePlan(shapeOf(1, m, n, k, layout, 8), kTensorTiles, tiles, multiprocessors, {1024, 3000}, 32);
}

void checkPlans() {
  expect(planOf(8, 64, 10).method == Method::kThread, "the first layer of a small network takes a thread for each result");
  expect(planOf(8, 1, 64).method == Method::kWarp, "its last layer takes a warp for each result");
  expect(planOf(1, 50304, 768).method == Method::kWarp, "a vector times a matrix stored along k takes warps");
  expect(planOf(1, 50304, 768, 0).method == Method::kTiles, "a vector times a matrix stored across k takes tiles");
  expect(planOf(8192, 8192, 8192).tile == 2 && planOf(8192, 8192, 8192).splits == 1, "a large product takes the large tile");
  expect(planOf(768, 768, 16384).splits > 1, "few tiles and a long sum are split");
  expect(planOf(4096, 4096, 512).splits == 1, "many tiles are not split");
  expect(planOf(64, 64, 128).splits == 1, "a short sum is not split");
  expect(planOf(64, 64, 1 << 20).splits == kMaxSplits, "the number of parts is bounded");
  expect(planOf(8192, 8192, 8192, 1, 1).tile == 0, "only offered tiles are taken");
  expect(planOf(768, 768, 16384, 1, 3, 1).splits == 1, "one multiprocessor gains nothing from parts");
  // Parts cover k, none is empty, and all but the last are whole steps.
  for (int32_t i = 0; i < 2000; ++i) {
    const Plan plan = planOf(1 + i * 37 % 1500, 1 + i * 101 % 1500, i * 977 % 60000, 1, 3, 1 + i % 150);
    const int64_t k = i * 977 % 60000;
    const bool covers = int64_t{plan.splits} * plan.split_depth >= k && int64_t{plan.splits - 1} * plan.split_depth <= (k > 0 ? k - 1 : 0);
    expect(plan.splits >= 1 && covers && (plan.splits == 1 || plan.split_depth % 32 == 0), "parts cover k");
  }
}

}  // namespace

// One product, and what the library says about it.
static int reportProduct() {
  const std::vector<float> values = {1, 2, 3, 4};
  const DeviceArray<float> there(values), out(values);
  const ProductShape s = shapeOf(1, 1, 1, 1, 0, 1);
  const ProductOperands<float> p = {out.data, there.data, there.data, nullptr, nullptr};
  const int32_t status = multiplyFloat32(s, p, makeFinish(s, p, AX_EPILOGUE_NONE, 1, 0));
  printf("%d: %s\n", status, lastError());
  return 0;
}

int main(int count, char**) {
  if (count > 1) return reportProduct();
  checkPlans();
  checkTensorTile<BFloat16Product, LargeTile>("bfloat16, large tile");
  checkTensorTile<BFloat16Product, MiddleTile>("bfloat16, middle tile");
  checkTensorTile<BFloat16Product, SmallTile>("bfloat16, small tile");
  checkTensorTile<Float16Product, MiddleTile>("float16, middle tile");
  checkTensorTile<Float16Product, SmallTile>("float16, small tile");
  checkTensorTile<Tf32Product, MiddleTf32Tile>("tf32, middle tile");
  checkUnaligned<BFloat16Product>("bfloat16, not aligned");
  checkUnaligned<Float16Product>("float16, not aligned");
  for (const int32_t unit : {1, 4}) {
    checkSimtTile<LargeSimtTile>("float32, large tile", unit);
    checkSimtTile<SmallSimtTile>("float32, small tile", unit);
    checkSimtTile<DoubleTile>("float64", unit);
  }
  for (const Method method : {Method::kThread, Method::kWarp}) {
    checkFew<float>("float32, few results", method);
    checkFew<double>("float64, few results", method);
    checkFew<BFloat16>("bfloat16, few results", method);
    checkFew<Float16>("float16, few results", method);
  }
  printf("%d cases, %d failures\n", g_cases, g_failures);
  return g_failures == 0 ? 0 : 1;
}
