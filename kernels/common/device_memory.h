// What a backend supplies for storages: blocks of device memory, and copies between them and the host.
#ifndef AX_COMMON_DEVICE_MEMORY_H_
#define AX_COMMON_DEVICE_MEMORY_H_
#include <stdint.h>

#include "common/shm_comm.h"

namespace ax {

// Blocks are at least 64-byte aligned and not initialised. The caller holds the storages' lock.
int32_t allocateBlock(uint64_t bytes, void** address, uint64_t* note);
void releaseBlock(void* address, uint64_t note);
void trimBlocks();
uint64_t cachedBlockBytes();
uint64_t systemBlockBytes();

// After all work enqueued before; `host` may be reused on return.
int32_t copyToHost(void* host, const void* device, uint64_t bytes);
int32_t copyToDevice(void* device, const void* host, uint64_t bytes);

// Whether the host can read and write the blocks itself.
bool isHostMemory();

// A storage's bytes as a collective sees them.
class StorageCommBuffer final : public CommBuffer {
 public:
  explicit StorageCommBuffer(void* address) : address_(static_cast<char*>(address)) {}
  char* hostAddress() override { return isHostMemory() ? address_ : nullptr; }
  int32_t copyIn(void* host, uint64_t byte_offset, uint64_t bytes) override { return copyToHost(host, address_ + byte_offset, bytes); }
  int32_t copyOut(uint64_t byte_offset, const void* host, uint64_t bytes) override {
    return copyToDevice(address_ + byte_offset, host, bytes);
  }

 private:
  char* address_;
};

}  // namespace ax

#endif  // AX_COMMON_DEVICE_MEMORY_H_
