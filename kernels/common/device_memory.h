// What a backend supplies for storages: blocks of device memory, and copies between them and the host.
#ifndef AX_COMMON_DEVICE_MEMORY_H_
#define AX_COMMON_DEVICE_MEMORY_H_
#include <stdint.h>

#include "common/shm_comm.h"

namespace ax {

// Blocks are at least 64-byte aligned and not initialised. The caller holds the storages' lock. `device` is an index; 0 on the CPU.
int32_t allocateBlock(int32_t device, uint64_t bytes, void** address, uint64_t* note);
void releaseBlock(int32_t device, void* address, uint64_t note);
int32_t trimBlocks(int32_t device);

// What the device says of its memory; zero where that is not known.
struct DeviceMemory {
  uint64_t cached_bytes = 0;    // kept for reuse
  uint64_t system_bytes = 0;    // obtained from the system
  uint64_t recorded_bytes = 0;  // of those, what recorded steps keep for their replays
  uint64_t free_bytes = 0, total_bytes = 0;  // of the whole device, with what other processes use
};
int32_t describeMemory(int32_t device, DeviceMemory* memory);

// After all work enqueued before; `host` may be reused on return. resolveBytes() has made the device current.
int32_t copyToHost(void* host, const void* device, uint64_t bytes);
int32_t copyToDevice(void* device, const void* host, uint64_t bytes);

// Whether the host can read and write the blocks itself.
bool isHostMemory();

// Makes resolve() call the two functions below for each operand. A process with one device and no recorded step does without.
void checkEachDevice();
// A call that updates a recorded step gets the addresses of then, in order; false in any other call.
bool recordedAddress(void** address);
// Makes the device of an operand the calling thread's, and notes the operand's address where a step is recorded.
int32_t useOperand(int32_t device, void* address);

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
