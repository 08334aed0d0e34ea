// The matrix product on a GPU.
#include "cuda/matmul/methods.h"

#include <atomic>

#include "cuda/launch.cuh"

namespace ax {
inline namespace AX_ISA {

int32_t multiprocessors() {
  constexpr int kMaxGpus = 64;
  static std::atomic<int> known[kMaxGpus];
  int device = 0, count = 0;
  if (cudaGetDevice(&device) != cudaSuccess || device < 0 || device >= kMaxGpus) return 1;
  count = known[device].load(std::memory_order_relaxed);
  if (count != 0) return count;
  if (cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) != cudaSuccess || count < 1) count = 1;
  known[device].store(count, std::memory_order_relaxed);
  return count;
}

namespace {

int32_t multiply(const ProductShape& s, const ProductOperands<float>& p, const Finish<float>& f) {
  return s.allow_tf32 != 0 ? multiplyTf32(s, p, f) : multiplyFloat32(s, p, f);
}
int32_t multiply(const ProductShape& s, const ProductOperands<double>& p, const Finish<double>& f) { return multiplyFloat64(s, p, f); }
int32_t multiply(const ProductShape& s, const ProductOperands<BFloat16>& p, const Finish<BFloat16>& f) { return multiplyBFloat16(s, p, f); }
int32_t multiply(const ProductShape& s, const ProductOperands<Float16>& p, const Finish<Float16>& f) { return multiplyFloat16(s, p, f); }

template <class S>
int32_t run(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b, double b_offset, uint32_t bias,
            double bias_offset, uint32_t aux, double aux_offset, const ProductShape& s, int32_t epilogue, double alpha, double beta) {
  ProductOperands<S> p;
  AX_TRY(resolveProduct(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, &p));
  if (s.batch == 0 || s.m == 0 || s.n == 0) return AX_OK;
  return multiply(s, p, makeFinish(s, p, epilogue, alpha, beta));
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
