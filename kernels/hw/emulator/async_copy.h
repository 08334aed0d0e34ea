// cp.async on an emulated GPU: the destination is NaN from the moment a copy begins, and holds the bytes when the thread has waited.
#ifndef AX_HW_EMULATOR_ASYNC_COPY_H_
#define AX_HW_EMULATOR_ASYNC_COPY_H_
#include <string.h>

#include "hw/emulator/machine.h"
#include "hw/emulator/mutation.h"

namespace hw {
namespace emulator {

inline void land(const std::vector<PendingCopy>& copies) {
  for (const PendingCopy& copy : copies) {
    memcpy(copy.to, copy.from, copy.source_bytes);
    memset(copy.to + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
  }
}

}  // namespace emulator

// The place in dynamic shared memory, counted from its start.
inline uint32_t sharedAddress(const void* pointer) {
  return static_cast<uint32_t>(static_cast<const unsigned char*>(pointer) - emulator::currentThread().block->dynamic_shared);
}

template <int kBytes>
void copyAsync(void* to, const void* from, uint32_t source_bytes = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  emulator::checkShared(to, kBytes, kBytes, "cp.async");
  if (reinterpret_cast<uintptr_t>(from) % kBytes != 0) emulator::failKernel("cp.async: the source is not aligned to the size of the copy");
  if (source_bytes > kBytes) emulator::failKernel("cp.async: more source bytes than the copy has");
  memset(to, emulator::kPoison, kBytes);
  emulator::currentThread().open_copies.push_back({static_cast<char*>(to), static_cast<const char*>(from), kBytes, source_bytes});
}

inline void commitCopies() {
  emulator::Thread& thread = emulator::currentThread();
  thread.copy_groups.emplace_back();
  thread.copy_groups.back().swap(thread.open_copies);
}

template <int kOpen>
__attribute__((always_inline)) inline void waitForCopies() {
  if (emulator::isDropped("waitForCopies")) return;
  auto& groups = emulator::currentThread().copy_groups;
  if (groups.size() <= kOpen) return;
  const auto end = groups.end() - kOpen;
  for (auto group = groups.begin(); group != end; ++group) emulator::land(*group);
  groups.erase(groups.begin(), end);
}

inline __attribute__((always_inline)) void waitForAllCopies() {
  commitCopies();
  waitForCopies<0>();
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_ASYNC_COPY_H_
