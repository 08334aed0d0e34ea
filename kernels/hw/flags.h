// Flags in memory that several GPUs, processes and the host map, and the clock that bounds waiting for one.
#ifndef AX_HW_FLAGS_H_
#define AX_HW_FLAGS_H_
#include <stdint.h>

#include "hw/cuda.h"

#ifndef __CUDACC__
#include <time.h>
#endif

namespace hw {

#ifdef __CUDACC__

// Whoever sees the value sees what this thread did before, and what its block did before the barrier that came before.
__device__ __forceinline__ void releaseFlag(uint32_t* flag, uint32_t value) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
}
__device__ __forceinline__ uint32_t acquireFlag(const uint32_t* flag) {
  uint32_t value;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
  return value;
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

#else

inline void releaseFlag(uint32_t* flag, uint32_t value) { __atomic_store_n(flag, value, __ATOMIC_RELEASE); }
inline uint32_t acquireFlag(const uint32_t* flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }
inline void writeFlag(uint32_t* flag, uint32_t value) { __atomic_store_n(flag, value, __ATOMIC_RELAXED); }
inline uint32_t readFlag(const uint32_t* flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
inline uint64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

#endif

}  // namespace hw
#endif  // AX_HW_FLAGS_H_
