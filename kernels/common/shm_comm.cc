// Synchronisation and failures of a shared-memory communicator; the collectives themselves are in shm_collectives.cc.
#include "common/shm_comm.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/dtype.h"
#include "common/futex.h"
#include "common/status.h"

namespace ax {
namespace {

constexpr int64_t kWatchIntervalNs = 50 * 1000 * 1000;
constexpr int64_t kYieldNs = 100 * 1000;  // how long a wait yields the processor before it sleeps
constexpr int kSpins = 1000;

}  // namespace

int32_t ShmComm::join(const char* name, int rank, int world_size, int64_t timeout_ms) {
  int failed_rank;
  const int32_t status = segment_.join(name, rank, world_size, timeout_ms, &failed_rank);
  failed_rank_.store(failed_rank, std::memory_order_relaxed);
  if (status != AX_OK) return status;
  timeout_ns_ = timeout_ms * 1000000;
  // Spinning pays only where every rank has a processor of its own.
  spins_ = sysconf(_SC_NPROCESSORS_ONLN) >= world_size ? kSpins : 0;
  at_once_bytes_ = world_size == 1 ? segment_.slots().chunk_bytes : segment_.slots().chunk_bytes / 8;
  for (int other = 0; other < world_size; ++other) {
    if (other != rank) watches_[other].start(segment_.block(other).process);
  }
  return AX_OK;
}

void ShmComm::close() {
  closed_.store(true, std::memory_order_release);
  RankBlock& own = segment_.block(segment_.rank());
  own.left.store(1, std::memory_order_seq_cst);
  futexWake(own.posted, INT32_MAX, FutexScope::kMachine);
  futexWake(own.entered, INT32_MAX, FutexScope::kMachine);
}

// --- Steps -----------------------------------------------------------------------------------------------------------------

int32_t ShmComm::begin(int32_t kind, int32_t op, int32_t dtype, int32_t root, uint64_t count, double scale) {
  if (__builtin_expect(broken_.load(std::memory_order_acquire) != AX_OK, 0)) return brokenStatus();
  const uint32_t number = number_.load(std::memory_order_relaxed) + 1;
  number_.store(number, std::memory_order_release);
  signature_ = {number, kind, op, dtype, root, 0, count, 0};
  memcpy(&signature_.scale_bits, &scale, sizeof scale);
  RankBlock& own = segment_.block(segment_.rank());
  own.signature[(step_ + 1) & 1] = signature_;
  step_has_signature_ = true;
  own.entered.store(number, std::memory_order_relaxed);  // post() makes it visible and wakes those who wait for it
  return AX_OK;
}

void ShmComm::announce(uint32_t number) {
  RankBlock& own = segment_.block(segment_.rank());
  if (own.entered.load(std::memory_order_relaxed) == number) return;
  own.entered.store(number, std::memory_order_seq_cst);
  if (own.waiters.load(std::memory_order_seq_cst) != 0) futexWake(own.entered, INT32_MAX, FutexScope::kMachine);
}

void ShmComm::post() {
  RankBlock& own = segment_.block(segment_.rank());
  own.posted.store(++step_, std::memory_order_seq_cst);
  if (own.waiters.load(std::memory_order_seq_cst) != 0) {
    futexWake(own.posted, INT32_MAX, FutexScope::kMachine);
    if (step_has_signature_) futexWake(own.entered, INT32_MAX, FutexScope::kMachine);
  }
}

// Posts a step and waits until all ranks have. In the first step of a collective, compares what the ranks called.
int32_t ShmComm::synchronize() {
  post();
  const bool compare = step_has_signature_;
  step_has_signature_ = false;
  for (int other = 0; other < worldSize(); ++other) {
    if (other == segment_.rank()) continue;
    AX_TRY(await(other, &RankBlock::posted, step_));
    if (compare) AX_TRY(checkSignature(other));
  }
  return AX_OK;
}

int32_t ShmComm::checkSignature(int other) {
  return compare(other, segment_.block(other).signature[step_ & 1], signature_);
}

int32_t ShmComm::compare(int other, const CollectiveSignature& theirs, const CollectiveSignature& own) {
  if (__builtin_expect(memcmp(&theirs, &own, sizeof theirs) == 0, 1)) return AX_OK;
  return breakWith(AX_ERROR_MISMATCH, other,
                   "collective number " + std::to_string(own.number) + ": " + rankName(other) + " called " + describe(theirs) + ", rank " +
                       std::to_string(segment_.rank()) + " called " + describe(own));
}

// --- Collectives on the device ---------------------------------------------------------------------------------------------

int32_t ShmComm::record(int32_t kind, int32_t op, int32_t dtype, int32_t root, uint64_t count, double scale) {
  if (__builtin_expect(broken_.load(std::memory_order_acquire) != AX_OK, 0)) return brokenStatus();
  const uint32_t number = number_.load(std::memory_order_relaxed) + 1;
  number_.store(number, std::memory_order_release);
  signature_ = {number, kind, op, dtype, root, 0, count, 0};
  memcpy(&signature_.scale_bits, &scale, sizeof scale);
  RankBlock& own = segment_.block(segment_.rank());
  // The place in the ring is free when all ranks have compared the collective that it holds.
  for (int other = 0; number > kRecentCollectives && other < worldSize(); ++other) {
    if (other != segment_.rank()) AX_TRY(await(other, &RankBlock::compared, number - kRecentCollectives));
  }
  own.recent[number % kRecentCollectives] = signature_;
  // Stored before the others' words are read: of two ranks that come at once, at least one sees the other.
  own.recorded.store(number, std::memory_order_seq_cst);
  announce(number);
  for (int other = 0; other < worldSize(); ++other) {
    if (other == segment_.rank()) continue;
    const uint32_t theirs = segment_.block(other).recorded.load(std::memory_order_seq_cst);
    if (static_cast<int32_t>(theirs - number) < 0) continue;
    AX_TRY(compare(other, segment_.block(other).recent[number % kRecentCollectives], signature_));
  }
  own.compared.store(number, std::memory_order_seq_cst);
  if (own.waiters.load(std::memory_order_seq_cst) != 0) futexWake(own.compared, INT32_MAX, FutexScope::kMachine);
  return AX_OK;
}

int32_t ShmComm::watch(int* ended) {
  *ended = -1;
  if (broken_.load(std::memory_order_acquire) != AX_OK) return brokenStatus();
  const uint32_t failure = segment_.header().failure.load(std::memory_order_acquire);
  if (failure != 0) return breakAsPeersDid(failure);
  const uint32_t number = segment_.block(segment_.rank()).recorded.load(std::memory_order_acquire);
  for (int peer = 0; peer < worldSize(); ++peer) {
    if (peer == segment_.rank()) continue;
    const RankBlock& block = segment_.block(peer);
    if (block.left.load(std::memory_order_acquire) != 0) {
      if (reached(peer, &RankBlock::recorded, number)) continue;
      return breakWith(AX_ERROR_PEER, peer, rankName(peer) + " left the communicator before " + describeLatest());
    }
    if (!watches_[peer].hasEnded()) continue;
    if (block.left.load(std::memory_order_acquire) != 0) continue;
    *ended = peer;
    if (reached(peer, &RankBlock::recorded, number)) continue;
    return breakWith(AX_ERROR_PEER, peer,
                     rankName(peer) + " died; the last that rank " + std::to_string(segment_.rank()) + " called was " + describeLatest());
  }
  return AX_OK;
}

int ShmComm::laggingRank() const {
  const uint32_t number = segment_.block(segment_.rank()).recorded.load(std::memory_order_acquire);
  for (int other = 0; other < worldSize(); ++other) {
    if (!reached(other, &RankBlock::recorded, number)) return other;
  }
  return -1;
}

std::string ShmComm::describeLatest() const {
  const RankBlock& own = segment_.block(segment_.rank());
  return describe(own.recent[own.recorded.load(std::memory_order_acquire) % kRecentCollectives]);
}

// --- Waiting ---------------------------------------------------------------------------------------------------------------

int32_t ShmComm::await(int other, Word word, uint32_t target) {
  if (reached(other, word, target)) return AX_OK;
  for (int spins = 0; spins < spins_; ++spins) {
    __builtin_ia32_pause();
    if (reached(other, word, target)) return AX_OK;
  }
  return awaitSlowly(other, word, target);
}

int32_t ShmComm::awaitSlowly(int other, Word word, uint32_t target) {
  const int64_t start_ns = monotonicNs();
  Wait wait = {start_ns, start_ns + kWatchIntervalNs};
  RankBlock& block = segment_.block(other);
  while (!reached(other, word, target)) {
    AX_TRY(examine(other, word, target, wait));
    const int64_t now_ns = monotonicNs();
    if (now_ns - start_ns < kYieldNs) {
      sched_yield();
      continue;
    }
    block.waiters.fetch_add(1, std::memory_order_seq_cst);
    const uint32_t value = (block.*word).load(std::memory_order_seq_cst);
    const int64_t left_ns = start_ns + timeout_ns_ - now_ns;
    if (static_cast<int32_t>(value - target) < 0 && left_ns > 0) {
      futexWait(block.*word, value, left_ns < kWatchIntervalNs ? left_ns : kWatchIntervalNs, FutexScope::kMachine);
    }
    block.waiters.fetch_sub(1, std::memory_order_relaxed);
  }
  return AX_OK;
}

// Whether waiting for `other` still makes sense. What a rank did before it failed or ended is visible once that is seen, so the
// word is looked at once more each time.
int32_t ShmComm::examine(int other, Word word, uint32_t target, Wait& wait) {
  const uint32_t failure = segment_.header().failure.load(std::memory_order_acquire);
  if (failure != 0) return reached(other, word, target) ? AX_OK : breakAsPeersDid(failure);
  if (closed_.load(std::memory_order_acquire)) return breakWith(AX_ERROR_PEER, segment_.rank(), "the communicator was destroyed");
  if (segment_.block(other).left.load(std::memory_order_acquire) != 0) {
    if (reached(other, word, target)) return AX_OK;
    return breakWith(AX_ERROR_PEER, other, rankName(other) + " left the communicator before " + describe(signature_));
  }
  const int64_t now_ns = monotonicNs();
  if (now_ns >= wait.next_watch_ns) {
    wait.next_watch_ns = now_ns + kWatchIntervalNs;
    for (int peer = 0; peer < worldSize(); ++peer) {
      if (peer == segment_.rank() || reached(peer, word, target) || !watches_[peer].hasEnded() || reached(peer, word, target)) {
        continue;
      }
      return breakWith(AX_ERROR_PEER, peer,
                       rankName(peer) + " died; rank " + std::to_string(segment_.rank()) + " waited for it in " + describe(signature_));
    }
  }
  if (now_ns - wait.start_ns >= timeout_ns_) return breakForTimeout(word, target);
  return AX_OK;
}

int32_t ShmComm::pollPeers(bool* ready) {
  *ready = false;
  if (broken_.load(std::memory_order_acquire) != AX_OK) return brokenStatus();
  const uint32_t number = number_.load(std::memory_order_relaxed) + 1;
  announce(number);
  int missing = -1;
  for (int other = 0; other < worldSize() && missing < 0; ++other) {
    if (!reached(other, &RankBlock::entered, number)) missing = other;
  }
  if (missing < 0) {
    *ready = true;
    return AX_OK;
  }
  const int64_t now_ns = monotonicNs();
  if (poll_number_ != number) {
    poll_number_ = number;
    poll_wait_ = {now_ns, now_ns + kWatchIntervalNs};
    signature_ = {number, kWaitKind, 0, 0, 0, 0, 0, 0};
  }
  return examine(missing, &RankBlock::entered, number, poll_wait_);
}

int32_t ShmComm::awaitPeers() {
  if (broken_.load(std::memory_order_acquire) != AX_OK) return brokenStatus();
  const uint32_t number = number_.load(std::memory_order_acquire) + 1;
  signature_ = {number, kWaitKind, 0, 0, 0, 0, 0, 0};
  announce(number);
  for (int other = 0; other < worldSize(); ++other) {
    if (other != segment_.rank()) AX_TRY(await(other, &RankBlock::entered, number));
  }
  return AX_OK;
}

// --- Failures --------------------------------------------------------------------------------------------------------------

int32_t ShmComm::brokenStatus() {
  std::lock_guard<std::mutex> guard(failure_mutex_);
  return fail(broken_.load(std::memory_order_relaxed), "%s", failure_sentence_.c_str());
}

// Makes this status the answer to all further calls, and tells the peers, unless they told us.
int32_t ShmComm::breakWith(int32_t code, int failed_rank, const std::string& sentence) {
  {
    std::lock_guard<std::mutex> guard(failure_mutex_);
    if (broken_.load(std::memory_order_relaxed) == AX_OK) {
      failure_sentence_ = sentence;
      failed_rank_.store(failed_rank, std::memory_order_relaxed);
      broken_.store(code, std::memory_order_release);
    }
  }
  uint32_t none = 0;
  segment_.header().failure.compare_exchange_strong(
      none, static_cast<uint32_t>(code | (failed_rank & 0xff) << 8 | segment_.rank() << 16), std::memory_order_acq_rel);
  return brokenStatus();
}

int32_t ShmComm::breakAsPeersDid(uint32_t failure) {
  const int32_t code = static_cast<int32_t>(failure & 0xff);
  const int failed_rank = static_cast<int8_t>(failure >> 8 & 0xff), reporter = static_cast<int>(failure >> 16 & 0xff);
  const char* what = code == AX_ERROR_TIMEOUT    ? " did not arrive in time"
                     : code == AX_ERROR_PEER     ? " died or left"
                     : code == AX_ERROR_MISMATCH ? " called another collective"
                                                 : " failed";
  const std::string who = failed_rank < 0 ? "a rank" : rankName(failed_rank);
  return breakWith(code, failed_rank,
                   rankName(reporter) + " gave up: " + who + what + "; rank " + std::to_string(segment_.rank()) + " was in " +
                       describe(signature_));
}

int32_t ShmComm::breakForTimeout(Word word, uint32_t target) {
  std::string missing;
  int first = -1;
  for (int other = 0; other < worldSize(); ++other) {
    if (other == segment_.rank() || reached(other, word, target)) continue;
    if (first < 0) first = other;
    missing += (missing.empty() ? "" : ", ") + rankName(other);
  }
  if (first < 0) return AX_OK;
  return breakWith(AX_ERROR_TIMEOUT, first,
                   "waited " + std::to_string(timeout_ns_ / 1000000) + " ms in " + describe(signature_) + " for " + missing);
}

// A copy between the device and the host failed: the others must not wait for this rank.
int32_t ShmComm::breakOnBuffer(int32_t status) {
  return status == AX_OK ? AX_OK : breakWith(status, segment_.rank(), std::string(lastError()));
}

std::string ShmComm::rankName(int rank) const {
  char text[48];
  describeRank(segment_, rank, text, sizeof text);
  return text;
}

std::string ShmComm::describe(const CollectiveSignature& signature) const {
  if (signature.number == 0) return "its first collective";
  char text[160];
  const unsigned long long count = signature.count;
  switch (signature.kind) {
    case kAllReduceKind:
    case kReduceScatterKind: {
      static constexpr const char* kOps[] = {"sum", "max", "min"};
      double scale;
      memcpy(&scale, &signature.scale_bits, sizeof scale);
      snprintf(text, sizeof text, "%s(%s, %s, %llu elements, scale %.9g)",
               signature.kind == kAllReduceKind ? "all_reduce" : "reduce_scatter", kOps[signature.op], kDtypeNames[signature.dtype],
               count, scale);
      break;
    }
    case kBroadcastKind: snprintf(text, sizeof text, "broadcast(%llu bytes from rank %d)", count, signature.root); break;
    case kAllGatherKind: snprintf(text, sizeof text, "all_gather(%llu bytes)", count); break;
    case kBarrierKind: snprintf(text, sizeof text, "barrier()"); break;
    default: snprintf(text, sizeof text, "the next collective"); break;
  }
  return std::string(text) + " number " + std::to_string(signature.number);
}

}  // namespace ax
