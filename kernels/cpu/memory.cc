// Blocks of host memory for the storages of the CPU library.
#include <string.h>

#include "common/device_memory.h"
#include "common/status.h"
#include "cpu/host_allocator.h"

namespace ax {
namespace {

// Never destroyed: threads of the host program may still run while the process exits.
HostAllocator& allocator() {
  static HostAllocator* const instance = new HostAllocator;
  return *instance;
}

}  // namespace

int32_t allocateBlock(int32_t device, uint64_t bytes, void** address, uint64_t* note) {
  if (device != 0) return fail(AX_ERROR_ARGUMENT, "the CPU is device 0, got %d", device);
  *address = allocator().allocate(bytes, note);
  if (*address != nullptr) return AX_OK;
  return fail(AX_ERROR_OUT_OF_MEMORY, "out of memory: cannot allocate %llu bytes (cached %llu, limit %llu bytes)",
              static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(allocator().cachedBytes()),
              static_cast<unsigned long long>(HostAllocator::limitBytes()));
}

void releaseBlock(int32_t, void* address, uint64_t note) { allocator().release(address, note); }

int32_t trimBlocks(int32_t) {
  allocator().trim();
  return AX_OK;
}

int32_t describeMemory(int32_t, DeviceMemory* memory) {
  memory->cached_bytes = allocator().cachedBytes();
  memory->system_bytes = allocator().systemBytes();
  return AX_OK;
}

int32_t copyToHost(void* host, const void* device, uint64_t bytes) {
  memcpy(host, device, bytes);
  return AX_OK;
}

int32_t copyToDevice(void* device, const void* host, uint64_t bytes) {
  memcpy(device, host, bytes);
  return AX_OK;
}

bool isHostMemory() { return true; }

// There is one device, and no step is recorded.
bool recordedAddress(void**) { return false; }
int32_t useOperand(int32_t, void*) { return AX_OK; }

}  // namespace ax
