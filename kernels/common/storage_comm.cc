#include "common/storage_comm.h"

#include "common/device_memory.h"
#include "common/status.h"

namespace ax {
namespace {

class StorageComm final : public Comm {
 public:
  int32_t join(const CommOptions& options) { return comm_.join(options.name, options.rank, options.world_size, options.timeout_ms); }
  void close() override { comm_.close(); }

  int32_t allReduce(void* values, int32_t op, int32_t dtype, uint64_t count, double scale) override {
    AX_TRY(checkReduction(op, dtype, scale, false));
    StorageCommBuffer buffer(values);
    return comm_.allReduce(buffer, op, dtype, count, scale);
  }
  int32_t reduceScatter(void* out, void* x, int32_t op, int32_t dtype, uint64_t count, double scale) override {
    AX_TRY(checkReduction(op, dtype, scale, false));
    StorageCommBuffer out_buffer(out), x_buffer(x);
    return comm_.reduceScatter(out_buffer, x_buffer, op, dtype, count, scale);
  }
  int32_t broadcast(void* values, uint64_t bytes, int32_t root) override {
    StorageCommBuffer buffer(values);
    return comm_.broadcast(buffer, bytes, root);
  }
  int32_t allGather(void* out, void* x, uint64_t bytes) override {
    StorageCommBuffer out_buffer(out), x_buffer(x);
    return comm_.allGather(out_buffer, x_buffer, bytes);
  }
  int32_t barrier() override { return comm_.barrier(); }
  int32_t finish() override { return AX_OK; }

  int32_t pollPeers(bool* ready) override { return comm_.pollPeers(ready); }
  int32_t awaitPeers() override { return comm_.awaitPeers(); }
  int32_t failure() override { return AX_OK; }  // every call has waited for its own
  int worldSize() const override { return comm_.worldSize(); }
  int failedRank() const override { return comm_.failedRank(); }

 private:
  ShmComm comm_;
};

}  // namespace

int32_t createStorageComm(const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank) {
  auto joined = std::make_shared<StorageComm>();
  const int32_t status = joined->join(options);
  *failed_rank = joined->failedRank();
  if (status == AX_OK) *comm = std::move(joined);
  return status;
}

}  // namespace ax
