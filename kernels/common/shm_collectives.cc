// The collectives of a shared-memory communicator: what is written to and read from the slots in each step.
#include <string.h>

#include <algorithm>

#include "common/dtype.h"
#include "common/shm_comm.h"
#include "common/status.h"

namespace ax {
namespace {

// Shards begin at multiples of this many elements, so that no two ranks write to one cache line.
constexpr uint64_t kShardAlignment = 16;

struct Range {
  uint64_t begin, end;
  uint64_t size() const { return end - begin; }
};

// The part of `count` elements that rank `rank` reduces.
Range shardOf(uint64_t count, int rank, int world_size) {
  const uint64_t units = (count + kShardAlignment - 1) / kShardAlignment, ranks = static_cast<uint64_t>(world_size);
  const auto cut = [&](int at) { return std::min(count, units * static_cast<uint64_t>(at) / ranks * kShardAlignment); };
  return {cut(rank), cut(rank + 1)};
}

}  // namespace

int32_t HostCommBuffer::copyIn(void* host, uint64_t byte_offset, uint64_t bytes) {
  memcpy(host, address_ + byte_offset, bytes);
  return AX_OK;
}

int32_t HostCommBuffer::copyOut(uint64_t byte_offset, const void* host, uint64_t bytes) {
  memcpy(address_ + byte_offset, host, bytes);
  return AX_OK;
}

int32_t ShmComm::allReduce(CommBuffer& values, int32_t op, int32_t dtype, uint64_t count, double scale) {
  AX_TRY(begin(kAllReduceKind, op, dtype, 0, count, scale));
  if (count == 0) return synchronize();
  return count * static_cast<uint64_t>(kDtypeBytes[dtype]) <= at_once_bytes_ ? reduceAtOnce(values, op, dtype, count, scale)
                                                                          : reduceInShards(values, op, dtype, count, scale);
}

// Small: everybody writes everything and reduces everything, in the same order.
int32_t ShmComm::reduceAtOnce(CommBuffer& values, int32_t op, int32_t dtype, uint64_t count, double scale) {
  const uint64_t bytes = count * static_cast<uint64_t>(kDtypeBytes[dtype]);
  const uint32_t step = step_ + 1;
  AX_TRY(breakOnBuffer(values.copyIn(segment_.chunk(segment_.rank(), step), 0, bytes)));
  AX_TRY(synchronize());
  const char* sources[kMaxWorldSize];
  for (int rank = 0; rank < worldSize(); ++rank) sources[rank] = segment_.chunk(rank, step);
  if (char* address = values.hostAddress()) {
    sources[segment_.rank()] = address;
    reduceSources(op, dtype, address, sources, worldSize(), count, scale);
    return AX_OK;
  }
  // The slot of the other parity is this rank's own until the next step is posted.
  char* staging = segment_.chunk(segment_.rank(), step + 1);
  reduceSources(op, dtype, staging, sources, worldSize(), count, scale);
  return breakOnBuffer(values.copyOut(0, staging, bytes));
}

// Large: each rank reduces one shard of every chunk. Three chunks are in flight: in one step a rank writes chunk i for the
// others, reduces its shard of chunk i - 1, and fetches the others' results of chunk i - 2.
int32_t ShmComm::reduceInShards(CommBuffer& values, int32_t op, int32_t dtype, uint64_t count, double scale) {
  const uint64_t size = static_cast<uint64_t>(kDtypeBytes[dtype]), chunk_count = segment_.slots().chunk_bytes / size;
  const uint64_t chunks = (count + chunk_count - 1) / chunk_count;
  const int own_rank = segment_.rank(), world_size = worldSize();
  const auto chunkSize = [&](uint64_t chunk) { return std::min(chunk_count, count - chunk * chunk_count); };
  for (uint64_t i = 0; i < chunks + 2; ++i) {
    const uint32_t step = step_ + 1;  // the one being prepared; others' slots hold what they posted for step - 1
    if (i < chunks) {
      const Range own = shardOf(chunkSize(i), own_rank, world_size);
      const uint64_t base = i * chunk_count * size, end = chunkSize(i) * size;
      char* slot = segment_.chunk(own_rank, step);
      AX_TRY(breakOnBuffer(values.copyIn(slot, base, own.begin * size)));
      AX_TRY(breakOnBuffer(values.copyIn(slot + own.end * size, base + own.end * size, end - own.end * size)));
    }
    if (i >= 1 && i <= chunks) {
      const Range own = shardOf(chunkSize(i - 1), own_rank, world_size);
      const uint64_t offset = (i - 1) * chunk_count * size + own.begin * size, bytes = own.size() * size;
      char* result = segment_.result(own_rank, step);
      char* address = values.hostAddress() != nullptr ? values.hostAddress() + offset : nullptr;
      if (address == nullptr) AX_TRY(breakOnBuffer(values.copyIn(result, offset, bytes)));
      const char* sources[kMaxWorldSize];
      for (int rank = 0; rank < world_size; ++rank) sources[rank] = segment_.chunk(rank, step - 1) + own.begin * size;
      sources[own_rank] = address != nullptr ? address : result;
      reduceSources(op, dtype, result, sources, world_size, own.size(), scale);
      AX_TRY(breakOnBuffer(values.copyOut(offset, result, bytes)));
    }
    if (i >= 2) {
      const uint64_t base = (i - 2) * chunk_count * size;
      for (int rank = 0; rank < world_size; ++rank) {
        const Range shard = shardOf(chunkSize(i - 2), rank, world_size);
        if (rank == own_rank || shard.size() == 0) continue;
        AX_TRY(breakOnBuffer(values.copyOut(base + shard.begin * size, segment_.result(rank, step - 1), shard.size() * size)));
      }
    }
    if (i <= chunks) AX_TRY(synchronize());
  }
  return AX_OK;
}

// In one step a rank writes what each of the others reduces of a range of its part.
int32_t ShmComm::reduceScatter(CommBuffer& out, CommBuffer& x, int32_t op, int32_t dtype, uint64_t count, double scale) {
  AX_TRY(begin(kReduceScatterKind, op, dtype, 0, count, scale));
  const uint64_t size = static_cast<uint64_t>(kDtypeBytes[dtype]), ranks = static_cast<uint64_t>(worldSize());
  const uint64_t share = segment_.slots().chunk_bytes / ranks / 64 * 64;
  const uint64_t own = static_cast<uint64_t>(segment_.rank()) * share;
  uint64_t offset = 0;
  do {
    const uint64_t bytes = std::min(share, count * size - offset);
    const uint32_t step = step_ + 1;
    char* slot = segment_.chunk(segment_.rank(), step);
    for (uint64_t rank = 0; rank < ranks; ++rank) {
      AX_TRY(breakOnBuffer(x.copyIn(slot + rank * share, rank * count * size + offset, bytes)));
    }
    AX_TRY(synchronize());
    const char* sources[kMaxWorldSize];
    for (int rank = 0; rank < worldSize(); ++rank) sources[rank] = segment_.chunk(rank, step) + own;
    char* result = segment_.result(segment_.rank(), step);
    reduceSources(op, dtype, result, sources, worldSize(), bytes / size, scale);
    AX_TRY(breakOnBuffer(out.copyOut(offset, result, bytes)));
    offset += bytes;
  } while (offset < count * size);
  return AX_OK;
}

int32_t ShmComm::broadcast(CommBuffer& values, uint64_t bytes, int32_t root) {
  AX_TRY(begin(kBroadcastKind, 0, 0, root, bytes, 1));
  const uint64_t chunk_bytes = segment_.slots().chunk_bytes;
  uint64_t offset = 0;
  do {
    const uint64_t size = std::min(chunk_bytes, bytes - offset);
    const uint32_t step = step_ + 1;
    if (segment_.rank() == root) AX_TRY(breakOnBuffer(values.copyIn(segment_.chunk(root, step), offset, size)));
    AX_TRY(synchronize());
    if (segment_.rank() != root) AX_TRY(breakOnBuffer(values.copyOut(offset, segment_.chunk(root, step), size)));
    offset += size;
  } while (offset < bytes);
  return AX_OK;
}

int32_t ShmComm::allGather(CommBuffer& out, CommBuffer& x, uint64_t bytes) {
  AX_TRY(begin(kAllGatherKind, 0, 0, 0, bytes, 1));
  const uint64_t chunk_bytes = segment_.slots().chunk_bytes;
  uint64_t offset = 0;
  do {
    const uint64_t size = std::min(chunk_bytes, bytes - offset);
    const uint32_t step = step_ + 1;
    AX_TRY(breakOnBuffer(x.copyIn(segment_.chunk(segment_.rank(), step), offset, size)));
    AX_TRY(synchronize());
    for (int rank = 0; rank < worldSize(); ++rank) {
      const uint64_t out_offset = static_cast<uint64_t>(rank) * bytes + offset;
      AX_TRY(breakOnBuffer(out.copyOut(out_offset, segment_.chunk(rank, step), size)));
    }
    offset += size;
  } while (offset < bytes);
  return AX_OK;
}

int32_t ShmComm::barrier() {
  AX_TRY(begin(kBarrierKind, 0, 0, 0, 0, 1));
  return synchronize();
}

}  // namespace ax
