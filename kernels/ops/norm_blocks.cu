// Norms of gradients: one pass that leaves a partial result for each block of elements.
#include <math.h>

#include "common/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int64_t kBlock = AX_NORM_BLOCK;

// Blocks have a fixed size, so the result does not depend on the number of threads.
template <class S>
struct NormBlocks {
  double* out;
  const S* x;
  int64_t count;
  double p;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t block) const {
    using T = Compute<S>;
    const int64_t first = block * kBlock, rest = count - first;
    const int64_t size = rest < kBlock ? rest : kBlock;
    const S* v = x + first;
    T result;
    if (p == 2) {
      result = team.template sum<T>(size, [=](int64_t i) {
        const T value = static_cast<T>(v[i]);
        return value * value;
      });
    } else if (p == 1) {
      result = team.template sum<T>(size, [=](int64_t i) { return maths::Abs::apply<T>(static_cast<T>(v[i]), T(0), T(0)); });
    } else if (isinf(p)) {
      const T nans = team.template sum<T>(size, [=](int64_t i) { return static_cast<T>(v[i]) != static_cast<T>(v[i]) ? T(1) : T(0); });
      result = team.template max<T>(size, T(0), [=](int64_t i) { return maths::Abs::apply<T>(static_cast<T>(v[i]), T(0), T(0)); });
      if (nans > T(0)) result = static_cast<T>(NAN);  // max passes over them
    } else {
      const T exponent = static_cast<T>(p);
      result = team.template sum<T>(size, [=](int64_t i) { return pow(maths::Abs::apply<T>(static_cast<T>(v[i]), T(0), T(0)), exponent); });
    }
    if (team.isFirst()) out[block] = static_cast<double>(result);
  }
};

template <class S>
int32_t normBlocks(int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, double count, double p) {
  NormBlocks<S> body{nullptr, nullptr, static_cast<int64_t>(count), p};
  const int64_t blocks = (body.count + kBlock - 1) / kBlock;
  AX_TRY(at(out, oo, static_cast<double>(blocks), AX_FLOAT64, &body.out));
  AX_TRY(at(x, xo, count, dtype, &body.x));
  return forEachRow(blocks, kBlock, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_norm_blocks(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count, double p) {
  switch (dtype) {
    case AX_FLOAT32: return normBlocks<float>(dtype, out, out_offset, x, x_offset, count, p);
    case AX_FLOAT64: return normBlocks<double>(dtype, out, out_offset, x, x_offset, count, p);
    case AX_BFLOAT16: return normBlocks<BFloat16>(dtype, out, out_offset, x, x_offset, count, p);
    case AX_FLOAT16: return normBlocks<Float16>(dtype, out, out_offset, x, x_offset, count, p);
  }
  return fail(AX_ERROR_UNSUPPORTED, "norm_blocks is not available for dtype %d", dtype);
}
