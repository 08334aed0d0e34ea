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

int32_t allocateBlock(uint64_t bytes, void** address, uint64_t* note) {
  *address = allocator().allocate(bytes, note);
  if (*address != nullptr) return AX_OK;
  return fail(AX_ERROR_OUT_OF_MEMORY, "out of memory: cannot allocate %llu bytes (cached %llu, limit %llu bytes)",
              static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(allocator().cachedBytes()),
              static_cast<unsigned long long>(HostAllocator::limitBytes()));
}

void releaseBlock(void* address, uint64_t note) { allocator().release(address, note); }
void trimBlocks() { allocator().trim(); }
uint64_t cachedBlockBytes() { return allocator().cachedBytes(); }
uint64_t systemBlockBytes() { return allocator().systemBytes(); }

int32_t copyToHost(void* host, const void* device, uint64_t bytes) {
  memcpy(host, device, bytes);
  return AX_OK;
}

int32_t copyToDevice(void* device, const void* host, uint64_t bytes) {
  memcpy(device, host, bytes);
  return AX_OK;
}

bool isHostMemory() { return true; }

}  // namespace ax
