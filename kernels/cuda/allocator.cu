#include "cuda/allocator.h"

#include <algorithm>

namespace ax {
namespace {

constexpr uint64_t kKiB = 1 << 10, kMiB = 1 << 20;
constexpr uint64_t kAlignment = 256, kLargestSmall = 256 * kKiB, kGranule = 16 * kKiB;
constexpr uint64_t kOwnFrom = 10 * kMiB, kSharedSegment = 20 * kMiB, kSegmentStep = 2 * kMiB;
constexpr uint64_t kSmallestSlab = 64 * kKiB, kLargestSlab = 2 * kMiB, kBlocksOfSlab = 32;
constexpr Allocator::Note kSlabTag = 1;  // pointers are aligned, so the lowest bit is free

uint64_t roundUp(uint64_t bytes, uint64_t step) { return (bytes + step - 1) / step * step; }

// Steps of 256 bytes to 2 KiB, then eighths of a power of two.
int classOf(uint64_t bytes) {
  if (bytes <= kAlignment) return 0;
  const uint64_t units = (bytes + kAlignment - 1) / kAlignment;  // 2 and more
  if (units <= 8) return static_cast<int>(units) - 1;
  const int shift = 63 - __builtin_clzll(units - 1) - 3;  // eighths of the power of two below
  return 8 * shift + static_cast<int>((units - 1) >> shift);
}

uint64_t classBytes(int index) {
  if (index < 8) return kAlignment * static_cast<uint64_t>(index + 1);
  const int shift = index / 8 - 1;
  return kAlignment * (static_cast<uint64_t>(index % 8 + 9) << shift);
}

}  // namespace

struct Allocator::Block {
  Segment* segment;
  char* address;
  uint64_t bytes;
  Block *before, *after;  // neighbours in the segment
  Pool* pool;
  Slab* slab = nullptr;  // that lies in it
  bool is_free = false;
};

struct Allocator::Slab {
  Block* block;
  int size_class;
  uint32_t count;
  std::vector<uint32_t> free_indices;
  Slab *before = nullptr, *after = nullptr;  // in the pool's list of the class, while a block is free
};

namespace {

void link(Allocator::Slab** list, Allocator::Slab* slab) {
  slab->before = nullptr;
  slab->after = *list;
  if (*list != nullptr) (*list)->before = slab;
  *list = slab;
}

void unlink(Allocator::Slab** list, Allocator::Slab* slab) {
  if (slab->before != nullptr) slab->before->after = slab->after;
  else *list = slab->after;
  if (slab->after != nullptr) slab->after->before = slab->before;
}

}  // namespace

bool Allocator::BySize::operator()(const Block* a, const Block* b) const {
  return a->bytes != b->bytes ? a->bytes < b->bytes : a->address < b->address;
}

Allocator::Allocator() = default;

cudaError_t Allocator::allocate(uint64_t bytes, Pool* pool, void** address, Note* note) {
  if (bytes <= kLargestSmall) return allocateSmall(classOf(bytes), pool, address, note);
  Block* block;
  const cudaError_t error = allocateLarge(roundUp(bytes, kGranule), pool, &block);
  if (error != cudaSuccess) return error;
  used_bytes_ += block->bytes;
  *address = block->address;
  *note = reinterpret_cast<uintptr_t>(block);
  return cudaSuccess;
}

cudaError_t Allocator::allocateSmall(int index, Pool* pool, void** address, Note* note) {
  Slab*& list = pool->available[index];
  const uint64_t bytes = classBytes(index);
  if (list == nullptr) {
    const uint64_t slab_bytes = std::min(std::max(kBlocksOfSlab * bytes, kSmallestSlab), kLargestSlab);
    Block* block;
    const cudaError_t error = allocateLarge(roundUp(slab_bytes, kGranule), pool, &block);
    if (error != cudaSuccess) return error;
    Slab* const slab = new Slab{block, index, static_cast<uint32_t>(block->bytes / bytes), {}};
    for (uint32_t i = slab->count; i-- > 0;) slab->free_indices.push_back(i);
    block->slab = slab;
    link(&list, slab);
  }
  Slab* const slab = list;
  *address = slab->block->address + slab->free_indices.back() * bytes;
  *note = reinterpret_cast<uintptr_t>(slab) | kSlabTag;
  slab->free_indices.pop_back();
  if (slab->free_indices.empty()) unlink(&list, slab);
  used_bytes_ += bytes;
  return cudaSuccess;
}

void Allocator::release(void* address, Note note) {
  if ((note & kSlabTag) == 0) {
    Block* const block = reinterpret_cast<Block*>(note);
    used_bytes_ -= block->bytes;
    releaseLarge(block);
    return;
  }
  Slab* const slab = reinterpret_cast<Slab*>(note & ~kSlabTag);
  const uint64_t bytes = classBytes(slab->size_class);
  used_bytes_ -= bytes;
  Slab*& list = slab->block->pool->available[slab->size_class];
  if (slab->free_indices.empty()) link(&list, slab);
  slab->free_indices.push_back(static_cast<uint32_t>(static_cast<uint64_t>(static_cast<char*>(address) - slab->block->address) / bytes));
  // The last slab of a class stays, or a loop that needs one block would make and give back a slab each time.
  if (slab->free_indices.size() < slab->count || (list == slab && slab->after == nullptr)) return;
  unlink(&list, slab);
  slab->block->slab = nullptr;
  releaseLarge(slab->block);
  delete slab;
}

// The smallest free block that fits. One of a segment of its own fits also when what is left over is neither small beside it nor large
// enough for others, but only `any_fit` wastes that.
Allocator::Block* Allocator::takeFree(uint64_t bytes, Kind kind, Pool* from, bool any_fit) {
  Block key{};
  key.bytes = bytes;
  auto& blocks = from->free_blocks[kind];
  for (auto at = blocks.lower_bound(&key); at != blocks.end(); ++at) {
    const uint64_t rest = (*at)->bytes - bytes;
    if (kind == kOwn && !any_fit && rest >= std::max(bytes / 8, kSegmentStep) && rest < kOwnFrom) continue;
    Block* const block = *at;
    blocks.erase(at);
    return block;
  }
  return nullptr;
}

cudaError_t Allocator::allocateLarge(uint64_t bytes, Pool* pool, Block** block) {
  const Kind kind = bytes < kOwnFrom ? kShared : kOwn;
  for (Pool* from : {pool, &common_}) {
    Block* const found = takeFree(bytes, kind, from, false);
    if (found == nullptr) continue;
    *block = cut(found, bytes, pool);
    return cudaSuccess;
  }
  cudaError_t error = obtain(kind == kShared ? kSharedSegment : roundUp(bytes, kSegmentStep), kind, pool, block);
  if (error == cudaErrorMemoryAllocation) {
    // The memory is exhausted: what fits badly is better than nothing.
    for (Kind other : {kShared, kOwn}) {
      for (Pool* from : {pool, &common_}) {
        Block* const found = takeFree(bytes, other, from, true);
        if (found == nullptr) continue;
        *block = cut(found, bytes, pool);
        return cudaSuccess;
      }
    }
    error = obtain(bytes, kind, pool, block);
  }
  if (error == cudaSuccess) *block = cut(*block, bytes, pool);
  return error;
}

// A segment as one block that is in no list.
cudaError_t Allocator::obtain(uint64_t bytes, Kind kind, Pool* pool, Block** block) {
  // A recorded step may need more memory than its eager run: asking for it is no work of the stream.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  void* address = nullptr;
  const cudaError_t error = cudaMalloc(&address, bytes);
  cudaThreadExchangeStreamCaptureMode(&mode);
  ++driver_calls_;
  if (error != cudaSuccess) {
    cudaGetLastError();
    return error;
  }
  segments_.push_back(std::make_unique<Segment>(Segment{static_cast<char*>(address), bytes, kind, nullptr}));
  Segment* const segment = segments_.back().get();
  *block = segment->first = new Block{segment, segment->address, bytes, nullptr, nullptr, pool};
  system_bytes_ += bytes;
  return cudaSuccess;
}

// Takes `bytes` of a block that is in no list, and makes a free block of the rest, where that is worth one.
Allocator::Block* Allocator::cut(Block* block, uint64_t bytes, Pool* pool) {
  block->is_free = false;
  const uint64_t rest = block->bytes - bytes;
  if (rest >= (block->segment->kind == kShared ? kGranule : kOwnFrom)) {
    Block* const left = new Block{block->segment, block->address + bytes, rest, block, block->after, block->pool};
    if (block->after != nullptr) block->after->before = left;
    block->after = left;
    block->bytes = bytes;
    // What is left of common memory stays common.
    insertFree(joined(left));
  }
  block->pool = pool;
  return block;
}

void Allocator::insertFree(Block* block) {
  block->is_free = true;
  block->pool->free_blocks[block->segment->kind].insert(block);
}

// Joins a block that is in no list with its free neighbours of the same pool.
Allocator::Block* Allocator::joined(Block* block) {
  auto absorb = [](Block* left, Block* right) {
    left->bytes += right->bytes;
    left->after = right->after;
    if (right->after != nullptr) right->after->before = left;
    delete right;
  };
  Block* const after = block->after;
  if (after != nullptr && after->is_free && after->pool == block->pool) {
    after->pool->free_blocks[after->segment->kind].erase(after);
    absorb(block, after);
  }
  Block* const before = block->before;
  if (before == nullptr || !before->is_free || before->pool != block->pool) return block;
  before->pool->free_blocks[before->segment->kind].erase(before);
  absorb(before, block);
  return before;
}

void Allocator::releaseLarge(Block* block) {
  block->is_free = false;
  insertFree(joined(block));
}

void Allocator::trim() {
  // The last slabs of their classes, which release() has kept.
  for (Slab*& list : common_.available) {
    for (Slab* slab = list; slab != nullptr;) {
      Slab* const next = slab->after;
      if (slab->free_indices.size() == slab->count) {
        unlink(&list, slab);
        slab->block->slab = nullptr;
        releaseLarge(slab->block);
        delete slab;
      }
      slab = next;
    }
  }
  std::vector<std::unique_ptr<Segment>> kept;
  for (auto& segment : segments_) {
    Block* const block = segment->first;
    if (!block->is_free || block->after != nullptr || block->pool != &common_) {
      kept.push_back(std::move(segment));
      continue;
    }
    common_.free_blocks[segment->kind].erase(block);
    system_bytes_ -= segment->bytes;
    cudaFree(segment->address);
    ++driver_calls_;
    delete block;
  }
  segments_ = std::move(kept);
}

Allocator::Pool* Allocator::createPool() {
  pools_.push_back(std::make_unique<Pool>());
  return pools_.back().get();
}

void Allocator::destroyPool(Pool* pool) {
  for (auto& segment : segments_) {
    for (Block* block = segment->first; block != nullptr; block = block->after) {
      if (block->pool != pool) continue;
      if (block->is_free) pool->free_blocks[segment->kind].erase(block);
      block->pool = &common_;
      Slab* const slab = block->slab;
      if (slab != nullptr && !slab->free_indices.empty()) {
        unlink(&pool->available[slab->size_class], slab);
        link(&common_.available[slab->size_class], slab);
      }
      if (block->is_free) {
        block->is_free = false;
        block = joined(block);
        insertFree(block);
      }
    }
  }
  const auto at = std::find_if(pools_.begin(), pools_.end(), [=](const auto& owned) { return owned.get() == pool; });
  pools_.erase(at);
}

uint64_t Allocator::poolBytes() const {
  uint64_t bytes = 0;
  for (const auto& segment : segments_) {
    for (const Block* block = segment->first; block != nullptr; block = block->after) {
      if (block->pool != &common_) bytes += block->bytes;
    }
  }
  return bytes;
}

}  // namespace ax
