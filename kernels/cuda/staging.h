// Copies between the host and a GPU through pinned memory, so that a copy to the GPU returns before it has happened.
#ifndef AX_CUDA_STAGING_H_
#define AX_CUDA_STAGING_H_
#include <stdint.h>

#include <mutex>

#include "hw/cuda.h"

namespace ax {

// A ring of pinned chunks for each direction. A copy to the GPU is written into the next chunk with room and enqueued; the host waits only
// where the GPU is a whole ring behind. A copy to the host is read in chunks, so that the GPU copies one while the host empties the last.
class Staging {
 public:
  // All copies of a device go through one stream.
  cudaError_t toDevice(void* device, const void* host, uint64_t bytes, cudaStream_t stream);
  // Waits until the bytes are there.
  cudaError_t toHost(void* host, const void* device, uint64_t bytes, cudaStream_t stream);

 private:
  static constexpr int kChunks = 4;
  static constexpr uint64_t kChunkBytes = 4 << 20, kAlignment = 256;

  struct Chunk {
    char* address = nullptr;
    cudaEvent_t done = nullptr;  // recorded after the last copy of the chunk
    bool is_recorded = false;
  };
  cudaError_t start(Chunk* chunks);
  cudaError_t wait(Chunk& chunk);

  std::mutex lock_;
  Chunk up_[kChunks], down_[2];
  int current_ = 0;
  uint64_t used_ = 0;  // bytes of the current chunk of `up_`
};

}  // namespace ax

#endif  // AX_CUDA_STAGING_H_
