#include "hw/emulator/memory.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

namespace hw::emulator {
namespace {

constexpr size_t kDefaultBytes = size_t{4} << 30, kPageBytes = 4096;
constexpr int kPoison = 0xff;
constexpr size_t kPoisonedBytes = 4 << 20;  // of each allocation: more would make the first use of large ones slow

struct Mapping {
  size_t bytes;
  int device, file;
};

struct Ipc {
  int process, file;
  uint64_t bytes, offset;
};
static_assert(sizeof(Ipc) <= sizeof(cudaIpcMemHandle_t));

std::map<const char*, Mapping>& deviceBlocks() {
  static auto* const blocks = new std::map<const char*, Mapping>;
  return *blocks;
}
std::map<const char*, size_t>& pinnedBlocks() {
  static auto* const blocks = new std::map<const char*, size_t>;
  return *blocks;
}
std::map<const char*, size_t>& importedBlocks() {
  static auto* const blocks = new std::map<const char*, size_t>;
  return *blocks;
}

size_t totalBytes() {
  const char* text = getenv("ACCELERATE_EMULATED_MEMORY");
  return text == nullptr ? kDefaultBytes : strtoull(text, nullptr, 10);
}

size_t usedBytes(int device) {
  size_t bytes = 0;
  for (auto& [address, block] : deviceBlocks()) bytes += block.device == device ? block.bytes : 0;
  return bytes;
}

}  // namespace

cudaError_t allocateDevice(int device, void** address, size_t bytes) {
  *address = nullptr;
  if (bytes == 0) return cudaSuccess;
  const size_t size = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (usedBytes(device) + size > totalBytes()) return cudaErrorMemoryAllocation;
  const int file = memfd_create("emulated-gpu", MFD_CLOEXEC);
  if (file < 0) return cudaErrorMemoryAllocation;
  void* const memory = ftruncate(file, static_cast<off_t>(size)) != 0 ? MAP_FAILED : mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) {
    close(file);
    return cudaErrorMemoryAllocation;
  }
  memset(memory, kPoison, size < kPoisonedBytes ? size : kPoisonedBytes);
  deviceBlocks()[static_cast<const char*>(memory)] = {size, device, file};
  *address = memory;
  return cudaSuccess;
}

cudaError_t freeDevice(void* address) {
  if (address == nullptr) return cudaSuccess;
  const auto block = deviceBlocks().find(static_cast<const char*>(address));
  if (block == deviceBlocks().end()) return cudaErrorInvalidValue;
  munmap(address, block->second.bytes);
  close(block->second.file);
  deviceBlocks().erase(block);
  return cudaSuccess;
}

void deviceMemory(int device, size_t* free_bytes, size_t* total_bytes) {
  *total_bytes = totalBytes();
  const size_t used = usedBytes(device);
  *free_bytes = used < *total_bytes ? *total_bytes - used : 0;
}

cudaError_t allocatePinned(void** address, size_t bytes) {
  *address = aligned_alloc(kPageBytes, (bytes + kPageBytes - 1) / kPageBytes * kPageBytes);
  if (*address == nullptr) return cudaErrorMemoryAllocation;
  memset(*address, kPoison, bytes);
  pinnedBlocks()[static_cast<const char*>(*address)] = bytes;
  return cudaSuccess;
}

cudaError_t freePinned(void* address) {
  if (address == nullptr) return cudaSuccess;
  if (pinnedBlocks().erase(static_cast<const char*>(address)) == 0) return cudaErrorInvalidValue;
  free(address);
  return cudaSuccess;
}

bool isPinned(const void* address, size_t bytes) {
  const char* const first = static_cast<const char*>(address);
  auto block = pinnedBlocks().upper_bound(first);
  if (block == pinnedBlocks().begin()) return false;
  --block;
  return first + bytes <= block->first + block->second;
}

cudaError_t exportMemory(cudaIpcMemHandle_t* handle, void* address) {
  const char* const first = static_cast<const char*>(address);
  auto block = deviceBlocks().upper_bound(first);
  if (block == deviceBlocks().begin()) return cudaErrorInvalidValue;
  --block;
  if (first >= block->first + block->second.bytes) return cudaErrorInvalidValue;
  const Ipc ipc{getpid(), block->second.file, block->second.bytes, 0};  // of the whole allocation, as CUDA's
  memset(handle, 0, sizeof *handle);
  memcpy(handle, &ipc, sizeof ipc);
  return cudaSuccess;
}

cudaError_t importMemory(void** address, const cudaIpcMemHandle_t& handle) {
  Ipc ipc;
  memcpy(&ipc, &handle, sizeof ipc);
  if (ipc.process == getpid()) return cudaErrorInvalidValue;  // CUDA refuses its own
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", ipc.process, ipc.file);
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return cudaErrorInvalidValue;
  void* const memory = mmap(nullptr, ipc.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return cudaErrorMemoryAllocation;
  importedBlocks()[static_cast<const char*>(memory)] = ipc.bytes;
  *address = memory;
  return cudaSuccess;
}

cudaError_t closeImported(void* address) {
  const auto block = importedBlocks().find(static_cast<const char*>(address));
  if (block == importedBlocks().end()) return cudaErrorInvalidValue;
  munmap(address, block->second);
  importedBlocks().erase(block);
  return cudaSuccess;
}

}  // namespace hw::emulator
