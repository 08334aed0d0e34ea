// Barriers in shared memory that count arrivals of threads and bytes of asynchronous copies (mbarrier, sm_90 and newer), and barriers of
// some threads of a block.
//
// An mbarrier has a phase. The phase ends when `arrivals` threads have arrived and all expected bytes have come; then the next begins.
// waitForPhase(b, parity) returns when the phase of that parity has ended: the first phase has parity 0, and a wait for parity 1
// before any phase has ended returns at once, so a ring of buffers starts out empty.
#ifndef AX_HW_MBARRIER_H_
#define AX_HW_MBARRIER_H_
#include <stdint.h>

#include "hw/async_copy.h"
#include "hw/cuda.h"

namespace hw {
using Mbarrier = uint64_t;
}  // namespace hw
#ifdef __CUDACC__

namespace hw {

// By one thread; the others see it after fenceBarrierInit() and a barrier of the block.
__device__ __forceinline__ void initBarrier(Mbarrier* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void fenceBarrierInit() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

__device__ __forceinline__ void arrive(Mbarrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(barrier)) : "memory");
}

// Arrives, and lets the phase wait for `bytes` more.
__device__ __forceinline__ void arriveAndExpect(Mbarrier* barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(bytes) : "memory");
}

__device__ __forceinline__ void waitForPhase(Mbarrier* barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra end;\n"
      "bra again;\n"
      "end:\n"
      "}" ::"r"(sharedAddress(barrier)),
      "r"(parity)
      : "memory");
}

// Barrier `id` (1 to 15; 0 is that of __syncthreads) of `threads` threads, whole warps.
__device__ __forceinline__ void syncSome(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

}  // namespace hw
#else
#include "hw/emulator/mbarrier.h"
#endif
#endif  // AX_HW_MBARRIER_H_
