// The exported collectives of either library: ids of communicators, and ranges of storages as their operands.
#include <stdio.h>
#include <string.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "common/comm.h"
#include "common/dtype.h"
#include "common/status.h"
#include "common/storage_comm.h"

namespace ax {
namespace {

// An id is an index (12 bits) and the index's generation. Calls hold the communicator they work on, so that destroying it while
// ax_comm_wait runs on another thread ends that wait and nothing worse.
class CommTable {
 public:
  uint32_t insert(std::shared_ptr<Comm> comm) {
    std::lock_guard<std::mutex> guard(mutex_);
    ++live_;
    size_t index = 0;
    while (index < entries_.size() && entries_[index].comm != nullptr) ++index;
    if (index == entries_.size()) entries_.push_back({nullptr, 0});
    Entry& entry = entries_[index];
    entry.comm = std::move(comm);
    entry.generation += 1;
    return idOf(index);
  }

  std::shared_ptr<Comm> find(uint32_t id) {
    std::lock_guard<std::mutex> guard(mutex_);
    const size_t index = id & kIndexMask;
    return id != 0 && index < entries_.size() && idOf(index) == id ? entries_[index].comm : nullptr;
  }

  std::shared_ptr<Comm> remove(uint32_t id) {
    std::lock_guard<std::mutex> guard(mutex_);
    const size_t index = id & kIndexMask;
    if (id == 0 || index >= entries_.size() || idOf(index) != id) return nullptr;
    --live_;
    return std::move(entries_[index].comm);
  }

  // The first failure of any; every wait for the device asks, so it costs nothing while there are none.
  int32_t failure() {
    if (live_.load(std::memory_order_relaxed) == 0) return AX_OK;
    std::lock_guard<std::mutex> guard(mutex_);
    for (const Entry& entry : entries_) {
      const int32_t status = entry.comm != nullptr ? entry.comm->failure() : AX_OK;
      if (status == AX_OK) continue;
      failed_rank_ = entry.comm->failedRank();
      return status;
    }
    return AX_OK;
  }
  int failedRank() const { return failed_rank_; }
  void noteFailedRank(int rank) { failed_rank_ = rank; }

 private:
  static constexpr uint32_t kIndexBits = 12, kIndexMask = (1u << kIndexBits) - 1;
  struct Entry {
    std::shared_ptr<Comm> comm;
    uint32_t generation;
  };
  uint32_t idOf(size_t index) const { return static_cast<uint32_t>(index) | entries_[index].generation << kIndexBits; }

  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::atomic<int> live_{0}, failed_rank_{-1};
};

// Never destroyed: other threads may still wait while the process exits.
CommTable& comms() {
  static CommTable* const instance = new CommTable;
  return *instance;
}

int32_t findComm(uint32_t id, std::shared_ptr<Comm>* comm) {
  *comm = comms().find(id);
  return *comm != nullptr ? AX_OK : fail(AX_ERROR_ARGUMENT, "communicator %u is unknown or was destroyed", id);
}

// For functions that run on another thread: the sentence goes to the caller's buffer.
int32_t report(int32_t status, void* error, int32_t error_bytes) {
  if (status != AX_OK && error != nullptr && error_bytes > 0) {
    snprintf(static_cast<char*>(error), static_cast<size_t>(error_bytes), "%s", lastError());
  }
  return status;
}

int32_t createComm(void* id, int32_t backend, const CommOptions& options) {
  if (id == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_comm_create: comm is null");
  if (options.world_size < 1 || options.rank < 0 || options.rank >= options.world_size) {
    return fail(AX_ERROR_ARGUMENT, "rank %d of %d does not exist", options.rank, options.world_size);
  }
  if (options.timeout_ms < 1) return fail(AX_ERROR_ARGUMENT, "timeout_ms must be at least 1, got %d", static_cast<int>(options.timeout_ms));
  std::shared_ptr<Comm> comm;
  int failed_rank = -1;
  const int32_t status = backend == AX_COMM_SHM ? createStorageComm(options, &comm, &failed_rank)
                                                : createGpuComm(backend, options, &comm, &failed_rank);
  comms().noteFailedRank(failed_rank);
  if (status != AX_OK) return status;
  const uint32_t new_id = comms().insert(std::move(comm));
  memcpy(id, &new_id, sizeof new_id);
  return AX_OK;
}

int32_t awaitPeers(uint32_t id) {
  std::shared_ptr<Comm> comm;
  AX_TRY(findComm(id, &comm));
  return comm->awaitPeers();
}

}  // namespace

int32_t checkReduction(int32_t op, int32_t dtype, double scale, bool has_16_bit) {
  if (op < AX_COMM_SUM || op > AX_COMM_MIN) return fail(AX_ERROR_ARGUMENT, "op is %d, want 0 to 2", op);
  const bool is_integer = dtype == AX_INT32 || dtype == AX_INT64, is_16_bit = dtype == AX_BFLOAT16 || dtype == AX_FLOAT16;
  if (dtype != AX_FLOAT32 && dtype != AX_FLOAT64 && !is_integer && !(is_16_bit && has_16_bit)) {
    return fail(AX_ERROR_UNSUPPORTED, "a reduction between ranks is not available for dtype %s", isDtype(dtype) ? kDtypeNames[dtype] : "?");
  }
  if (scale != 1 && is_integer) return fail(AX_ERROR_ARGUMENT, "scale must be 1 for integers, got %.17g", scale);
  return AX_OK;
}

int32_t commFailure() { return comms().failure(); }

}  // namespace ax

using namespace ax;

int32_t ax_comm_create(void* comm, int32_t backend, const char* name, const void* nccl_id, int32_t device, int32_t rank,
                       int32_t world_size, int32_t timeout_ms, void* error, int32_t error_bytes) {
  return report(createComm(comm, backend, {name, nccl_id, device, rank, world_size, timeout_ms}), error, error_bytes);
}

int32_t ax_comm_destroy(uint32_t comm) {
  std::shared_ptr<Comm> removed = comms().remove(comm);
  if (removed == nullptr) return fail(AX_ERROR_ARGUMENT, "communicator %u is unknown or was destroyed", comm);
  removed->close();
  return AX_OK;
}

int32_t ax_comm_all_reduce(uint32_t comm, int32_t op, int32_t dtype, uint32_t values, double offset, double count, double scale) {
  std::shared_ptr<Comm> found;
  void* address = nullptr;
  AX_TRY(findComm(comm, &found));
  AX_TRY(resolve(values, offset, count, dtype, &address));
  return found->allReduce(address, op, dtype, static_cast<uint64_t>(count), scale);
}

int32_t ax_comm_reduce_scatter(uint32_t comm, int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                               double count, double scale) {
  std::shared_ptr<Comm> found;
  void *out_address = nullptr, *x_address = nullptr;
  AX_TRY(findComm(comm, &found));
  AX_TRY(resolve(out, out_offset, count, dtype, &out_address));
  AX_TRY(resolve(x, x_offset, count * found->worldSize(), dtype, &x_address));
  return found->reduceScatter(out_address, x_address, op, dtype, static_cast<uint64_t>(count), scale);
}

int32_t ax_comm_broadcast(uint32_t comm, uint32_t values, double byte_offset, double bytes, int32_t root) {
  std::shared_ptr<Comm> found;
  void* address = nullptr;
  AX_TRY(findComm(comm, &found));
  AX_TRY(resolveBytes(values, byte_offset, bytes, &address));
  if (root < 0 || root >= found->worldSize()) return fail(AX_ERROR_ARGUMENT, "root is %d, want 0 to %d", root, found->worldSize() - 1);
  return found->broadcast(address, static_cast<uint64_t>(bytes), root);
}

int32_t ax_comm_all_gather(uint32_t comm, uint32_t out, double out_byte_offset, uint32_t x, double x_byte_offset, double bytes) {
  std::shared_ptr<Comm> found;
  void *out_address = nullptr, *x_address = nullptr;
  AX_TRY(findComm(comm, &found));
  AX_TRY(resolveBytes(out, out_byte_offset, bytes * found->worldSize(), &out_address));
  AX_TRY(resolveBytes(x, x_byte_offset, bytes, &x_address));
  return found->allGather(out_address, x_address, static_cast<uint64_t>(bytes));
}

int32_t ax_comm_barrier(uint32_t comm) {
  std::shared_ptr<Comm> found;
  AX_TRY(findComm(comm, &found));
  return found->barrier();
}

int32_t ax_comm_finish(uint32_t comm) {
  std::shared_ptr<Comm> found;
  AX_TRY(findComm(comm, &found));
  return found->finish();
}

int32_t ax_comm_wait(uint32_t comm, void* error, int32_t error_bytes) { return report(awaitPeers(comm), error, error_bytes); }

int32_t ax_comm_poll(void* ready, uint32_t comm) {
  if (ready == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_comm_poll: ready is null");
  std::shared_ptr<Comm> found;
  AX_TRY(findComm(comm, &found));
  bool all_here = false;
  const int32_t status = found->pollPeers(&all_here);
  const int32_t value = all_here ? 1 : 0;
  memcpy(ready, &value, sizeof value);
  return status;
}

int32_t ax_comm_failed_rank(void* rank, uint32_t comm) {
  if (rank == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_comm_failed_rank: rank is null");
  std::shared_ptr<Comm> found;
  if (comm != 0) AX_TRY(findComm(comm, &found));
  const int32_t value = found != nullptr ? found->failedRank() : comms().failedRank();
  memcpy(rank, &value, sizeof value);
  return AX_OK;
}
