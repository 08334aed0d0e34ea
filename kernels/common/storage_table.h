// The table behind storage ids, and the memory statistics. Used by the CPU and by the CUDA library: it knows nothing of where
// an address lies.
//
// An id is a slot number (20 bits) and the slot's generation (12 bits, never 0, so that no id is 0). Looking an id up takes no
// lock; inserting and removing happen under the owner's lock.
#ifndef AX_COMMON_STORAGE_TABLE_H_
#define AX_COMMON_STORAGE_TABLE_H_
#include <stdint.h>

#include <atomic>

#include "include/accelerate.h"

namespace ax {

struct Storage {
  std::atomic<uint32_t> id{0};  // 0 while the slot is free
  uint16_t generation = 0;      // of the last id given out
  uint8_t category = 0;         // AX_MEMORY_*
  uint8_t device = 0;           // CUDA device index; 0 on the CPU
  void* address = nullptr;
  uint64_t bytes = 0;           // as requested
  uint64_t owner = 0;           // the allocator's own note while live (a size class or block); next free slot while free
};

struct MemoryCounters {
  uint64_t live_count = 0, live_bytes = 0, peak_bytes = 0;
  uint64_t category_count[AX_MEMORY_CATEGORIES] = {}, category_bytes[AX_MEMORY_CATEGORIES] = {};
};

class StorageTable {
 public:
  static constexpr int32_t kMaxDevices = 64;
  static constexpr uint32_t kSlotBits = 20;
  static constexpr uint32_t kMaxSlots = 1u << kSlotBits;
  static constexpr uint32_t kMaxGeneration = (1u << (32 - kSlotBits)) - 1;

  // The live storage with this id, or null. Lock-free.
  const Storage* find(uint32_t id) const {
    const Storage& slot = slots_[id & (kMaxSlots - 1)];
    return __builtin_expect(id != 0 && slot.id.load(std::memory_order_acquire) == id, 1) ? &slot : nullptr;
  }

  // Enters a storage and returns its id, or 0 when kMaxSlots - 1 storages are live. Under the owner's lock.
  uint32_t insert(int32_t device, void* address, uint64_t bytes, int32_t category, uint64_t owner) {
    uint32_t index;
    if (first_free_ != 0) {
      index = first_free_;
      first_free_ = static_cast<uint32_t>(slots_[index].owner);
    } else if (used_slots_ + 1 < kMaxSlots) {
      index = ++used_slots_;
    } else {
      return 0;
    }
    Storage& slot = slots_[index];
    slot.generation = static_cast<uint16_t>(slot.generation == kMaxGeneration ? 1 : slot.generation + 1);
    slot.address = address;
    slot.bytes = bytes;
    slot.category = static_cast<uint8_t>(category);
    slot.device = static_cast<uint8_t>(device);
    slot.owner = owner;
    MemoryCounters& counters = counters_[slot.device];
    counters.live_count += 1;
    counters.live_bytes += bytes;
    if (counters.live_bytes > counters.peak_bytes) counters.peak_bytes = counters.live_bytes;
    counters.category_count[category] += 1;
    counters.category_bytes[category] += bytes;
    uint32_t id = index | (static_cast<uint32_t>(slot.generation) << kSlotBits);
    slot.id.store(id, std::memory_order_release);
    return id;
  }

  // Removes a live storage found by find(). The caller reads `address` and `owner` before. Under the owner's lock.
  void remove(const Storage* storage) {
    Storage& slot = slots_[storage - slots_];
    slot.id.store(0, std::memory_order_release);
    MemoryCounters& counters = counters_[slot.device];
    counters.live_count -= 1;
    counters.live_bytes -= slot.bytes;
    counters.category_count[slot.category] -= 1;
    counters.category_bytes[slot.category] -= slot.bytes;
    slot.owner = first_free_;
    first_free_ = static_cast<uint32_t>(storage - slots_);
  }

  // Moves a live storage to another category. Under the owner's lock.
  void categorize(const Storage* storage, int32_t category) {
    Storage& slot = slots_[storage - slots_];
    MemoryCounters& counters = counters_[slot.device];
    counters.category_count[slot.category] -= 1;
    counters.category_bytes[slot.category] -= slot.bytes;
    slot.category = static_cast<uint8_t>(category);
    counters.category_count[category] += 1;
    counters.category_bytes[category] += slot.bytes;
  }

  void resetPeak(int32_t device) { counters_[device].peak_bytes = counters_[device].live_bytes; }
  const MemoryCounters& counters(int32_t device) const { return counters_[device]; }

 private:
  // All members start as zero, so that the table lies in .bss: pages that no storage has used take no memory. Slot 0 is not
  // used, so that 0 can mean "none".
  Storage slots_[kMaxSlots];
  uint32_t first_free_ = 0;
  uint32_t used_slots_ = 0;
  MemoryCounters counters_[kMaxDevices];
};

}  // namespace ax

#endif  // AX_COMMON_STORAGE_TABLE_H_
