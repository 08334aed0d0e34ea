#include "cuda/staging.h"

#include <string.h>

#include <algorithm>

namespace ax {

cudaError_t Staging::start(Chunk* chunks) {
  const int count = chunks == up_ ? kChunks : 2;
  for (int i = 0; i < count; ++i) {
    if (chunks[i].address != nullptr) continue;
    void* address = nullptr;
    cudaError_t error = cudaEventCreateWithFlags(&chunks[i].done, cudaEventDisableTiming);
    if (error == cudaSuccess) error = cudaHostAlloc(&address, kChunkBytes, cudaHostAllocDefault);
    if (error != cudaSuccess) return error;
    chunks[i].address = static_cast<char*>(address);
  }
  return cudaSuccess;
}

cudaError_t Staging::wait(Chunk& chunk) {
  if (!chunk.is_recorded) return cudaSuccess;
  chunk.is_recorded = false;
  return cudaEventSynchronize(chunk.done);
}

cudaError_t Staging::toDevice(void* device, const void* host, uint64_t bytes, cudaStream_t stream) {
  std::lock_guard<std::mutex> guard(lock_);
  cudaError_t error = up_[kChunks - 1].address == nullptr ? start(up_) : cudaSuccess;
  for (uint64_t at = 0; at < bytes && error == cudaSuccess;) {
    if (used_ == kChunkBytes) {
      error = cudaEventRecord(up_[current_].done, stream);
      up_[current_].is_recorded = true;
      current_ = (current_ + 1) % kChunks;
      used_ = 0;
      if (error == cudaSuccess) error = wait(up_[current_]);
      if (error != cudaSuccess) break;
    }
    const uint64_t count = std::min(bytes - at, kChunkBytes - used_);
    char* const staged = up_[current_].address + used_;
    memcpy(staged, static_cast<const char*>(host) + at, count);
    error = cudaMemcpyAsync(static_cast<char*>(device) + at, staged, count, cudaMemcpyHostToDevice, stream);
    used_ = std::min((used_ + count + kAlignment - 1) / kAlignment * kAlignment, kChunkBytes);
    at += count;
  }
  return error;
}

cudaError_t Staging::toHost(void* host, const void* device, uint64_t bytes, cudaStream_t stream) {
  std::lock_guard<std::mutex> guard(lock_);
  cudaError_t error = down_[1].address == nullptr ? start(down_) : cudaSuccess;
  const uint64_t chunks = (bytes + kChunkBytes - 1) / kChunkBytes;
  auto sizeOf = [=](uint64_t i) { return std::min(kChunkBytes, bytes - i * kChunkBytes); };
  for (uint64_t i = 0; i <= chunks && error == cudaSuccess; ++i) {
    if (i < chunks) {
      Chunk& next = down_[i % 2];
      error = cudaMemcpyAsync(next.address, static_cast<const char*>(device) + i * kChunkBytes, sizeOf(i), cudaMemcpyDeviceToHost, stream);
      if (error == cudaSuccess) error = cudaEventRecord(next.done, stream);
      if (error != cudaSuccess) break;
      next.is_recorded = true;
    }
    if (i == 0) continue;
    Chunk& filled = down_[(i - 1) % 2];
    error = wait(filled);
    if (error == cudaSuccess) memcpy(static_cast<char*>(host) + (i - 1) * kChunkBytes, filled.address, sizeOf(i - 1));
  }
  return error;
}

}  // namespace ax
