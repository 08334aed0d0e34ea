// The vectors of an instruction-set level, in the notation of GCC.
#ifndef AX_CPU_VECTOR_H_
#define AX_CPU_VECTOR_H_
#include <stdint.h>

namespace ax {
inline namespace AX_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// `type` may be read from and written to any place that holds elements.
template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  static constexpr int kLanes = kVectorBytes / sizeof(T);
};

inline int64_t roundUp(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_VECTOR_H_
