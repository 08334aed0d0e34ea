// The arithmetic of the shared-memory all-reduce.
#include <string.h>

#include <algorithm>
#include <type_traits>

#include "common/shm_comm.h"
#include "include/accelerate.h"

namespace ax {
namespace {

struct CombineSum {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {  // wraps, as everywhere in the library
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    } else {
      return a + b;
    }
  }
};
struct CombineMax {  // NaN propagates
  template <class T>
  static T apply(T a, T b) { return a > b || a != a ? a : b; }
};
struct CombineMin {
  template <class T>
  static T apply(T a, T b) { return a < b || a != a ? a : b; }
};

template <class T, class Combine>
void reduceTyped(void* out_bytes, const char* const* sources, int source_count, uint64_t count, double scale) {
  // Sums form in a buffer that fits the L1 cache: `out` may be a source that a later addition still needs.
  constexpr uint64_t kBlock = 8192 / sizeof(T);
  alignas(64) T sum[kBlock];
  const T factor = static_cast<T>(scale);
  T* out = static_cast<T*>(out_bytes);
  for (uint64_t begin = 0; begin < count; begin += kBlock) {
    const uint64_t size = std::min(kBlock, count - begin);
    const T* first = reinterpret_cast<const T*>(sources[0]) + begin;
    if (source_count == 1) {
      memcpy(sum, first, size * sizeof(T));
    } else {
      const T* second = reinterpret_cast<const T*>(sources[1]) + begin;
      for (uint64_t i = 0; i < size; ++i) sum[i] = Combine::apply(first[i], second[i]);
    }
    for (int source = 2; source < source_count; ++source) {
      const T* next = reinterpret_cast<const T*>(sources[source]) + begin;
      for (uint64_t i = 0; i < size; ++i) sum[i] = Combine::apply(sum[i], next[i]);
    }
    if (factor == T(1)) {
      memcpy(out + begin, sum, size * sizeof(T));
    } else {
      for (uint64_t i = 0; i < size; ++i) out[begin + i] = sum[i] * factor;
    }
  }
}

template <class T>
void reduceOp(int32_t op, void* out, const char* const* sources, int source_count, uint64_t count, double scale) {
  switch (op) {
    case AX_COMM_MAX: return reduceTyped<T, CombineMax>(out, sources, source_count, count, scale);
    case AX_COMM_MIN: return reduceTyped<T, CombineMin>(out, sources, source_count, count, scale);
    default: return reduceTyped<T, CombineSum>(out, sources, source_count, count, scale);
  }
}

}  // namespace

void reduceSources(int32_t op, int32_t dtype, void* out, const char* const* sources, int source_count, uint64_t count,
                   double scale) {
  switch (dtype) {
    case AX_FLOAT64: return reduceOp<double>(op, out, sources, source_count, count, scale);
    case AX_INT32: return reduceOp<int32_t>(op, out, sources, source_count, count, scale);
    case AX_INT64: return reduceOp<int64_t>(op, out, sources, source_count, count, scale);
    default: return reduceOp<float>(op, out, sources, source_count, count, scale);
  }
}

}  // namespace ax
