// The memory that the ranks of a communicator share: who they are, how far each has come, and room for the data they exchange.
#ifndef AX_COMMON_SHM_SEGMENT_H_
#define AX_COMMON_SHM_SEGMENT_H_
#include <stdint.h>

#include <atomic>

#include "common/process_watch.h"

namespace ax {

constexpr int kMaxWorldSize = 64;

enum CollectiveKind { kWaitKind = 0, kAllReduceKind = 1, kBroadcastKind = 2, kAllGatherKind = 3, kBarrierKind = 4, kReduceScatterKind = 5 };

// What a rank calls: all ranks must show the same.
struct CollectiveSignature {
  uint32_t number;  // of the collective, from 1
  int32_t kind, op, dtype, root;  // kind: CollectiveKind; op: AX_COMM_*
  int32_t reserved;
  uint64_t count;       // elements of an all-reduce, otherwise bytes
  uint64_t scale_bits;  // of the double
};

// How many collectives a rank may have announced that others have not compared with theirs.
constexpr uint32_t kRecentCollectives = 64;

// One rank's part of the control data. Only this rank writes it, except `waiters`.
struct alignas(128) RankBlock {
  std::atomic<uint32_t> claimed;  // somebody joined as this rank
  std::atomic<uint32_t> joined;   // `process` is written
  ProcessIdentity process;

  alignas(128) std::atomic<uint32_t> posted;  // steps finished: data written for a step may be read when it is posted
  std::atomic<uint32_t> entered;              // number of the latest collective that this rank has entered or announced
  std::atomic<uint32_t> left;                 // it destroyed its communicator
  std::atomic<uint32_t> waiters;              // processes that may sleep on `posted` or `entered`
  // By the parity of the step: a signature is read until the next step is posted.
  CollectiveSignature signature[2];

  // Of collectives that are enqueued on a GPU: by number, and how far this rank has announced and compared.
  alignas(128) std::atomic<uint32_t> recorded;
  std::atomic<uint32_t> compared;
  CollectiveSignature recent[kRecentCollectives];
};

struct ShmHeader {
  std::atomic<uint64_t> magic;  // written last by rank 0
  uint32_t world_size;
  std::atomic<uint32_t> joined_count;
  std::atomic<uint32_t> opened;  // all have joined and the name is gone
  // The first failure that a rank saw: code | rank it is about << 8 | rank that saw it << 16. Ranks that wait give up.
  alignas(128) std::atomic<uint32_t> failure;
};

// What one rank may write in a step of either parity: `chunk` bytes of its values, and its share of a result.
struct ShmSlots {
  uint64_t chunk_bytes, result_bytes;
};

class ShmSegment {
 public:
  ShmSegment() = default;
  ShmSegment(const ShmSegment&) = delete;
  ShmSegment& operator=(const ShmSegment&) = delete;
  ~ShmSegment();

  // Rank 0 creates the segment, the others open it; returns when all have joined and the name is removed. On failure returns the
  // status and writes the rank it is about, or -1.
  int32_t join(const char* name, int rank, int world_size, int64_t timeout_ms, int* failed_rank);

  ShmHeader& header() const { return *reinterpret_cast<ShmHeader*>(base_); }
  RankBlock& block(int rank) const { return reinterpret_cast<RankBlock*>(base_ + kHeaderBytes)[rank]; }
  char* chunk(int rank, uint32_t step) const { return data_ + (2 * rank + (step & 1)) * slotBytes(); }
  char* result(int rank, uint32_t step) const { return chunk(rank, step) + slots_.chunk_bytes; }
  const ShmSlots& slots() const { return slots_; }
  int rank() const { return rank_; }
  int worldSize() const { return world_size_; }

 private:
  static constexpr uint64_t kHeaderBytes = 4096;

  uint64_t slotBytes() const { return slots_.chunk_bytes + slots_.result_bytes; }
  uint64_t totalBytes() const;
  void chooseSlots(int world_size);
  int32_t create(const char* name);
  int32_t open(const char* name, int64_t deadline_ns, int* failed_rank);
  int32_t enter(int* failed_rank);
  int32_t awaitAll(int64_t deadline_ns, int64_t timeout_ms, int* failed_rank);
  bool mapFile(int descriptor, uint64_t bytes);
  void unmap();

  int rank_ = 0, world_size_ = 0;
  ShmSlots slots_ = {0, 0};
  char* base_ = nullptr;
  char* data_ = nullptr;
  uint64_t mapped_bytes_ = 0;
};

int64_t monotonicNs();

// Writes "rank 1 (pid 12)" or "rank 1".
void describeRank(const ShmSegment& segment, int rank, char* text, int bytes);

}  // namespace ax

#endif  // AX_COMMON_SHM_SEGMENT_H_
