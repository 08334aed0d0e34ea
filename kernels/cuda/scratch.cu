// One buffer for each device, which grows and is kept: all work of a device runs in one stream, so whoever uses it next comes later.
#include "cuda/scratch.h"

#include <mutex>

#include "cuda/runtime.h"

namespace ax {
namespace {

constexpr int kMaxDevices = 64;
constexpr uint64_t kLeastBytes = 1 << 20;  // partial results of every reduction fit

struct Buffer {
  void* address = nullptr;
  uint64_t bytes = 0;
};

}  // namespace

int32_t streamScratch(uint64_t bytes, void** address) {
  static std::mutex mutex;
  static Buffer buffers[kMaxDevices];
  int device = 0;
  AX_TRY(checkCuda(cudaGetDevice(&device), "find the current GPU"));
  std::lock_guard<std::mutex> lock(mutex);
  Buffer& buffer = buffers[device];
  if (buffer.bytes < bytes || buffer.address == nullptr) {
    uint64_t size = kLeastBytes;
    while (size < bytes) size *= 2;
    void* fresh = nullptr;
    AX_TRY(checkCuda(cudaMalloc(&fresh, size), "allocate scratch memory"));
    cudaFree(buffer.address);  // waits for the kernels that use it
    buffer = {fresh, size};
  }
  *address = buffer.address;
  return AX_OK;
}

}  // namespace ax
