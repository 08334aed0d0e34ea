// The exported collectives of either library: ids, and storages as buffers of a shared-memory communicator.
#include <stdio.h>
#include <string.h>

#include <memory>
#include <mutex>
#include <vector>

#include "common/device_memory.h"
#include "common/shm_comm.h"
#include "common/status.h"

namespace ax {
namespace {

// An id is an index (12 bits) and the index's generation. Calls hold the communicator they work on, so that destroying it while
// ax_comm_wait runs on another thread ends that wait and nothing worse.
class CommTable {
 public:
  uint32_t insert(std::shared_ptr<ShmComm> comm) {
    std::lock_guard<std::mutex> guard(mutex_);
    size_t index = 0;
    while (index < entries_.size() && entries_[index].comm != nullptr) ++index;
    if (index == entries_.size()) entries_.push_back({nullptr, 0});
    Entry& entry = entries_[index];
    entry.comm = std::move(comm);
    entry.generation += 1;
    return idOf(index);
  }

  std::shared_ptr<ShmComm> find(uint32_t id) {
    std::lock_guard<std::mutex> guard(mutex_);
    const size_t index = id & kIndexMask;
    return id != 0 && index < entries_.size() && idOf(index) == id ? entries_[index].comm : nullptr;
  }

  std::shared_ptr<ShmComm> remove(uint32_t id) {
    std::lock_guard<std::mutex> guard(mutex_);
    const size_t index = id & kIndexMask;
    if (id == 0 || index >= entries_.size() || idOf(index) != id) return nullptr;
    return std::move(entries_[index].comm);
  }

 private:
  static constexpr uint32_t kIndexBits = 12, kIndexMask = (1u << kIndexBits) - 1;
  struct Entry {
    std::shared_ptr<ShmComm> comm;
    uint32_t generation;
  };
  uint32_t idOf(size_t index) const { return static_cast<uint32_t>(index) | entries_[index].generation << kIndexBits; }

  std::mutex mutex_;
  std::vector<Entry> entries_;
};

// Never destroyed: other threads may still wait while the process exits.
CommTable& comms() {
  static CommTable* const instance = new CommTable;
  return *instance;
}

int32_t findComm(uint32_t id, std::shared_ptr<ShmComm>* comm) {
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

int32_t createComm(void* id, const char* name, int32_t rank, int32_t world_size, int32_t timeout_ms) {
  if (id == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_comm_create: comm is null");
  std::shared_ptr<ShmComm> comm = std::make_shared<ShmComm>();
  AX_TRY(comm->join(name, rank, world_size, timeout_ms));
  const uint32_t new_id = comms().insert(std::move(comm));
  memcpy(id, &new_id, sizeof new_id);
  return AX_OK;
}

int32_t awaitPeers(uint32_t id) {
  std::shared_ptr<ShmComm> comm;
  AX_TRY(findComm(id, &comm));
  return comm->awaitPeers();
}

}  // namespace
}  // namespace ax

using namespace ax;

int32_t ax_comm_create(void* comm, const char* name, int32_t rank, int32_t world_size, int32_t timeout_ms, void* error,
                       int32_t error_bytes) {
  return report(createComm(comm, name, rank, world_size, timeout_ms), error, error_bytes);
}

int32_t ax_comm_destroy(uint32_t comm) {
  std::shared_ptr<ShmComm> removed = comms().remove(comm);
  if (removed == nullptr) return fail(AX_ERROR_ARGUMENT, "communicator %u is unknown or was destroyed", comm);
  removed->close();
  return AX_OK;
}

int32_t ax_comm_all_reduce(uint32_t comm, int32_t op, int32_t dtype, uint32_t values, double offset, double count, double scale) {
  std::shared_ptr<ShmComm> found;
  void* address = nullptr;
  AX_TRY(findComm(comm, &found));
  AX_TRY(resolve(values, offset, count, dtype, &address));
  StorageCommBuffer buffer(address);
  return found->allReduce(buffer, op, dtype, static_cast<uint64_t>(count), scale);
}

int32_t ax_comm_broadcast(uint32_t comm, uint32_t values, double byte_offset, double bytes, int32_t root) {
  std::shared_ptr<ShmComm> found;
  void* address = nullptr;
  AX_TRY(findComm(comm, &found));
  AX_TRY(resolveBytes(values, byte_offset, bytes, &address));
  StorageCommBuffer buffer(address);
  return found->broadcast(buffer, static_cast<uint64_t>(bytes), root);
}

int32_t ax_comm_all_gather(uint32_t comm, uint32_t out, double out_byte_offset, uint32_t x, double x_byte_offset, double bytes) {
  std::shared_ptr<ShmComm> found;
  void *out_address = nullptr, *x_address = nullptr;
  AX_TRY(findComm(comm, &found));
  AX_TRY(resolveBytes(out, out_byte_offset, bytes * found->worldSize(), &out_address));
  AX_TRY(resolveBytes(x, x_byte_offset, bytes, &x_address));
  StorageCommBuffer out_buffer(out_address), x_buffer(x_address);
  return found->allGather(out_buffer, x_buffer, static_cast<uint64_t>(bytes));
}

int32_t ax_comm_barrier(uint32_t comm) {
  std::shared_ptr<ShmComm> found;
  AX_TRY(findComm(comm, &found));
  return found->barrier();
}

int32_t ax_comm_wait(uint32_t comm, void* error, int32_t error_bytes) { return report(awaitPeers(comm), error, error_bytes); }

int32_t ax_comm_poll(void* ready, uint32_t comm) {
  if (ready == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_comm_poll: ready is null");
  std::shared_ptr<ShmComm> found;
  AX_TRY(findComm(comm, &found));
  bool all_here = false;
  const int32_t status = found->pollPeers(&all_here);
  const int32_t value = all_here ? 1 : 0;
  memcpy(ready, &value, sizeof value);
  return status;
}

int32_t ax_comm_failed_rank(void* rank, uint32_t comm) {
  if (rank == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_comm_failed_rank: rank is null");
  std::shared_ptr<ShmComm> found;
  AX_TRY(findComm(comm, &found));
  const int32_t value = found->failedRank();
  memcpy(rank, &value, sizeof value);
  return AX_OK;
}
