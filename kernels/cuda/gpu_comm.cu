#include "cuda/gpu_comm.h"

#include <stdarg.h>
#include <stdio.h>

#include <chrono>

namespace ax {
namespace {

constexpr std::chrono::milliseconds kWatchInterval(50);

}  // namespace

GpuComm::~GpuComm() { stopWatching(); }

int32_t GpuComm::open(const CommOptions& options) {
  device_ = options.device;
  rank_ = options.rank;
  world_size_ = options.world_size;
  timeout_ms_ = options.timeout_ms;
  AX_TRY(selectDevice(device_));
  if (options.name != nullptr && *options.name != '\0') {
    const int32_t status = control_.join(options.name, rank_, world_size_, timeout_ms_);
    noteFailedRank(control_.failedRank());
    if (status != AX_OK) return status;
    has_control_ = true;
  }
  int least = 0, greatest = 0;
  AX_TRY(checkCuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "read the priorities of streams"));
  // Its few blocks go before those of computations that are waiting for an SM: other GPUs wait for them.
  return checkCuda(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest), "create the communication stream");
}

void GpuComm::close() {
  const bool is_well = failure() == AX_OK && checkCuda(cudaStreamSynchronize(stream_), "finish the collectives") == AX_OK && failure() == AX_OK;
  stopWatching();
  if (has_control_) control_.close();
  if (!is_well) return;  // kernels of other ranks may still write into this rank's memory: it stays until the process ends
  release();
  cudaStreamDestroy(stream_);
}

// --- Order -----------------------------------------------------------------------------------------------------------------

int32_t GpuComm::begin(int32_t kind, int32_t op, int32_t dtype, int32_t root, uint64_t count, double scale) {
  AX_TRY(failure());
  if (hasEnded()) return breakForEnd();
  cudaStream_t compute;
  AX_TRY(selectDevice(device_));
  AX_TRY(computeStream(&compute));
  if (has_control_) {
    const int32_t status = control_.record(kind, op, dtype, root, count, scale);
    if (status != AX_OK) return breakAs(status);
  }
  has_begun_ = true;
  return orderAfter(stream_, compute);
}

int32_t GpuComm::end(cudaError_t error, const char* action) {
  const int32_t status = checkCuda(error, action);
  return status == AX_OK ? AX_OK : breakWith(status, rank_, "%s", lastError());
}

int32_t GpuComm::finish() {
  AX_TRY(failure());
  if (!has_begun_) return AX_OK;
  cudaStream_t compute;
  AX_TRY(selectDevice(device_));
  AX_TRY(computeStream(&compute));
  has_begun_ = false;
  return orderAfter(compute, stream_);
}

int32_t GpuComm::barrier() {
  AX_TRY(failure());
  if (!has_control_) return fail(AX_ERROR_UNSUPPORTED, "a barrier between machines goes through the job's store");
  int32_t status = control_.record(kBarrierKind, 0, 0, 0, 0, 1);
  if (status == AX_OK) status = control_.barrier();
  return status == AX_OK ? AX_OK : breakAs(status);
}

int32_t GpuComm::pollPeers(bool* ready) {
  *ready = true;
  AX_TRY(failure());
  if (!has_control_) return AX_OK;
  const int32_t status = control_.pollPeers(ready);
  return status == AX_OK ? AX_OK : breakAs(status);
}

int32_t GpuComm::awaitPeers() {
  if (!has_control_) return failure();
  const int32_t status = control_.awaitPeers();
  return status == AX_OK ? AX_OK : breakAs(status);
}

// --- Failures --------------------------------------------------------------------------------------------------------------

int32_t GpuComm::breakWith(int32_t code, int failed_rank, const char* format, ...) {
  char sentence[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(sentence, sizeof sentence, format, arguments);
  va_end(arguments);
  std::lock_guard<std::mutex> guard(failure_mutex_);
  if (broken_.load(std::memory_order_relaxed) == AX_OK) {
    sentence_ = sentence;
    failed_rank_.store(failed_rank, std::memory_order_relaxed);
    broken_.store(code, std::memory_order_release);
    if (has_control_) control_.giveUp(code, failed_rank, sentence);
    abort();
  }
  return fail(broken_.load(std::memory_order_relaxed), "%s", sentence_.c_str());
}

int32_t GpuComm::failure() {
  const int32_t broken = broken_.load(std::memory_order_acquire);
  return broken != AX_OK ? breakWith(broken, -1, "%s", "") : check();
}

// A rank that ended may have done all its work: the others go on until they miss it.
int32_t GpuComm::examine() {
  AX_TRY(failure());
  AX_TRY(checkTime());
  if (!has_control_) return AX_OK;
  int ended;
  const int32_t status = control_.watch(&ended);
  if (status != AX_OK) return breakAs(status);
  if (ended < 0) return AX_OK;
  ended_.store(ended, std::memory_order_release);
  return isStuck() ? breakForEnd() : AX_OK;
}

int32_t GpuComm::watchPeers() {
  if (!has_control_) return AX_OK;
  int ended;
  const int32_t status = control_.watch(&ended);
  if (status != AX_OK) return breakAs(status);
  if (ended < 0) return AX_OK;
  ended_.store(ended, std::memory_order_release);
  return breakForEnd();
}

int32_t GpuComm::breakForEnd() {
  const int ended = ended_.load(std::memory_order_acquire);
  return breakWith(AX_ERROR_PEER, ended, "%s died; the last that rank %d called was %s", control_.rankName(ended).c_str(), rank_,
                   control_.describeLatest().c_str());
}

void GpuComm::startWatching() {
  is_watching_ = true;
  watcher_ = std::thread([this] { watch(); });
}

void GpuComm::watch() {
  selectDevice(device_);
  std::unique_lock<std::mutex> lock(watch_mutex_);
  while (is_watching_) {
    if (examine() != AX_OK) return;
    watch_ends_.wait_for(lock, kWatchInterval, [this] { return !is_watching_; });
  }
}

void GpuComm::stopWatching() {
  {
    std::lock_guard<std::mutex> guard(watch_mutex_);
    is_watching_ = false;
  }
  watch_ends_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

}  // namespace ax
