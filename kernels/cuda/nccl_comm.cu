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
  void abort() override;
  void release() override;

  int32_t chooseOperation(int32_t op, int32_t dtype, double scale, int* chosen);
  template <class Call>
  int32_t run(const char* what, const Call& call);
  int32_t settle(nccl::Result result, const char* what);
  int32_t notePending();
  int32_t breakFor(nccl::Result result, const std::string& detail);

  const nccl::Functions* nccl_ = nullptr;
  std::mutex mutex_;                     // guards what follows; never held while waiting, nor by breakWith()'s callers
  nccl::Communicator* comm_ = nullptr;   // null once it was aborted
  std::vector<ScaledSum> sums_;
  std::deque<Pending> pending_;
  std::vector<cudaEvent_t> spare_events_;
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
  std::string detail;
  while (result == nccl::kInProgress) {
    std::this_thread::sleep_for(kPollInterval);
    if (hasControl()) {
      const int32_t status = control().watch();
      if (status != AX_OK) return breakWith(status, control().failedRank(), lastError());
    }
    if (Clock::now() - start > std::chrono::milliseconds(timeoutMs())) {
      return breakWith(AX_ERROR_TIMEOUT, -1, std::string("NCCL waited ") + std::to_string(timeoutMs()) + " ms in " + what + " for other ranks");
    }
    std::lock_guard<std::mutex> guard(mutex_);
    if (comm_ == nullptr) break;
    const nccl::Result asked = nccl_->ncclCommGetAsyncError(comm_, &result);
    if (asked != nccl::kSuccess) result = asked;
  }
  if (result == nccl::kInProgress) return failure();  // it was aborted meanwhile
  return result == nccl::kSuccess ? AX_OK : breakFor(result, std::string("in ") + what);
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
  return result == nccl::kSuccess ? AX_OK : breakFor(result, "while making a scaled sum");
}

int32_t NcclComm::notePending() {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  AX_TRY(checkCuda(cudaStreamIsCapturing(stream(), &capture), "ask for a capture"));
  if (capture != cudaStreamCaptureStatusNone) return AX_OK;  // it runs when the graph is launched: then only peers are watched
  std::lock_guard<std::mutex> guard(mutex_);
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
  return result == nccl::kSuccess || result == nccl::kInProgress ? AX_OK : breakFor(result, "in " + (hasControl() ? control().describeLatest() : "a collective"));
}

// On the watching thread only: asking for an event would end the capture of a graph on the thread that captures.
int32_t NcclComm::checkTime() {
  {
    std::lock_guard<std::mutex> guard(mutex_);
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    cudaThreadExchangeStreamCaptureMode(&mode);
    while (!pending_.empty() && cudaEventQuery(pending_.front().event) == cudaSuccess) {
      spare_events_.push_back(pending_.front().event);
      pending_.pop_front();
      // The next one could not begin before.
      if (!pending_.empty()) pending_.front().begun = Clock::now();
    }
    cudaThreadExchangeStreamCaptureMode(&mode);
    cudaGetLastError();  // "not ready" is an answer
    if (pending_.empty() || Clock::now() - pending_.front().begun < std::chrono::milliseconds(timeoutMs())) return AX_OK;
  }
  const std::string waited = "waited " + std::to_string(timeoutMs()) + " ms in ";
  if (!hasControl()) return breakWith(AX_ERROR_TIMEOUT, -1, waited + "a collective of NCCL");
  const int late = control().laggingRank();
  return breakWith(AX_ERROR_TIMEOUT, late,
                   waited + control().describeLatest() + (late < 0 ? ", which all ranks of this machine have called" : " for " + control().rankName(late)));
}

// NCCL knows that something broke, the ranks of this machine know which process is gone.
int32_t NcclComm::breakFor(nccl::Result result, const std::string& detail) {
  std::string text = std::string("NCCL failed ") + detail + ": " + nccl_->ncclGetErrorString(result);
  const char* const more = nccl_->ncclGetLastError(nullptr);
  if (more != nullptr && *more != '\0') text += std::string(" (") + more + ")";
  for (int i = 0; hasControl() && i < kNamingTries; ++i) {
    const int32_t status = control().watch();
    if (status != AX_OK) return breakWith(status, control().failedRank(), std::string(lastError()) + "; " + text);
    std::this_thread::sleep_for(kNamingInterval);
  }
  return breakWith(result == nccl::kRemoteError ? AX_ERROR_PEER : AX_ERROR_DEVICE, -1, text);
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
