// What the communicators of GPUs share: a stream of their own, ordered with the compute stream; the announcement of every
// collective to the ranks of this machine; and a thread that notices failures and ends what waits for ever.
#ifndef AX_CUDA_GPU_COMM_H_
#define AX_CUDA_GPU_COMM_H_
#include <stdint.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "common/comm.h"
#include "common/dtype.h"
#include "cuda/runtime.h"

namespace ax {

class GpuComm : public Comm {
 public:
  ~GpuComm() override;
  void close() final;
  int32_t barrier() final;
  int32_t finish() final;
  int32_t pollPeers(bool* ready) final;
  int32_t awaitPeers() final;
  int32_t failure() final;
  int worldSize() const final { return world_size_; }
  int failedRank() const final { return failed_rank_.load(std::memory_order_relaxed); }

 protected:
  // Selects the device, meets the ranks of this machine if there is a name, and makes the stream.
  int32_t open(const CommOptions& options);
  // From here on check() and abort() may be called on another thread.
  void startWatching();
  void stopWatching();

  // Before a collective is enqueued in stream(): announces it and orders it after the compute stream. After: whether that went well.
  int32_t begin(int32_t kind, int32_t op, int32_t dtype, int32_t root, uint64_t count, double scale);
  int32_t end(cudaError_t error, const char* action);

  // What the backend knows of failures by itself; breakWith() says so.
  virtual int32_t check() = 0;
  // The same for what only the watching thread may ask.
  virtual int32_t checkTime() { return AX_OK; }
  // On the watching thread, again and again once a peer has ended that had called all that this rank has: lets go of what waits for it.
  // True when something on the device does and cannot say so itself.
  virtual bool isStuck() = 0;
  // Called once, after a failure: whatever waits for other ranks on the device must end.
  virtual void abort() = 0;
  // Frees what the backend has; its work is done, and all ranks are well.
  virtual void release() = 0;

  // Ends the communicator for all ranks, and returns `code` with the sentence.
  int32_t breakWith(int32_t code, int failed_rank, const char* format, ...) __attribute__((format(printf, 4, 5)));
  // The same as the control part says, whose status is not AX_OK.
  int32_t breakAs(int32_t status) { return breakWith(status, control_.failedRank(), "%s", lastError()); }
  // The same because of the peer that has ended.
  int32_t breakForEnd();
  bool hasEnded() const { return ended_.load(std::memory_order_acquire) >= 0; }
  // For a wait of the host: also a peer that has ended is a failure.
  int32_t watchPeers();

  cudaStream_t stream() const { return stream_; }
  ShmComm& control() { return control_; }
  bool hasControl() const { return has_control_; }
  int rank() const { return rank_; }
  int device() const { return device_; }
  int64_t timeoutMs() const { return timeout_ms_; }
  void noteFailedRank(int failed_rank) { failed_rank_.store(failed_rank, std::memory_order_relaxed); }

 private:
  void watch();
  int32_t examine();

  ShmComm control_;
  bool has_control_ = false, has_begun_ = false;
  int device_ = 0, rank_ = 0, world_size_ = 1;
  int64_t timeout_ms_ = 0;
  cudaStream_t stream_ = nullptr;

  std::thread watcher_;
  std::mutex watch_mutex_;
  std::condition_variable watch_ends_;
  bool is_watching_ = false;

  std::mutex failure_mutex_;
  std::atomic<int32_t> broken_{AX_OK};
  std::atomic<int> failed_rank_{-1}, ended_{-1};  // ended_: a peer that may be missed
  std::string sentence_;
};

// Each backend's.
int32_t createIpcComm(const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank);
int32_t createNcclComm(const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank);

}  // namespace ax

#endif  // AX_CUDA_GPU_COMM_H_
