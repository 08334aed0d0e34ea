// Collectives between the ranks of one machine through shared memory. The values may lie in any device's memory: a CommBuffer
// moves them to and from the host.
//
// Every collective consists of steps. A rank writes what others need into its slot of the step's parity, posts the step, waits
// until all have posted it, and may then read the others' slots until it posts the next step. Two parities therefore suffice,
// and each step costs one synchronisation.
#ifndef AX_COMMON_SHM_COMM_H_
#define AX_COMMON_SHM_COMM_H_
#include <stdint.h>

#include <atomic>
#include <mutex>
#include <string>

#include "common/shm_segment.h"

namespace ax {

// The bytes that a rank brings to a collective, or receives.
class CommBuffer {
 public:
  virtual ~CommBuffer() = default;
  // Where the host can read and write the bytes itself, their address; otherwise null.
  virtual char* hostAddress() { return nullptr; }
  virtual int32_t copyIn(void* host, uint64_t byte_offset, uint64_t bytes) = 0;         // buffer to host
  virtual int32_t copyOut(uint64_t byte_offset, const void* host, uint64_t bytes) = 0;  // host to buffer
};

// A CommBuffer in host memory.
class HostCommBuffer final : public CommBuffer {
 public:
  explicit HostCommBuffer(void* address) : address_(static_cast<char*>(address)) {}
  char* hostAddress() override { return address_; }
  int32_t copyIn(void* host, uint64_t byte_offset, uint64_t bytes) override;
  int32_t copyOut(uint64_t byte_offset, const void* host, uint64_t bytes) override;

 private:
  char* address_;
};

// One rank's end of a communicator. One thread at a time may call collectives; awaitPeers() and close() may run beside it.
class ShmComm {
 public:
  int32_t join(const char* name, int rank, int world_size, int64_t timeout_ms);
  void close();

  int32_t allReduce(CommBuffer& values, int32_t op, int32_t dtype, uint64_t count, double scale);
  int32_t reduceScatter(CommBuffer& out, CommBuffer& x, int32_t op, int32_t dtype, uint64_t count, double scale);
  int32_t broadcast(CommBuffer& values, uint64_t bytes, int32_t root);
  int32_t allGather(CommBuffer& out, CommBuffer& x, uint64_t bytes);
  int32_t barrier();

  int32_t pollPeers(bool* ready);
  int32_t awaitPeers();

  // For collectives that run on the device. Announces one and compares it with those of the ranks that are there or ahead; the others
  // compare theirs when they come. Does not wait, unless it is far ahead.
  int32_t record(int32_t kind, int32_t op, int32_t dtype, int32_t root, uint64_t count, double scale);
  // Whether a peer failed, or ended or left before it announced what this rank announced last. Writes one that ended, or -1: what it
  // announced may still miss it.
  int32_t watch(int* ended);
  // Makes this the end of the communicator, for all ranks.
  int32_t giveUp(int32_t code, int failed_rank, const std::string& sentence) { return breakWith(code, failed_rank, sentence); }
  std::string describeLatest() const;
  // A rank that has not announced what this one announced last, or -1.
  int laggingRank() const;
  std::string rankName(int rank) const;

  int worldSize() const { return segment_.worldSize(); }
  int failedRank() const { return failed_rank_.load(std::memory_order_relaxed); }

 private:
  // The state of one wait that did not end at once.
  struct Wait {
    int64_t start_ns, next_watch_ns;
  };
  using Word = std::atomic<uint32_t> RankBlock::*;

  int32_t begin(int32_t kind, int32_t op, int32_t dtype, int32_t root, uint64_t count, double scale);
  void announce(uint32_t number);
  void post();
  int32_t synchronize();
  int32_t checkSignature(int other);
  int32_t compare(int other, const CollectiveSignature& theirs, const CollectiveSignature& own);
  int32_t await(int other, Word word, uint32_t target);
  int32_t awaitSlowly(int other, Word word, uint32_t target);
  int32_t examine(int other, Word word, uint32_t target, Wait& wait);

  int32_t brokenStatus();
  int32_t breakWith(int32_t code, int failed_rank, const std::string& sentence);
  int32_t breakAsPeersDid(uint32_t failure);
  int32_t breakForTimeout(Word word, uint32_t target);
  int32_t breakOnBuffer(int32_t status);
  std::string describe(const CollectiveSignature& signature) const;

  int32_t reduceAtOnce(CommBuffer& values, int32_t op, int32_t dtype, uint64_t count, double scale);
  int32_t reduceInShards(CommBuffer& values, int32_t op, int32_t dtype, uint64_t count, double scale);

  bool reached(int other, Word word, uint32_t target) const {
    return static_cast<int32_t>((segment_.block(other).*word).load(std::memory_order_acquire) - target) >= 0;
  }

  ShmSegment segment_;
  ProcessWatch watches_[kMaxWorldSize];
  int64_t timeout_ns_ = 0;
  int spins_ = 0;
  uint64_t at_once_bytes_ = 0;  // all-reduces up to this size take one step

  std::atomic<uint32_t> number_{0};  // of the latest collective begun
  uint32_t step_ = 0;                // latest step posted
  bool step_has_signature_ = false;
  CollectiveSignature signature_ = {};
  Wait poll_wait_ = {0, 0};
  uint32_t poll_number_ = 0;

  std::atomic<bool> closed_{false};
  std::atomic<int32_t> broken_{0};  // AX_OK, or the status that every call returns from now on
  std::atomic<int> failed_rank_{-1};
  std::mutex failure_mutex_;
  std::string failure_sentence_;
};

// out[i] = scale * (sources[0][i] op sources[1][i] op ...), in this order. `out` may be one of the sources. scale is 1 for
// integers.
void reduceSources(int32_t op, int32_t dtype, void* out, const char* const* sources, int source_count, uint64_t count, double scale);

}  // namespace ax

#endif  // AX_COMMON_SHM_COMM_H_
