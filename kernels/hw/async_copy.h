// Asynchronous copies from global to shared memory (cp.async, sm_80 and newer).
//
// A thread begins copies, closes a group with commitCopies() and waits for its own groups. What others have copied is seen only after
// a barrier that follows their wait.
#ifndef AX_HW_ASYNC_COPY_H_
#define AX_HW_ASYNC_COPY_H_
#include <stdint.h>

#include "hw/cuda.h"
#ifdef __CUDACC__

namespace hw {

// An address in shared memory as instructions take it.
__device__ __forceinline__ uint32_t sharedAddress(const void* pointer) { return static_cast<uint32_t>(__cvta_generic_to_shared(pointer)); }

// Begins a copy of 4, 8 or 16 bytes; both addresses are multiples of that. Only `source_bytes` are read, the rest becomes 0. Whole
// 16 bytes go past the first-level cache.
template <int kBytes>
__device__ __forceinline__ void copyAsync(void* to, const void* from, uint32_t source_bytes = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)), "l"(__cvta_generic_to_global(from)), "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(sharedAddress(to)), "l"(__cvta_generic_to_global(from)), "n"(kBytes),
                 "r"(source_bytes)
                 : "memory");
  }
}

// Closes the group of the copies begun since the last one; it may be empty.
__device__ __forceinline__ void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most the newest `kOpen` groups are still under way.
template <int kOpen>
__device__ __forceinline__ void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

// Waits for all copies, committed or not.
__device__ __forceinline__ void waitForAllCopies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

}  // namespace hw
#else
#include "hw/emulator/async_copy.h"
#endif
#endif  // AX_HW_ASYNC_COPY_H_
