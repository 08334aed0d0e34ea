// The communicator over NCCL: GPUs of any number of machines.
//
// NCCL is used without blocking: whatever takes long returns at once and is asked after, so that a peer that is dead or does not come
// ends in a sentence. A collective that NCCL has begun ends by itself or by ncclCommAbort, which the watching thread calls.
#include <string.h>

#include <chrono>
#include <deque>
#include <vector>

#include "cuda/gpu_comm.h"
#include "cuda/nccl.h"

namespace ax {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollInterval(1), kNamingInterval(50);
// How long to look for a dead process of this machine after NCCL has said that something broke.
constexpr int kNamingTries = 10;
// How long the device may be busy after a peer has ended before a replayed collective is taken to wait for it.
constexpr std::chrono::seconds kReplayPatience(5);

nccl::DataType typeOf(int32_t dtype) {
  switch (dtype) {
    case AX_FLOAT32: return nccl::kFloat32;
    case AX_FLOAT64: return nccl::kFloat64;
    case AX_BFLOAT16: return nccl::kBfloat16;
    case AX_FLOAT16: return nccl::kFloat16;
    case AX_INT32: return nccl::kInt32;
    case AX_INT64: return nccl::kInt64;
    default: return nccl::kUint8;
  }
}

class NcclComm final : public GpuComm {
 public:
  ~NcclComm() override { stopWatching(); }
  int32_t join(const CommOptions& options);

  int32_t allReduce(void* values, int32_t op, int32_t dtype, uint64_t count, double scale) override {
    int chosen = 0;
    AX_TRY(chooseOperation(op, dtype, scale, &chosen));
    AX_TRY(begin(kAllReduceKind, op, dtype, 0, count, scale));
    return run("all_reduce", [&](nccl::Communicator* comm) {
      return nccl_->ncclAllReduce(values, values, count, typeOf(dtype), chosen, comm, stream());
    });
  }
  int32_t reduceScatter(void* out, void* x, int32_t op, int32_t dtype, uint64_t count, double scale) override {
    int chosen = 0;
    AX_TRY(chooseOperation(op, dtype, scale, &chosen));
    AX_TRY(begin(kReduceScatterKind, op, dtype, 0, count, scale));
    return run("reduce_scatter", [&](nccl::Communicator* comm) {
      return nccl_->ncclReduceScatter(x, out, count, typeOf(dtype), chosen, comm, stream());
    });
  }
  int32_t broadcast(void* values, uint64_t bytes, int32_t root) override {
    AX_TRY(begin(kBroadcastKind, 0, 0, root, bytes, 1));
    return run("broadcast", [&](nccl::Communicator* comm) {
      return nccl_->ncclBroadcast(values, values, bytes, nccl::kUint8, root, comm, stream());
    });
  }
  int32_t allGather(void* out, void* x, uint64_t bytes) override {
    AX_TRY(begin(kAllGatherKind, 0, 0, 0, bytes, 1));
    return run("all_gather", [&](nccl::Communicator* comm) { return nccl_->ncclAllGather(x, out, bytes, nccl::kUint8, comm, stream()); });
  }

 private:
  // A collective in the stream, and the event behind it.
  struct Pending {
    cudaEvent_t event;
    Clock::time_point begun;
  };
  // NCCL's name for a sum whose operands are multiplied first.
  struct ScaledSum {
    int32_t dtype;
    double scale;
    int operation;
  };

  int32_t check() override;
  int32_t checkTime() override;
  bool isStuck() override;
  void dropFinished();
  void abort() override;
  void release() override;

  int32_t chooseOperation(int32_t op, int32_t dtype, double scale, int* chosen);
  template <class Call>
  int32_t run(const char* what, const Call& call);
  int32_t settle(nccl::Result result, const char* what);
  int32_t notePending();
  int32_t breakFor(nccl::Result result, const char* when, const char* what);

  const nccl::Functions* nccl_ = nullptr;
  std::mutex mutex_;                     // guards what follows; never held while waiting, nor by breakWith()'s callers
  nccl::Communicator* comm_ = nullptr;   // null once it was aborted
  std::vector<ScaledSum> sums_;
  std::deque<Pending> pending_;
  std::vector<cudaEvent_t> spare_events_;
  bool is_recorded_ = false;             // in a graph that may be replayed
  Clock::time_point idle_;               // when the device was last seen idle after a peer had ended
};

int32_t NcclComm::join(const CommOptions& options) {
  const char* why;
  nccl_ = nccl::load(&why);
  if (nccl_ == nullptr) return fail(AX_ERROR_UNSUPPORTED, "%s", why);
  if (options.nccl_id == nullptr) return fail(AX_ERROR_ARGUMENT, "NCCL needs an id");
  AX_TRY(open(options));
  nccl::UniqueId id;
  memcpy(&id, options.nccl_id, sizeof id);
  nccl::Config config;
  nccl::Result result;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    result = nccl_->ncclCommInitRankConfig(&comm_, worldSize(), id, rank(), &config);
  }
  AX_TRY(settle(result, "join"));
  startWatching();
  return AX_OK;
}

// Waits until NCCL has done what it began.
int32_t NcclComm::settle(nccl::Result result, const char* what) {
  const Clock::time_point start = Clock::now();
  while (result == nccl::kInProgress) {
    std::this_thread::sleep_for(kPollInterval);
    AX_TRY(watchPeers());
    if (Clock::now() - start > std::chrono::milliseconds(timeoutMs())) {
      return breakWith(AX_ERROR_TIMEOUT, -1, "NCCL waited %lld ms in %s for other ranks", static_cast<long long>(timeoutMs()), what);
    }
    std::lock_guard<std::mutex> guard(mutex_);
    if (comm_ == nullptr) break;
    const nccl::Result asked = nccl_->ncclCommGetAsyncError(comm_, &result);
    if (asked != nccl::kSuccess) result = asked;
  }
  if (result == nccl::kInProgress) return failure();  // it was aborted meanwhile
  return result == nccl::kSuccess ? AX_OK : breakFor(result, "in", what);
}

template <class Call>
int32_t NcclComm::run(const char* what, const Call& call) {
  nccl::Result result = nccl::kInProgress;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    if (comm_ != nullptr) result = call(comm_);
  }
  AX_TRY(settle(result, what));
  return notePending();
}

// Multiplying first costs no pass over the data, and keeps sums of 16-bit values from overflowing.
int32_t NcclComm::chooseOperation(int32_t op, int32_t dtype, double scale, int* chosen) {
  AX_TRY(checkReduction(op, dtype, scale, true));
  *chosen = op == AX_COMM_MAX ? nccl::kMax : op == AX_COMM_MIN ? nccl::kMin : nccl::kSum;
  if (scale == 1) return AX_OK;
  if (op != AX_COMM_SUM) return fail(AX_ERROR_UNSUPPORTED, "NCCL scales sums only");
  AX_TRY(failure());
  nccl::Result result = nccl::kSuccess;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    for (const ScaledSum& sum : sums_) {
      if (sum.dtype != dtype || sum.scale != scale) continue;
      *chosen = sum.operation;
      return AX_OK;
    }
    double as_double = scale;
    float as_float = static_cast<float>(scale);
    BFloat16 as_bfloat16(as_float);
    Float16 as_float16 = static_cast<Float16>(as_float);
    void* const scalar = dtype == AX_FLOAT64    ? static_cast<void*>(&as_double)
                         : dtype == AX_BFLOAT16 ? static_cast<void*>(&as_bfloat16)
                         : dtype == AX_FLOAT16  ? static_cast<void*>(&as_float16)
                                                : static_cast<void*>(&as_float);
    if (comm_ != nullptr) result = nccl_->ncclRedOpCreatePreMulSum(chosen, scalar, typeOf(dtype), nccl::kHostImmediate, comm_);
    if (result == nccl::kSuccess) sums_.push_back({dtype, scale, *chosen});
  }
  return result == nccl::kSuccess ? AX_OK : breakFor(result, "while making", "a scaled sum");
}

int32_t NcclComm::notePending() {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  AX_TRY(checkCuda(cudaStreamIsCapturing(stream(), &capture), "ask for a capture"));
  std::lock_guard<std::mutex> guard(mutex_);
  if (capture != cudaStreamCaptureStatusNone) {  // it runs when the graph is replayed: then only peers are watched
    is_recorded_ = true;
    return AX_OK;
  }
  cudaEvent_t event = nullptr;
  if (!spare_events_.empty()) {
    event = spare_events_.back();
    spare_events_.pop_back();
  } else {
    AX_TRY(checkCuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event"));
  }
  pending_.push_back({event, Clock::now()});
  return checkCuda(cudaEventRecord(event, stream()), "record an event");
}

int32_t NcclComm::check() {
  nccl::Result result = nccl::kSuccess;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    if (comm_ == nullptr) return AX_OK;
    const nccl::Result asked = nccl_->ncclCommGetAsyncError(comm_, &result);
    if (asked != nccl::kSuccess) result = asked;
  }
  return result == nccl::kSuccess || result == nccl::kInProgress ? AX_OK : breakFor(result, "in", hasControl() ? control().describeLatest().c_str() : "a collective");
}

// Under the lock, on the watching thread only: on the thread that records a graph, asking for an event would end the recording.
void NcclComm::dropFinished() {
  while (!pending_.empty() && cudaEventQuery(pending_.front().event) == cudaSuccess) {
    spare_events_.push_back(pending_.front().event);
    pending_.pop_front();
    // The next one could not begin before.
    if (!pending_.empty()) pending_.front().begun = Clock::now();
  }
  cudaGetLastError();  // "not ready" is an answer
}

int32_t NcclComm::checkTime() {
  {
    std::lock_guard<std::mutex> guard(mutex_);
    dropFinished();
    if (pending_.empty() || Clock::now() - pending_.front().begun < std::chrono::milliseconds(timeoutMs())) return AX_OK;
  }
  const long long waited = timeoutMs();
  if (!hasControl()) return breakWith(AX_ERROR_TIMEOUT, -1, "waited %lld ms in a collective of NCCL", waited);
  const int late = control().laggingRank();
  const std::string latest = control().describeLatest();
  if (late < 0) return breakWith(AX_ERROR_TIMEOUT, -1, "waited %lld ms in %s, which all ranks of this machine have called", waited, latest.c_str());
  return breakWith(AX_ERROR_TIMEOUT, late, "waited %lld ms in %s for %s", waited, latest.c_str(), control().rankName(late).c_str());
}

// What was called is known by its event; a graph that is replayed by its stream, which then makes no progress.
bool NcclComm::isStuck() {
  std::lock_guard<std::mutex> guard(mutex_);
  dropFinished();
  if (!pending_.empty()) return true;
  cudaStream_t compute;
  if (!is_recorded_ || computeStream(&compute) != AX_OK) return false;
  const bool is_busy = cudaStreamQuery(compute) == cudaErrorNotReady;
  cudaGetLastError();  // "not ready" is an answer
  if (!is_busy || idle_ == Clock::time_point()) idle_ = Clock::now();
  return Clock::now() - idle_ > kReplayPatience;
}

// NCCL knows that something broke, the ranks of this machine know which process is gone.
int32_t NcclComm::breakFor(nccl::Result result, const char* when, const char* what) {
  const char* more = nccl_->ncclGetLastError(nullptr);
  if (more == nullptr) more = "";
  const char* const text = nccl_->ncclGetErrorString(result);
  for (int i = 0; hasControl() && i < kNamingTries; ++i) {
    AX_TRY(watchPeers());
    std::this_thread::sleep_for(kNamingInterval);
  }
  return breakWith(result == nccl::kRemoteError ? AX_ERROR_PEER : AX_ERROR_DEVICE, -1, "NCCL failed %s %s: %s (%s)", when, what, text, more);
}

void NcclComm::abort() {
  std::lock_guard<std::mutex> guard(mutex_);
  if (comm_ == nullptr) return;
  nccl_->ncclCommAbort(comm_);
  comm_ = nullptr;
}

void NcclComm::release() {
  nccl::Communicator* comm = nullptr;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    std::swap(comm, comm_);
  }
  if (comm == nullptr) return;
  nccl::Result result = nccl_->ncclCommFinalize(comm);
  const Clock::time_point start = Clock::now();
  while (result == nccl::kInProgress && Clock::now() - start < std::chrono::milliseconds(timeoutMs())) {
    std::this_thread::sleep_for(kPollInterval);
    if (nccl_->ncclCommGetAsyncError(comm, &result) != nccl::kSuccess) break;
  }
  if (result == nccl::kSuccess) {
    nccl_->ncclCommDestroy(comm);
  } else {
    nccl_->ncclCommAbort(comm);
  }
  for (const Pending& pending : pending_) cudaEventDestroy(pending.event);
  for (cudaEvent_t event : spare_events_) cudaEventDestroy(event);
}

}  // namespace

int32_t createNcclComm(const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank) {
  auto joined = std::make_shared<NcclComm>();
  const int32_t status = joined->join(options);
  *failed_rank = joined->failedRank();
  if (status == AX_OK) *comm = std::move(joined);
  return status;
}

}  // namespace ax
