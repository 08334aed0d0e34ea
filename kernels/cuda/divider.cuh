// Division by a number that all threads share: a multiplication and a shift instead of some 20 instructions.
#ifndef AX_CUDA_DIVIDER_CUH_
#define AX_CUDA_DIVIDER_CUH_
#include <stdint.h>

#include "common/hd.h"
#include "hw/cuda.h"

namespace ax {
inline namespace AX_ISA {

// Of numbers below 2^31, by 1 to 2^31 - 1 (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994).
struct Divider {
  uint32_t divisor, factor, shift;

  static Divider of(int64_t divisor) {
    const uint64_t d = static_cast<uint64_t>(divisor);
    uint32_t shift = 0;
    while ((uint64_t{1} << shift) < d) ++shift;
    const uint64_t factor = (((uint64_t{1} << shift) - d) << 32) / d + 1;
    return {static_cast<uint32_t>(d), static_cast<uint32_t>(factor), shift};
  }
  __device__ uint32_t quotient(uint32_t n) const { return (__umulhi(n, factor) + n) >> shift; }
};

// Numbers from here on are divided in 64 bits.
constexpr int64_t kIndexLimit = int64_t{1} << 31;

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_DIVIDER_CUH_
