// A communicator of either library: one rank's end of the collectives of a job. Addresses are of the device's memory.
//
// What a collective of a GPU computes is enqueued: it sees the work that was enqueued before, and finish() makes the work that is
// enqueued later see its results. On the CPU everything is done on return.
#ifndef AX_COMMON_COMM_H_
#define AX_COMMON_COMM_H_
#include <stdint.h>

#include <memory>

#include "common/shm_comm.h"

namespace ax {

// What ax_comm_create is given.
struct CommOptions {
  const char* name;     // of the shared memory of the ranks of this machine; empty when there are others
  const void* nccl_id;  // 128 bytes
  int device, rank, world_size;
  int64_t timeout_ms;
};

class Comm {
 public:
  virtual ~Comm() = default;
  virtual void close() = 0;

  virtual int32_t allReduce(void* values, int32_t op, int32_t dtype, uint64_t count, double scale) = 0;
  virtual int32_t reduceScatter(void* out, void* x, int32_t op, int32_t dtype, uint64_t count, double scale) = 0;
  virtual int32_t broadcast(void* values, uint64_t bytes, int32_t root) = 0;
  virtual int32_t allGather(void* out, void* x, uint64_t bytes) = 0;
  virtual int32_t barrier() = 0;
  virtual int32_t finish() = 0;

  virtual int32_t pollPeers(bool* ready) = 0;
  virtual int32_t awaitPeers() = 0;
  // AX_OK, or what made the communicator useless. Cheap: it is asked after every wait for the device.
  virtual int32_t failure() = 0;
  virtual int worldSize() const = 0;
  virtual int failedRank() const = 0;
};

// Rules that all communicators have for the arguments of a reduction.
int32_t checkReduction(int32_t op, int32_t dtype, double scale, bool has_16_bit);

// The communicators of GPUs; AX_ERROR_UNSUPPORTED in the CPU library. On failure `failed_rank` is the rank it is about, or -1.
int32_t createGpuComm(int32_t backend, const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank);

// The first failure of a communicator of this process's GPUs: whoever waited for the device must know that results may be undefined.
int32_t commFailure();

}  // namespace ax

#endif  // AX_COMMON_COMM_H_
