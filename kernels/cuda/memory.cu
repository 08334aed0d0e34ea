// Storages' memory on GPUs: see common/device_memory.h.
#include "common/device_memory.h"

#include "cuda/device.h"
#include "cuda/recording.h"
#include "cuda/scratch.h"

namespace ax {
namespace {

unsigned long long number(uint64_t value) { return value; }

// Where the calling thread's blocks come from.
Allocator::Pool* poolOf(Device& device) {
  Allocator::Pool* const pool = recordingPool(device);
  return pool != nullptr ? pool : device.allocator.commonPool();
}

int32_t failRecording(const char* what) {
  return fail(AX_ERROR_CAPTURE, "a recorded step cannot %s", what);
}

}  // namespace

int32_t obtainBlock(Device& device, uint64_t bytes, void** address, Allocator::Note* note) {
  Allocator& allocator = device.allocator;
  cudaError_t error = allocator.allocate(bytes, poolOf(device), address, note);
  if (error == cudaErrorMemoryAllocation && !isRecording()) {
    allocator.trim();
    error = allocator.allocate(bytes, poolOf(device), address, note);
  }
  if (error != cudaErrorMemoryAllocation) return checkCuda(error, "allocate device memory");
  return fail(AX_ERROR_OUT_OF_MEMORY, "out of memory: GPU %d cannot give %llu bytes (%llu are in use, %llu cached)", device.index,
              number(bytes), number(allocator.usedBytes()), number(allocator.systemBytes() - allocator.usedBytes()));
}

int32_t grow(Device& device, HeldBlock* held, uint64_t bytes) {
  if (bytes <= held->bytes) return AX_OK;
  // Work that uses the old block was enqueued before whatever will use its memory next.
  if (held->address != nullptr) device.allocator.release(held->address, held->note);
  *held = {};
  const uint64_t size = bytes + bytes / 4;
  AX_TRY(obtainBlock(device, size, &held->address, &held->note));
  held->bytes = size;
  return AX_OK;
}

int32_t scratch(size_t bytes, void** address) {
  if (recordedAddress(address)) return AX_OK;
  Device* device;
  AX_TRY(currentDevice(&device));
  std::lock_guard<std::mutex> guard(device->memory_lock);
  HeldBlock& held = isRecording() ? *recordingScratch() : device->scratch;
  AX_TRY(grow(*device, &held, bytes));
  *address = held.address;
  noteAddress(*address);
  return AX_OK;
}

int32_t allocateBlock(int32_t index, uint64_t bytes, void** address, uint64_t* note) {
  Device* device;
  AX_TRY(deviceAt(index, &device));
  std::lock_guard<std::mutex> guard(device->memory_lock);
  return obtainBlock(*device, bytes, address, note);
}

void releaseBlock(int32_t index, void* address, uint64_t note) {
  Device* const device = startedDevice(index);
  std::lock_guard<std::mutex> guard(device->memory_lock);
  device->allocator.release(address, note);
}

int32_t trimBlocks(int32_t index) {
  Device* device;
  AX_TRY(deviceAt(index, &device));
  std::lock_guard<std::mutex> guard(device->memory_lock);
  if (!isRecording()) device->allocator.trim();
  return AX_OK;
}

int32_t describeMemory(int32_t index, DeviceMemory* memory) {
  Device* device;
  AX_TRY(deviceAt(index, &device));
  std::lock_guard<std::mutex> guard(device->memory_lock);
  const Allocator& allocator = device->allocator;
  size_t free_bytes = 0, total_bytes = 0;
  AX_TRY(checkCuda(cudaMemGetInfo(&free_bytes, &total_bytes), "ask for the memory of the GPU"));
  *memory = {allocator.systemBytes() - allocator.usedBytes(), allocator.systemBytes(), allocator.poolBytes(), free_bytes, total_bytes};
  return AX_OK;
}

int32_t copyToHost(void* host, const void* address, uint64_t bytes) {
  Device* device;
  AX_TRY(currentDevice(&device));
  if (isRecording()) return failRecording("copy to the host, which waits for the GPU");
  AX_TRY(checkCuda(device->staging.toHost(host, address, bytes, device->compute), "copy to the host"));
  return takeErrors(*device);
}

int32_t copyToDevice(void* address, const void* host, uint64_t bytes) {
  Device* device;
  AX_TRY(currentDevice(&device));
  if (isRecording()) return failRecording("copy from the host: replays would copy the same values again");
  return checkCuda(device->staging.toDevice(address, host, bytes, device->compute), "copy to the device");
}

bool isHostMemory() { return false; }

int32_t useOperand(int32_t index, void* address) {
  AX_TRY(selectDevice(index));
  noteAddress(address);
  return AX_OK;
}

}  // namespace ax
