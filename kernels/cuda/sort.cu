// Sorting rows: an element's place is the number of elements before it. Quadratic in the length of a row, but it needs no memory.
#include "common/operand.h"
#include "common/sort_key.h"
#include "cuda/backend.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
struct RankBody {
  T* values;
  int64_t* indices;
  const T* x;
  int64_t count, take;
  bool descending;
  __device__ void operator()(At<1> at) const {
    const int64_t row = at.v[0] / count, i = at.v[0] % count;
    const T* from = x + row * count;
    const uint64_t key = sortKey(from[i]);
    int64_t rank = 0;
    for (int64_t j = 0; j < count; ++j) {
      const uint64_t other = sortKey(from[j]);
      rank += (descending ? other > key : other < key) || (other == key && j < i);
    }
    if (rank >= take) return;
    values[row * take + rank] = from[i];
    indices[row * take + rank] = i;
  }
};

template <class T>
int32_t sortRows(uint32_t values, double values_offset, uint32_t indices, double indices_offset, uint32_t x, double x_offset,
                 double rows, double count, double take, bool descending) {
  RankBody<T> body{nullptr, nullptr, nullptr, static_cast<int64_t>(count), static_cast<int64_t>(take), descending};
  AX_TRY(at(values, values_offset, rows * take, kDtypeOf<T>, &body.values));
  AX_TRY(at(indices, indices_offset, rows * take, AX_INT64, &body.indices));
  AX_TRY(at(x, x_offset, rows * count, kDtypeOf<T>, &body.x));
  return forEach<1>(rows * count, Layout<1>{nullptr, 0}, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_sort(int32_t dtype, uint32_t values, double values_offset, uint32_t indices, double indices_offset, uint32_t x,
                double x_offset, double rows, double count, double take, int32_t descending) {
  if (!(rows >= 0 && count >= 0 && take >= 0 && take <= count)) {
    return fail(AX_ERROR_ARGUMENT, "cannot take %.0f of %.0f elements", take, count);
  }
  const auto run = [&](auto sort) {
    return sort(values, values_offset, indices, indices_offset, x, x_offset, rows, count, take, descending != 0);
  };
  switch (dtype) {
    case AX_FLOAT32: return run(sortRows<float>);
    case AX_FLOAT64: return run(sortRows<double>);
    case AX_BFLOAT16: return run(sortRows<BFloat16>);
    case AX_FLOAT16: return run(sortRows<Float16>);
    case AX_INT32: return run(sortRows<int32_t>);
    case AX_INT64: return run(sortRows<int64_t>);
    case AX_UINT8: return run(sortRows<uint8_t>);
    case AX_BOOL: return run(sortRows<Bool>);
  }
  return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype);
}
