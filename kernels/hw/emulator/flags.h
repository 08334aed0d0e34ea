// Flags between processes for an emulated GPU: see hw/flags.h.
#ifndef AX_HW_EMULATOR_FLAGS_H_
#define AX_HW_EMULATOR_FLAGS_H_
#include <stdint.h>
#include <time.h>

#include "hw/emulator/mutation.h"

namespace hw {

inline __attribute__((always_inline)) void releaseFlag(uint32_t* flag, uint32_t value) {
  if (emulator::isDropped("releaseFlag")) return;
  __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}
inline __attribute__((always_inline)) bool hasReached(const uint32_t* flag, uint32_t value) {
  if (emulator::isDropped("hasReached")) return true;
  return static_cast<int32_t>(__atomic_load_n(flag, __ATOMIC_ACQUIRE) - value) >= 0;
}
inline void writeFlag(uint32_t* flag, uint32_t value) { __atomic_store_n(flag, value, __ATOMIC_RELAXED); }
inline uint32_t readFlag(const uint32_t* flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
inline uint64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_FLAGS_H_
