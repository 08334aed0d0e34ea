// mbarrier on an emulated GPU. Its 64 bits hold, as on the hardware: arrivals of a phase (20 bits), those still to come (20), bytes still to
// come (22, biased), the parity of the phase that is under way, and a mark that tells it from memory that was never initialised.
#ifndef AX_HW_EMULATOR_MBARRIER_H_
#define AX_HW_EMULATOR_MBARRIER_H_
#include <stdint.h>

#include "hw/emulator/machine.h"
#include "hw/emulator/mutation.h"

namespace hw {
namespace emulator {

struct Phase {
  uint64_t arrivals : 20, pending : 20, bytes : 22, parity : 1, is_initialized : 1;
};
static_assert(sizeof(Phase) == sizeof(uint64_t));

constexpr uint32_t kNoBytes = 1u << 20;  // more may have come than were expected so far, by at most that

inline Phase& phaseOf(uint64_t* barrier, const char* operation) {
  checkShared(barrier, sizeof *barrier, sizeof *barrier, operation);
  Phase& phase = *reinterpret_cast<Phase*>(barrier);
  // Poisoned memory has the mark, but more threads to come than arrive in a phase.
  if (!phase.is_initialized || phase.pending > phase.arrivals || phase.arrivals == 0xfffff) {
    failKernel(std::string(operation) + ": the barrier is not initialised");
  }
  return phase;
}

inline void endIfComplete(Block& block, Phase& phase) {
  if (phase.pending != 0 || phase.bytes != kNoBytes) return;
  phase.parity ^= 1;
  phase.pending = phase.arrivals;
  wakeAll(block.phase_waiters);
}

inline void arriveAt(uint64_t* barrier, uint32_t expected_bytes, const char* operation) {
  Phase& phase = phaseOf(barrier, operation);
  if (phase.pending == 0) failKernel(std::string(operation) + ": more threads arrive than the barrier was initialised for");
  phase.bytes = phase.bytes + expected_bytes;
  --phase.pending;
  endIfComplete(*currentThread().block, phase);
}

// Bytes of an asynchronous copy have come. The copy itself lands outside any thread.
inline void completeBytes(Block& block, uint64_t* barrier, uint32_t bytes) {
  Phase& phase = *reinterpret_cast<Phase*>(barrier);
  phase.bytes = phase.bytes - bytes;
  endIfComplete(block, phase);
}

}  // namespace emulator

inline void initBarrier(uint64_t* barrier, uint32_t arrivals) {
  emulator::checkShared(barrier, sizeof *barrier, sizeof *barrier, "mbarrier.init");
  if (arrivals == 0 || arrivals >= 0xfffff) emulator::failKernel("mbarrier.init: a phase has at least one arrival, and fewer than 2^20 - 1");
  *reinterpret_cast<emulator::Phase*>(barrier) = {arrivals, arrivals, emulator::kNoBytes, 0, 1};
}
inline void fenceBarrierInit() {}
inline __attribute__((always_inline)) void arrive(uint64_t* barrier) {
  if (emulator::isDropped("arrive")) return;
  emulator::arriveAt(barrier, 0, "mbarrier.arrive");
}
inline void arriveAndExpect(uint64_t* barrier, uint32_t bytes) { emulator::arriveAt(barrier, bytes, "mbarrier.arrive.expect_tx"); }

inline __attribute__((always_inline)) void waitForPhase(uint64_t* barrier, uint32_t parity) {
  if (emulator::isDropped("waitForPhase")) return;
  while (emulator::phaseOf(barrier, "mbarrier.try_wait").parity == (parity & 1)) {
    emulator::wait(emulator::currentThread().block->phase_waiters, "an mbarrier");
  }
}

inline __attribute__((always_inline)) void syncSome(int id, int threads) {
  if (emulator::isDropped("syncSome")) return;
  if (threads % 32 != 0) emulator::failKernel("bar.sync: the number of threads is a multiple of 32");
  emulator::barrier(static_cast<unsigned>(id), static_cast<unsigned>(threads));
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_MBARRIER_H_
