// Storages of either library: the exported functions of the section "Storages and host copies", and resolve().
#include <string.h>

#include <atomic>
#include <mutex>

#include "common/device_memory.h"
#include "common/dtype.h"
#include "common/spin_lock.h"
#include "common/status.h"
#include "common/storage_table.h"

namespace ax {
namespace {

// One lock guards the allocator, insertion and removal; find() takes none. Never destroyed: threads of the host program may
// still run while the process exits.
SpinLock g_lock;
StorageTable g_table;
// Whether operands have to be looked at: see checkEachDevice().
std::atomic<bool> g_checks_devices{false};

// Whether a double is an integer in [0, 2^53]. The conversion gives INT64_MIN for NaN and for what does not fit.
bool isCount(double value) {
  const int64_t integer = static_cast<int64_t>(value);
  return static_cast<uint64_t>(integer) <= uint64_t{1} << 53 && static_cast<double>(integer) == value;
}

int32_t failUnknown(uint32_t id) {
  return fail(AX_ERROR_STORAGE, "storage %u is unknown or was released", id);
}

__attribute__((noinline, cold)) int32_t failRange(const Storage* storage, double offset, double count, uint64_t unit_bytes) {
  if (!isCount(offset) || !isCount(count)) {
    return fail(AX_ERROR_ARGUMENT, "offset %.17g and count %.17g must be non-negative integers", offset, count);
  }
  return fail(AX_ERROR_RANGE, "%.0f elements of %llu bytes from element %.0f leave a storage of %llu bytes", count,
              static_cast<unsigned long long>(unit_bytes), offset, static_cast<unsigned long long>(storage->bytes));
}

int32_t resolveUnits(uint32_t id, double offset, double count, uint64_t unit_bytes, void** address) {
  const bool checks_devices = g_checks_devices.load(std::memory_order_relaxed);
  if (__builtin_expect(checks_devices, 0) && recordedAddress(address)) return AX_OK;
  const Storage* storage = g_table.find(id);
  if (__builtin_expect(storage == nullptr, 0)) return failUnknown(id);
  if (__builtin_expect(!isCount(offset) || !isCount(count) ||
                           (static_cast<uint64_t>(offset) + static_cast<uint64_t>(count)) * unit_bytes > storage->bytes,
                       0)) {
    return failRange(storage, offset, count, unit_bytes);
  }
  *address = static_cast<char*>(storage->address) + static_cast<uint64_t>(offset) * unit_bytes;
  return __builtin_expect(checks_devices, 0) ? useOperand(storage->device, *address) : AX_OK;
}

int32_t checkDevice(const char* function, int32_t device) {
  if (device >= 0 && device < StorageTable::kMaxDevices) return AX_OK;
  return fail(AX_ERROR_ARGUMENT, "%s: device is %d, want 0 to %d", function, device, StorageTable::kMaxDevices - 1);
}

}  // namespace

void checkEachDevice() { g_checks_devices.store(true, std::memory_order_relaxed); }

int32_t resolve(uint32_t id, double offset, double count, int32_t dtype, void** address) {
  if (__builtin_expect(!isDtype(dtype), 0)) return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype);
  return resolveUnits(id, offset, count, static_cast<uint64_t>(kDtypeBytes[dtype]), address);
}

int32_t resolveBytes(uint32_t id, double byte_offset, double bytes, void** address) {
  return resolveUnits(id, byte_offset, bytes, 1, address);
}

}  // namespace ax

using namespace ax;

int32_t ax_storage_create(void* id, int32_t device, double bytes, int32_t category) {
  if (id == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_storage_create: id is null");
  AX_TRY(checkDevice("ax_storage_create", device));
  if (!isCount(bytes)) return fail(AX_ERROR_ARGUMENT, "ax_storage_create: bytes is %.17g, want an integer from 0", bytes);
  if (category < 0 || category >= AX_MEMORY_CATEGORIES) {
    return fail(AX_ERROR_ARGUMENT, "ax_storage_create: category is %d, want 0 to %d", category, AX_MEMORY_CATEGORIES - 1);
  }
  const uint64_t byte_count = static_cast<uint64_t>(bytes);
  uint64_t note = 0;
  uint32_t new_id = 0;
  void* address = nullptr;
  {
    std::lock_guard<SpinLock> guard(g_lock);
    AX_TRY(allocateBlock(device, byte_count, &address, &note));
    new_id = g_table.insert(device, address, byte_count, category, note);
    if (new_id == 0) releaseBlock(device, address, note);
  }
  if (__builtin_expect(new_id == 0, 0)) {
    return fail(AX_ERROR_OUT_OF_MEMORY, "more than %u storages are live", StorageTable::kMaxSlots - 1);
  }
  memcpy(id, &new_id, sizeof new_id);
  return AX_OK;
}

int32_t ax_storage_release(const void* ids, int32_t count) {
  if (count < 0 || (ids == nullptr && count > 0)) {
    return fail(AX_ERROR_ARGUMENT, "ax_storage_release: %s", count < 0 ? "count is negative" : "ids is null");
  }
  uint32_t unknown_id = 0;
  bool has_unknown = false;
  {
    std::lock_guard<SpinLock> guard(g_lock);
    for (int32_t i = 0; i < count; ++i) {
      uint32_t id;
      memcpy(&id, static_cast<const char*>(ids) + static_cast<size_t>(i) * sizeof id, sizeof id);
      const Storage* storage = g_table.find(id);
      if (storage == nullptr) {
        if (!has_unknown) unknown_id = id;
        has_unknown = true;
        continue;
      }
      const int32_t device = storage->device;
      void* const address = storage->address;
      const uint64_t note = storage->owner;
      g_table.remove(storage);
      releaseBlock(device, address, note);
    }
  }
  return has_unknown ? failUnknown(unknown_id) : AX_OK;
}

int32_t ax_storage_categorize(uint32_t id, int32_t category) {
  if (category < 0 || category >= AX_MEMORY_CATEGORIES) {
    return fail(AX_ERROR_ARGUMENT, "ax_storage_categorize: category is %d, want 0 to %d", category, AX_MEMORY_CATEGORIES - 1);
  }
  {
    std::lock_guard<SpinLock> guard(g_lock);
    const Storage* storage = g_table.find(id);
    if (storage != nullptr) {
      g_table.categorize(storage, category);
      return AX_OK;
    }
  }
  return failUnknown(id);
}

int32_t ax_storage_address(void* address_and_bytes, uint32_t id) {
  if (address_and_bytes == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_storage_address: address_and_bytes is null");
  if (!isHostMemory()) return fail(AX_ERROR_UNSUPPORTED, "ax_storage_address: this library's storages are not host memory");
  const Storage* storage = g_table.find(id);
  if (storage == nullptr) return failUnknown(id);
  const uint64_t values[2] = {reinterpret_cast<uintptr_t>(storage->address), storage->bytes};
  memcpy(address_and_bytes, values, sizeof values);
  return AX_OK;
}

int32_t ax_storage_read(void* host, uint32_t storage, double byte_offset, double bytes) {
  void* address = nullptr;
  int32_t status = resolveBytes(storage, byte_offset, bytes, &address);
  if (status != AX_OK || bytes == 0) return status;
  if (host == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_storage_read: host is null");
  return copyToHost(host, address, static_cast<uint64_t>(bytes));
}

int32_t ax_storage_write(uint32_t storage, double byte_offset, const void* host, double bytes) {
  void* address = nullptr;
  int32_t status = resolveBytes(storage, byte_offset, bytes, &address);
  if (status != AX_OK || bytes == 0) return status;
  if (host == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_storage_write: host is null");
  return copyToDevice(address, host, static_cast<uint64_t>(bytes));
}

int32_t ax_memory_stats(void* stats, int32_t count, int32_t device) {
  if (stats == nullptr || count < AX_MEMORY_STATS) {
    return fail(AX_ERROR_ARGUMENT, "ax_memory_stats: needs room for %d doubles, got %d", AX_MEMORY_STATS, stats == nullptr ? 0 : count);
  }
  AX_TRY(checkDevice("ax_memory_stats", device));
  DeviceMemory memory;
  MemoryCounters counters;
  {
    std::lock_guard<SpinLock> guard(g_lock);
    AX_TRY(describeMemory(device, &memory));
    counters = g_table.counters(device);
  }
  double values[AX_MEMORY_STATS] = {
      static_cast<double>(counters.live_count), static_cast<double>(counters.live_bytes), static_cast<double>(memory.cached_bytes),
      static_cast<double>(counters.peak_bytes), static_cast<double>(memory.system_bytes)};
  for (int category = 0; category < AX_MEMORY_CATEGORIES; ++category) {
    values[5 + 2 * category] = static_cast<double>(counters.category_count[category]);
    values[6 + 2 * category] = static_cast<double>(counters.category_bytes[category]);
  }
  double* const more = values + 5 + 2 * AX_MEMORY_CATEGORIES;
  more[0] = static_cast<double>(memory.recorded_bytes);
  more[1] = static_cast<double>(memory.free_bytes);
  more[2] = static_cast<double>(memory.total_bytes);
  memcpy(stats, values, sizeof values);
  return AX_OK;
}

int32_t ax_memory_trim(int32_t device) {
  AX_TRY(checkDevice("ax_memory_trim", device));
  std::lock_guard<SpinLock> guard(g_lock);
  AX_TRY(trimBlocks(device));
  g_table.resetPeak(device);
  return AX_OK;
}
