// Storages of the CPU: the id table over a caching allocator.
//
// Sizes are rounded up to classes, 64-byte steps to 1 KiB and eight classes per power of two above, so that at most 12.5% is
// wasted. Blocks up to 32 KiB are carved from slabs; freed blocks of every class wait in its free list.
#include <stdlib.h>

#include <map>
#include <mutex>
#include <vector>

#include "common/dtype.h"
#include "common/spin_lock.h"
#include "common/status.h"
#include "common/storage_table.h"

namespace ax {
namespace {

constexpr uint64_t kAlignment = 64, kSlabBytes = 1 << 18, kLargestCarved = 1 << 15;

uint64_t classBytes(uint64_t bytes) {
  if (bytes <= 64) return 64;
  if (bytes <= 1024) return (bytes + 63) / 64 * 64;
  int exponent = 63 - __builtin_clzll(bytes - 1);
  uint64_t step = uint64_t{1} << (exponent - 3);
  return (bytes + step - 1) / step * step;
}

struct Allocator {
  SpinLock lock;
  StorageTable table;
  // Small classes by index (bytes / 64), larger ones by their bytes.
  std::vector<void*> small_free[17];
  std::map<uint64_t, std::vector<void*>> large_free;
  char* slab = nullptr;
  uint64_t slab_left = 0, cached_bytes = 0, system_bytes = 0;

  std::vector<void*>& freeList(uint64_t bytes) { return bytes <= 1024 ? small_free[bytes / 64] : large_free[bytes]; }

  void* take(uint64_t bytes) {
    std::vector<void*>& list = freeList(bytes);
    if (!list.empty()) {
      void* block = list.back();
      list.pop_back();
      cached_bytes -= bytes;
      return block;
    }
    if (bytes > kLargestCarved) {
      void* block = aligned_alloc(kAlignment, bytes);
      if (block != nullptr) system_bytes += bytes;
      return block;
    }
    if (slab_left < bytes) {
      char* fresh = static_cast<char*>(aligned_alloc(kAlignment, kSlabBytes));
      if (fresh == nullptr) return nullptr;
      slab = fresh;
      slab_left = kSlabBytes;
      system_bytes += kSlabBytes;
    }
    void* block = slab;
    slab += bytes;
    slab_left -= bytes;
    return block;
  }

  void give(void* block, uint64_t bytes) {
    freeList(bytes).push_back(block);
    cached_bytes += bytes;
  }
};

// Never destroyed: worker threads may still release storages while the process exits.
Allocator& allocator() {
  static Allocator* instance = new (calloc(1, sizeof(Allocator))) Allocator;
  return *instance;
}

bool isCount(double value) { return value >= 0 && value <= 9007199254740992.0 && value == static_cast<double>(static_cast<int64_t>(value)); }

int32_t resolveBytes(uint32_t id, double byte_offset, double bytes, char** address) {
  const Storage* storage = allocator().table.find(id);
  if (storage == nullptr) return fail(AX_ERROR_STORAGE, "storage %u was released or never existed", id);
  if (!isCount(byte_offset) || !isCount(bytes) || byte_offset + bytes > static_cast<double>(storage->bytes)) {
    return fail(AX_ERROR_RANGE, "bytes %.0f from %.0f leave storage %u of %llu bytes", bytes, byte_offset, id,
                static_cast<unsigned long long>(storage->bytes));
  }
  *address = static_cast<char*>(storage->address) + static_cast<int64_t>(byte_offset);
  return AX_OK;
}

}  // namespace

int32_t resolve(uint32_t id, double offset, double count, int32_t dtype, void** address) {
  if (!isDtype(dtype)) return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype);
  const double item = kDtypeBytes[dtype];
  return resolveBytes(id, offset * item, count * item, reinterpret_cast<char**>(address));
}

}  // namespace ax

using namespace ax;

int32_t ax_storage_create(void* id, double bytes, int32_t category) {
  if (!isCount(bytes)) return fail(AX_ERROR_ARGUMENT, "bytes must be a non-negative integer, got %g", bytes);
  if (category < 0 || category >= AX_MEMORY_CATEGORIES) return fail(AX_ERROR_ARGUMENT, "unknown memory category %d", category);
  Allocator& heap = allocator();
  std::lock_guard<SpinLock> guard(heap.lock);
  const uint64_t size = classBytes(static_cast<uint64_t>(bytes));
  void* block = heap.take(size);
  if (block == nullptr) return fail(AX_ERROR_OUT_OF_MEMORY, "the system has no %.0f bytes left", bytes);
  const uint32_t entered = heap.table.insert(block, static_cast<uint64_t>(bytes), category, size);
  if (entered == 0) {
    heap.give(block, size);
    return fail(AX_ERROR_OUT_OF_MEMORY, "more than %u storages are live", StorageTable::kMaxSlots - 1);
  }
  *static_cast<uint32_t*>(id) = entered;
  return AX_OK;
}

int32_t ax_storage_release(const void* ids, int32_t count) {
  Allocator& heap = allocator();
  std::lock_guard<SpinLock> guard(heap.lock);
  int32_t status = AX_OK;
  for (int32_t i = 0; i < count; ++i) {
    const uint32_t id = static_cast<const uint32_t*>(ids)[i];
    const Storage* storage = heap.table.find(id);
    if (storage == nullptr) {
      status = fail(AX_ERROR_STORAGE, "storage %u was released before or never existed", id);
      continue;
    }
    heap.give(storage->address, storage->owner);
    heap.table.remove(storage);
  }
  return status;
}

int32_t ax_storage_categorize(uint32_t id, int32_t category) {
  if (category < 0 || category >= AX_MEMORY_CATEGORIES) return fail(AX_ERROR_ARGUMENT, "unknown memory category %d", category);
  Allocator& heap = allocator();
  std::lock_guard<SpinLock> guard(heap.lock);
  const Storage* storage = heap.table.find(id);
  if (storage == nullptr) return fail(AX_ERROR_STORAGE, "storage %u was released or never existed", id);
  heap.table.categorize(storage, category);
  return AX_OK;
}

int32_t ax_storage_address(void* address_and_bytes, uint32_t id) {
  const Storage* storage = allocator().table.find(id);
  if (storage == nullptr) return fail(AX_ERROR_STORAGE, "storage %u was released or never existed", id);
  static_cast<uint64_t*>(address_and_bytes)[0] = reinterpret_cast<uint64_t>(storage->address);
  static_cast<uint64_t*>(address_and_bytes)[1] = storage->bytes;
  return AX_OK;
}

int32_t ax_storage_read(void* host, uint32_t storage, double byte_offset, double bytes) {
  char* address;
  AX_TRY(resolveBytes(storage, byte_offset, bytes, &address));
  if (bytes > 0) memcpy(host, address, static_cast<size_t>(bytes));
  return AX_OK;
}

int32_t ax_storage_write(uint32_t storage, double byte_offset, const void* host, double bytes) {
  char* address;
  AX_TRY(resolveBytes(storage, byte_offset, bytes, &address));
  if (bytes > 0) memcpy(address, host, static_cast<size_t>(bytes));
  return AX_OK;
}

int32_t ax_memory_stats(void* stats, int32_t count) {
  if (count < StorageTable::kStatsCount) {
    return fail(AX_ERROR_ARGUMENT, "stats needs room for %d doubles, got %d", StorageTable::kStatsCount, count);
  }
  Allocator& heap = allocator();
  std::lock_guard<SpinLock> guard(heap.lock);
  heap.table.writeStats(static_cast<double*>(stats), heap.cached_bytes, heap.system_bytes);
  return AX_OK;
}

int32_t ax_memory_trim(void) {
  Allocator& heap = allocator();
  std::lock_guard<SpinLock> guard(heap.lock);
  for (auto& [bytes, blocks] : heap.large_free) {
    if (bytes <= kLargestCarved) continue;  // part of a slab
    for (void* block : blocks) free(block);
    heap.cached_bytes -= bytes * blocks.size();
    heap.system_bytes -= bytes * blocks.size();
    blocks.clear();
  }
  heap.table.resetPeak();
  return AX_OK;
}
