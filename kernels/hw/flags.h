// Flags in memory that several GPUs, processes and the host map, and the clock that bounds waiting for one.
#ifndef AX_HW_FLAGS_H_
#define AX_HW_FLAGS_H_
#include <stdint.h>

#include "hw/cuda.h"

#ifdef __CUDACC__

namespace hw {

// Whoever sees the value sees what this thread did before, and what its block did before the barrier that came before.
__device__ __forceinline__ void releaseFlag(uint32_t* flag, uint32_t value) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
}

// Whether the flag, which only counts up, modulo 2^32, has come to `value`; if so, what was done before its release is seen.
__device__ __forceinline__ bool hasReached(const uint32_t* flag, uint32_t value) {
  uint32_t found;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(found) : "l"(flag) : "memory");
  return static_cast<int32_t>(found - value) >= 0;
}

// Without any order of other accesses.
__device__ __forceinline__ void writeFlag(uint32_t* flag, uint32_t value) {
  asm volatile("st.relaxed.sys.global.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
}
__device__ __forceinline__ uint32_t readFlag(const uint32_t* flag) {
  uint32_t value;
  asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
  return value;
}

// Of a clock that all SMs share; it advances in steps of up to a microsecond.
__device__ __forceinline__ uint64_t nanoseconds() {
  uint64_t value;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(value));
  return value;
}

}  // namespace hw

#else
#include "hw/emulator/flags.h"
#endif
#endif  // AX_HW_FLAGS_H_
