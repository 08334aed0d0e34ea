// The caching allocator of the CPU library: size classes up to 1 MiB, whole mappings above. Not thread-safe: the owner locks.
#ifndef AX_CPU_HOST_ALLOCATOR_H_
#define AX_CPU_HOST_ALLOCATOR_H_
#include <stdint.h>

#include <map>
#include <vector>

namespace ax {

class HostAllocator {
 public:
  // Returns at least `bytes` of memory, 64-byte aligned and not initialised, or null. `note` must be passed to release().
  void* allocate(uint64_t bytes, uint64_t* note);
  void release(void* address, uint64_t note);

  // Returns unused slabs and cached mappings to the system.
  void trim();

  uint64_t cachedBytes() const { return system_bytes_ - used_bytes_; }
  uint64_t systemBytes() const { return system_bytes_; }

  // What the process may use: the machine's memory and swap, or its control group's limit where that is smaller.
  static uint64_t limitBytes();

 private:
  // Blocks of up to 1 KiB differ by 64 bytes, larger ones by an eighth of a power of two (waste at most 12.5%).
  static constexpr uint64_t kLinearBytes = 1024, kMaxClassBytes = 1 << 20;
  static constexpr int kLinearClasses = 16, kClasses = kLinearClasses + 10 * 8;

  struct FreeBlock {
    FreeBlock* next;
  };
  struct SizeClass {
    FreeBlock* free = nullptr;
    char* bump = nullptr;  // the part of the newest slab that was never handed out
    char* bump_end = nullptr;
  };
  struct Slab {
    char* base;
    uint64_t bytes;
    int class_index;
  };

  static int classOf(uint64_t bytes);
  static uint64_t classBytes(int class_index);
  static uint64_t slabBytes(int class_index);
  static uint64_t roundLarge(uint64_t bytes);

  void* allocateFromNewSlab(int class_index);
  void* allocateLarge(uint64_t bytes, uint64_t* note);
  void* mapLarge(uint64_t bytes);
  void* map(uint64_t bytes);
  void unmap(void* address, uint64_t bytes);
  void trimLarge(uint64_t keep_bytes);
  void trimSlabs();

  SizeClass classes_[kClasses];
  std::vector<Slab> slabs_;
  std::multimap<uint64_t, void*> cached_large_;  // by size, for best fit
  uint64_t cached_large_bytes_ = 0;
  uint64_t used_bytes_ = 0;    // in blocks that are handed out, rounding included
  uint64_t system_bytes_ = 0;  // mapped
};

}  // namespace ax

#endif  // AX_CPU_HOST_ALLOCATOR_H_
