#include "common/shm_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "common/futex.h"
#include "common/status.h"

namespace ax {
namespace {

constexpr uint64_t kMagic = 0x3130'6d68'7378'61ULL << 8 | 1;  // "axshm01", layout version 1
constexpr int64_t kWatchIntervalNs = 50 * 1000 * 1000;
constexpr int64_t kOpenIntervalNs = 500 * 1000;

int32_t failSystem(const char* what, const char* name) {
  return fail(AX_ERROR_SYSTEM, "%s failed for shared memory %s: %s", what, name, strerror(errno));
}

void sleepNs(int64_t ns) {
  const timespec duration = {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
  nanosleep(&duration, nullptr);
}

}  // namespace

int64_t monotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

void describeRank(const ShmSegment& segment, int rank, char* text, int bytes) {
  if (rank < segment.worldSize() && segment.block(rank).joined.load(std::memory_order_acquire) != 0) {
    snprintf(text, static_cast<size_t>(bytes), "rank %d (pid %d)", rank, segment.block(rank).process.pid);
  } else {
    snprintf(text, static_cast<size_t>(bytes), "rank %d", rank);
  }
}

ShmSegment::~ShmSegment() { unmap(); }

void ShmSegment::unmap() {
  if (base_ != nullptr) munmap(base_, mapped_bytes_);
  base_ = nullptr;
}

// Chunks are sized so that those of all ranks stay in the caches, and the segment within the 64 MiB of a container's /dev/shm.
void ShmSegment::chooseSlots(int world_size) {
  slots_.chunk_bytes = world_size <= 4 ? 512 << 10 : world_size <= 16 ? 256 << 10 : 128 << 10;
  const uint64_t share = slots_.chunk_bytes / static_cast<uint64_t>(world_size) + 64;
  slots_.result_bytes = (share + 4095) / 4096 * 4096;
}

uint64_t ShmSegment::totalBytes() const {
  const uint64_t control = (kHeaderBytes + static_cast<uint64_t>(world_size_) * sizeof(RankBlock) + 4095) / 4096 * 4096;
  return control + static_cast<uint64_t>(world_size_) * 2 * slotBytes();
}

bool ShmSegment::mapFile(int descriptor, uint64_t bytes) {
  void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) return false;
  base_ = static_cast<char*>(address);
  mapped_bytes_ = bytes;
  data_ = base_ + (totalBytes() - static_cast<uint64_t>(world_size_) * 2 * slotBytes());
  return true;
}

int32_t ShmSegment::join(const char* name, int rank, int world_size, int64_t timeout_ms, int* failed_rank) {
  *failed_rank = -1;
  if (world_size < 1 || world_size > kMaxWorldSize) {
    return fail(AX_ERROR_ARGUMENT, "world_size is %d, want 1 to %d", world_size, kMaxWorldSize);
  }
  if (rank < 0 || rank >= world_size) return fail(AX_ERROR_ARGUMENT, "rank is %d, want 0 to %d", rank, world_size - 1);
  if (timeout_ms < 1) return fail(AX_ERROR_ARGUMENT, "timeout_ms is %lld, want at least 1", static_cast<long long>(timeout_ms));
  if (name == nullptr || *name == '\0' || strchr(name, '/') != nullptr || strlen(name) > 200) {
    return fail(AX_ERROR_ARGUMENT, "the name of a communicator must have 1 to 200 characters and no '/'");
  }
  rank_ = rank;
  world_size_ = world_size;
  chooseSlots(world_size);
  const std::string path = std::string("/") + name;
  const int64_t deadline_ns = monotonicNs() + timeout_ms * 1000000;
  AX_TRY(rank == 0 ? create(path.c_str()) : open(path.c_str(), deadline_ns, failed_rank));
  int32_t status = enter(failed_rank);
  if (status == AX_OK) status = awaitAll(deadline_ns, timeout_ms, failed_rank);
  if (rank == 0) {
    shm_unlink(path.c_str());
    if (status == AX_OK) {
      header().opened.store(1, std::memory_order_release);
      futexWake(header().opened, world_size, FutexScope::kMachine);
    }
  }
  return status;
}

// Only rank 0 creates, so a segment of this name that is already there was left by a job that died while joining.
int32_t ShmSegment::create(const char* name) {
  shm_unlink(name);
  const int descriptor = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0) return failSystem("shm_open", name);
  // Reserve the pages now: a full /dev/shm would otherwise kill the process on its first write.
  const int error = posix_fallocate(descriptor, 0, static_cast<off_t>(totalBytes()));
  const bool mapped = error == 0 && mapFile(descriptor, totalBytes());
  if (!mapped) {
    errno = error != 0 ? error : errno;
    failSystem(error != 0 ? "reserving memory" : "mmap", name);
    close(descriptor);
    shm_unlink(name);
    return AX_ERROR_SYSTEM;
  }
  close(descriptor);
  header().world_size = static_cast<uint32_t>(world_size_);
  return AX_OK;
}

int32_t ShmSegment::open(const char* name, int64_t deadline_ns, int* failed_rank) {
  for (; monotonicNs() < deadline_ns; sleepNs(kOpenIntervalNs)) {
    const int descriptor = shm_open(name, O_RDWR | O_CLOEXEC, 0600);
    if (descriptor < 0) {
      if (errno != ENOENT) return failSystem("shm_open", name);
      continue;
    }
    struct stat info;
    const bool complete = fstat(descriptor, &info) == 0 && static_cast<uint64_t>(info.st_size) >= kHeaderBytes + sizeof(RankBlock);
    const bool mapped = complete && mapFile(descriptor, static_cast<uint64_t>(info.st_size));
    close(descriptor);
    if (!complete) continue;
    if (!mapped) return failSystem("mmap", name);
    // A segment whose creator is not running was left by an earlier job: wait for the new one.
    if (header().magic.load(std::memory_order_acquire) == kMagic && isRunning(block(0).process)) {
      if (header().world_size == static_cast<uint32_t>(world_size_)) return AX_OK;
      uint32_t none = 0;
      header().failure.compare_exchange_strong(
          none, static_cast<uint32_t>(AX_ERROR_MISMATCH | rank_ << 8 | rank_ << 16), std::memory_order_acq_rel);
      futexWake(header().joined_count, INT32_MAX, FutexScope::kMachine);
      *failed_rank = 0;
      return fail(AX_ERROR_MISMATCH, "rank 0 created communicator %s for %u ranks, rank %d wants %d", name + 1,
                  header().world_size, rank_, world_size_);
    }
    unmap();
  }
  *failed_rank = 0;
  return fail(AX_ERROR_TIMEOUT, "rank 0 did not create communicator %s in time", name + 1);
}

int32_t ShmSegment::enter(int* failed_rank) {
  RankBlock& own = block(rank_);
  if (own.claimed.exchange(1, std::memory_order_acq_rel) != 0) {
    *failed_rank = rank_;
    return fail(AX_ERROR_ARGUMENT, "another process has joined as rank %d", rank_);
  }
  own.process = thisProcess();
  own.joined.store(1, std::memory_order_release);
  if (rank_ == 0) header().magic.store(kMagic, std::memory_order_release);
  header().joined_count.fetch_add(1, std::memory_order_acq_rel);
  futexWake(header().joined_count, INT32_MAX, FutexScope::kMachine);
  return AX_OK;
}

// Rank 0 waits for everybody, the others wait for rank 0 to open the communicator.
int32_t ShmSegment::awaitAll(int64_t deadline_ns, int64_t timeout_ms, int* failed_rank) {
  std::atomic<uint32_t>& word = rank_ == 0 ? header().joined_count : header().opened;
  const uint32_t wanted = rank_ == 0 ? static_cast<uint32_t>(world_size_) : 1;
  for (;;) {
    const uint32_t value = word.load(std::memory_order_acquire);
    if (value == wanted) return AX_OK;
    char who[48];
    const uint32_t failure = header().failure.load(std::memory_order_acquire);
    if (failure != 0) {
      *failed_rank = static_cast<int>(failure >> 8 & 0xff);
      return fail(static_cast<int32_t>(failure & 0xff), "rank %d wants another world size than %d", *failed_rank, world_size_);
    }
    for (int other = 0; other < world_size_; ++other) {
      if (block(other).joined.load(std::memory_order_acquire) != 0 && !isRunning(block(other).process)) {
        if (word.load(std::memory_order_acquire) == wanted) return AX_OK;  // it joined, worked and ended since
        *failed_rank = other;
        describeRank(*this, other, who, sizeof who);
        return fail(AX_ERROR_PEER, "%s died before all ranks had joined", who);
      }
    }
    const int64_t left_ns = deadline_ns - monotonicNs();
    if (left_ns <= 0) {
      std::string missing;
      for (int other = 0; other < world_size_; ++other) {
        if (block(other).joined.load(std::memory_order_acquire) != 0) continue;
        if (*failed_rank < 0) *failed_rank = other;
        missing += (missing.empty() ? "" : ", ") + std::to_string(other);
      }
      if (*failed_rank < 0) *failed_rank = 0;  // all are here, but rank 0 did not open the communicator
      return fail(AX_ERROR_TIMEOUT, "rank %s did not join within %lld ms", missing.empty() ? "0" : missing.c_str(),
                  static_cast<long long>(timeout_ms));
    }
    futexWait(word, value, left_ns < kWatchIntervalNs ? left_ns : kWatchIntervalNs, FutexScope::kMachine);
  }
}

}  // namespace ax
