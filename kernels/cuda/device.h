// The state of one GPU.
#ifndef AX_CUDA_DEVICE_H_
#define AX_CUDA_DEVICE_H_
#include <stdint.h>

#include <mutex>

#include "cuda/allocator.h"
#include "cuda/runtime.h"
#include "cuda/staging.h"

namespace ax {

// A block of the allocator that a component holds.
struct HeldBlock {
  void* address = nullptr;
  Allocator::Note note = 0;
  uint64_t bytes = 0;
};

struct Device {
  int index = 0;
  cudaStream_t compute = nullptr;
  int32_t* index_flag = nullptr;      // pinned
  std::mutex order_lock;
  cudaEvent_t order_event = nullptr;  // of orderAfter

  Staging staging;

  std::mutex memory_lock;             // of the members below
  Allocator allocator;
  HeldBlock scratch;
};

// The calling thread's device, or one by its index, which becomes the calling thread's; started when it is used for the first time.
int32_t currentDevice(Device** device);
int32_t deviceAt(int index, Device** device);
// One that was started before, without making it the calling thread's.
Device* startedDevice(int index);

// What went wrong in work that is finished: an index out of range, or a collective.
int32_t takeErrors(Device& device);

// Makes *held at least `bytes` large. Under the memory lock.
int32_t grow(Device& device, HeldBlock* held, uint64_t bytes);

// A block of the device's current pool. AX_ERROR_OUT_OF_MEMORY after one retry with all that was cached given back. Under the memory lock.
int32_t obtainBlock(Device& device, uint64_t bytes, void** address, Allocator::Note* note);

}  // namespace ax

#endif  // AX_CUDA_DEVICE_H_
