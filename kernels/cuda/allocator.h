// The caching allocator of one GPU: memory obtained from the driver in segments, handed out in blocks, and kept when it is released.
//
// - Small blocks (up to 256 KiB) have size classes, at most 12.5% above what was asked for. A slab of one class takes and gives a block in
//   constant time; a slab without live blocks goes back, so that other classes can have it.
// - Large blocks are cut from segments, best fit first, and joined with their free neighbours again. Those below 10 MiB share segments of
//   20 MiB; larger ones have segments of their own, so that a small block cannot keep a large hole from being used.
// - All work of a GPU runs in one stream, or is ordered with it by events before memory is released. So a block may be handed out again as
//   soon as it is released: what uses it next comes later in the stream.
// - The driver's cudaFree, which waits for the GPU, is called only by trim() and when the memory is exhausted.
// - A pool is memory that only one recorded step uses: what a graph reads and writes must not be handed out to others between replays. A
//   pool takes free blocks of the common pool before it asks the driver.
//
// The common lines of PyTorch's allocator; classes with slabs are Bonwick's (USENIX 1994). Not thread-safe: the owner has a lock.
#ifndef AX_CUDA_ALLOCATOR_H_
#define AX_CUDA_ALLOCATOR_H_
#include <stdint.h>

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "hw/cuda.h"

namespace ax {

class Allocator {
 public:
  struct Pool;
  // What a live allocation needs to be released; opaque to others.
  using Note = uint64_t;

  // The GPU must be the current one in all calls that may ask the driver.
  Allocator();

  // cudaSuccess, cudaErrorMemoryAllocation, or another error of the driver. At least 256-byte aligned, not initialised.
  cudaError_t allocate(uint64_t bytes, Pool* pool, void** address, Note* note);
  void release(void* address, Note note);

  // Gives segments without live blocks back to the driver. May wait for the GPU; must not be called while a step is recorded.
  void trim();

  Pool* commonPool() { return &common_; }
  Pool* createPool();
  // The pool's memory becomes common memory; what is live in it stays live.
  void destroyPool(Pool* pool);

  uint64_t systemBytes() const { return system_bytes_; }
  uint64_t usedBytes() const { return used_bytes_; }  // live blocks, with what rounding adds
  uint64_t poolBytes() const;                         // that recorded steps keep for their replays
  uint64_t driverCalls() const { return driver_calls_; }

  struct Block;
  struct Slab;
  struct BySize {
    bool operator()(const Block* a, const Block* b) const;
  };
  enum Kind { kShared = 0, kOwn = 1, kKinds = 2 };
  struct Segment {
    char* address;
    uint64_t bytes;
    Kind kind;
    Block* first;
  };

  static constexpr int kClasses = 64;
  struct Pool {
    Slab* available[kClasses] = {};  // slabs with a free block, linked
    std::set<Block*, BySize> free_blocks[kKinds];
  };

 private:
  cudaError_t allocateSmall(int index, Pool* pool, void** address, Note* note);
  cudaError_t allocateLarge(uint64_t bytes, Pool* pool, Block** block);
  Block* takeFree(uint64_t bytes, Kind kind, Pool* from, bool any_fit);
  cudaError_t obtain(uint64_t bytes, Kind kind, Pool* pool, Block** block);
  Block* cut(Block* block, uint64_t bytes, Pool* pool);
  void releaseLarge(Block* block);
  void insertFree(Block* block);
  Block* joined(Block* block);

  Pool common_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::vector<std::unique_ptr<Segment>> segments_;
  uint64_t system_bytes_ = 0, used_bytes_ = 0, driver_calls_ = 0;
};

}  // namespace ax

#endif  // AX_CUDA_ALLOCATOR_H_
