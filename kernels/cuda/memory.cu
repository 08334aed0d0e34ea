// Blocks of device memory from a caching allocator: size classes, small ones carved from slabs, freed blocks kept by class.
//
// All work of a device runs in one stream, so a block may be handed out again as soon as it is released: what uses it next comes
// later in the stream.
#include <map>
#include <vector>

#include "common/device_memory.h"
#include "cuda/runtime.h"

namespace ax {
namespace {

constexpr uint64_t kAlignment = 256, kSlabBytes = 2 << 20, kLargestCarved = 1 << 18;

struct Pool {
  std::map<uint64_t, std::vector<void*>> free_blocks;  // by class
  char* slab = nullptr;
  uint64_t slab_left = 0, cached_bytes = 0, system_bytes = 0;
};

// Never destroyed: the driver may be gone before static destructors run.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

// 256-byte steps to 2 KiB, then eighths of a power of two: at most 12.5% is wasted.
uint64_t classBytes(uint64_t bytes) {
  if (bytes <= kAlignment) return kAlignment;
  uint64_t step = kAlignment;
  while (bytes > 16 * step) step *= 2;
  return (bytes + step - 1) / step * step;
}

int32_t obtain(uint64_t bytes, void** address) {
  cudaError_t error = cudaMalloc(address, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    trimBlocks();
    error = cudaMalloc(address, bytes);
  }
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return fail(AX_ERROR_OUT_OF_MEMORY, "out of memory: cannot allocate %llu bytes (obtained %llu so far)",
                static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(pool().system_bytes));
  }
  AX_TRY(checkCuda(error, "allocate device memory"));
  pool().system_bytes += bytes;
  return AX_OK;
}

}  // namespace

int32_t allocateBlock(uint64_t bytes, void** address, uint64_t* note) {
  Pool& p = pool();
  const uint64_t size = classBytes(bytes);
  *note = size;
  std::vector<void*>& free_list = p.free_blocks[size];
  if (!free_list.empty()) {
    *address = free_list.back();
    free_list.pop_back();
    p.cached_bytes -= size;
    return AX_OK;
  }
  if (size > kLargestCarved) return obtain(size, address);
  if (p.slab_left < size) {
    void* slab = nullptr;
    AX_TRY(obtain(kSlabBytes, &slab));
    p.slab = static_cast<char*>(slab);
    p.slab_left = kSlabBytes;
  }
  *address = p.slab;
  p.slab += size;
  p.slab_left -= size;
  return AX_OK;
}

void releaseBlock(void* address, uint64_t note) {
  pool().free_blocks[note].push_back(address);
  pool().cached_bytes += note;
}

void trimBlocks() {
  Pool& p = pool();
  for (auto& [size, blocks] : p.free_blocks) {
    if (size <= kLargestCarved) continue;  // part of a slab
    for (void* block : blocks) cudaFree(block);  // waits for the device
    p.cached_bytes -= size * blocks.size();
    p.system_bytes -= size * blocks.size();
    blocks.clear();
  }
}

uint64_t cachedBlockBytes() { return pool().cached_bytes; }
uint64_t systemBlockBytes() { return pool().system_bytes; }

int32_t copyToHost(void* host, const void* device, uint64_t bytes) {
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));
  AX_TRY(checkCuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream), "copy to the host"));
  return synchronizeStream();
}

int32_t copyToDevice(void* device, const void* host, uint64_t bytes) {
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));
  AX_TRY(checkCuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream), "copy to the device"));
  return checkCuda(cudaStreamSynchronize(stream), "copy to the device");
}

bool isHostMemory() { return false; }

}  // namespace ax
