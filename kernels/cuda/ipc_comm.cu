// The communicator of GPUs of one machine that map each other's memory (CUDA IPC).
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "cuda/gpu_comm.h"
#include "cuda/ipc_kernels.cuh"

namespace ax {
namespace {

// Up to here everybody reduces everything: a second meeting would cost more than the traffic that it saves.
constexpr uint64_t kOneShotBytes = 512 << 10;
// A block has at least this much to do before another one is worth its meeting.
constexpr uint64_t kLeastBytes = 4096;
constexpr uint64_t kAllocationBytes = 2 << 20;  // whole pages of the GPU, so that nothing else lies in what is handed out

// What a rank tells the others.
struct Offer {
  int32_t process, has_memory, blocks;
  cudaIpcMemHandle_t handle;
  void* address;
};

// Whether it could do its part.
struct Answer {
  int32_t status;
  char sentence[124];
};

class IpcComm final : public GpuComm {
 public:
  ~IpcComm() override { stopWatching(); }
  int32_t join(const CommOptions& options);

  int32_t allReduce(void* values, int32_t op, int32_t dtype, uint64_t count, double scale) override {
    return reduce(kAllReduceKind, values, values, op, dtype, count, scale);
  }
  int32_t reduceScatter(void* out, void* x, int32_t op, int32_t dtype, uint64_t count, double scale) override {
    return reduce(kReduceScatterKind, out, x, op, dtype, count, scale);
  }
  int32_t broadcast(void* values, uint64_t bytes, int32_t root) override {
    return copy(kBroadcastKind, {static_cast<char*>(values), static_cast<const char*>(values), static_cast<int64_t>(bytes), 0, root, CopyMode::kBroadcast});
  }
  int32_t allGather(void* out, void* x, uint64_t bytes) override {
    return copy(kAllGatherKind, {static_cast<char*>(out), static_cast<const char*>(x), static_cast<int64_t>(bytes), 0, 0, CopyMode::kAllGather});
  }

 private:
  enum Word { kIsAborted = 0, kStatus = 1 };

  int32_t check() override;
  void abort() override { __atomic_store_n(&words_[kIsAborted], 1u, __ATOMIC_SEQ_CST); }
  // A kernel that waits leaves its reason, which check() finds; one that does not is right.
  bool isStuck() override {
    abort();
    return false;
  }
  void release() override;

  int32_t allocate(Offer* offer);
  int32_t map(const std::vector<Offer>& offers);
  template <class T>
  int32_t exchange(const T& own, std::vector<T>* all);
  int32_t reduce(int32_t kind, void* out, const void* x, int32_t op, int32_t dtype, uint64_t count, double scale);
  int32_t copy(int32_t kind, CopyWork work);

  IpcLinks links_ = {};
  uint32_t* words_ = nullptr;  // pinned: kernels read and write them
  int blocks_ = 1;
  bool is_mapped_[kIpcRanks] = {};
};

// What `count` units of `bytes` become when blocks share them: the units that one takes at a time.
int chunkFor(uint64_t count, uint64_t bytes, int blocks) {
  const uint64_t pack = kPackBytes / bytes, share = (count + static_cast<uint64_t>(blocks) - 1) / static_cast<uint64_t>(blocks);
  const uint64_t chunk = std::min(std::max(share, kLeastBytes / bytes), kIpcSlotBytes / bytes);
  return static_cast<int>((chunk + pack - 1) / pack * pack);
}

template <class T>
int32_t IpcComm::exchange(const T& own, std::vector<T>* all) {
  all->resize(static_cast<size_t>(worldSize()));
  T mine = own;
  HostCommBuffer out(all->data()), x(&mine);
  const int32_t status = control().allGather(out, x, sizeof(T));
  noteFailedRank(control().failedRank());
  return status;
}

int32_t IpcComm::allocate(Offer* offer) {
  int processors = 0;
  AX_TRY(checkCuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device()), "count the multiprocessors"));
  AX_TRY(checkCuda(cudaHostAlloc(reinterpret_cast<void**>(&words_), 2 * sizeof(uint32_t), cudaHostAllocPortable | cudaHostAllocMapped), "pin memory"));
  words_[kIsAborted] = words_[kStatus] = 0;
  const uint64_t bytes = (IpcLinks::bytes(worldSize()) + kAllocationBytes - 1) / kAllocationBytes * kAllocationBytes;
  void* memory = nullptr;
  AX_TRY(checkCuda(cudaMalloc(&memory, bytes), "allocate the memory of the communicator"));
  links_.memory[rank()] = static_cast<char*>(memory);
  AX_TRY(checkCuda(cudaMemsetAsync(memory, 0, sizeof(IpcControl), stream()), "clear the memory of the communicator"));
  AX_TRY(checkCuda(cudaStreamSynchronize(stream()), "clear the memory of the communicator"));
  AX_TRY(checkCuda(cudaIpcGetMemHandle(&offer->handle, memory), "offer memory to other processes"));
  offer->address = memory;
  offer->blocks = std::min(kIpcBlocks, processors);
  offer->has_memory = 1;
  return AX_OK;
}

int32_t IpcComm::map(const std::vector<Offer>& offers) {
  for (int other = 0; other < worldSize(); ++other) {
    const Offer& offer = offers[static_cast<size_t>(other)];
    if (other == rank()) continue;
    if (offer.has_memory == 0) return fail(AX_ERROR_UNSUPPORTED, "rank %d has no memory to share", other);
    void* address = offer.address;
    if (offer.process != getpid()) {  // a handle cannot be opened by the process that made it, and need not be
      AX_TRY(checkCuda(cudaIpcOpenMemHandle(&address, offer.handle, cudaIpcMemLazyEnablePeerAccess), "map the memory of another rank"));
      is_mapped_[other] = true;
    }
    links_.memory[other] = static_cast<char*>(address);
    blocks_ = std::min(blocks_, offer.blocks);
  }
  return AX_OK;
}

// All ranks come to the same answer: one that could not do its part says so instead of staying away.
int32_t IpcComm::join(const CommOptions& options) {
  if (options.world_size > kIpcRanks) return fail(AX_ERROR_UNSUPPORTED, "at most %d GPUs share memory, got %d", kIpcRanks, options.world_size);
  AX_TRY(open(options));
  if (!hasControl()) return fail(AX_ERROR_ARGUMENT, "ranks that share memory need a name");
  links_.rank = rank();
  links_.world_size = worldSize();
  links_.timeout_ns = static_cast<uint64_t>(timeoutMs()) * 1000000;
  Offer own = {static_cast<int32_t>(getpid()), 0, 0, {}, nullptr};
  int32_t status = allocate(&own);
  std::string sentence = status == AX_OK ? "" : lastError();
  blocks_ = own.blocks;
  links_.is_aborted = words_;
  links_.status = words_ + kStatus;

  std::vector<Offer> offers;
  AX_TRY(exchange(own, &offers));
  if (status == AX_OK && (status = map(offers)) != AX_OK) sentence = lastError();
  Answer answer = {status, ""};
  snprintf(answer.sentence, sizeof answer.sentence, "%s", sentence.c_str());
  std::vector<Answer> answers;
  AX_TRY(exchange(answer, &answers));
  for (int other = 0; other < worldSize(); ++other) {
    const Answer& theirs = answers[static_cast<size_t>(other)];
    if (theirs.status == AX_OK) continue;
    close();
    noteFailedRank(other);
    return fail(AX_ERROR_UNSUPPORTED, "rank %d cannot share the memory of the GPUs: %s", other, theirs.sentence);
  }
  startWatching();
  return AX_OK;
}

void IpcComm::release() {
  for (int other = 0; other < worldSize(); ++other) {
    if (is_mapped_[other]) cudaIpcCloseMemHandle(links_.memory[other]);
  }
  cudaFree(links_.memory[rank()]);
  cudaFreeHost(words_);
}

int32_t IpcComm::check() {
  if (words_ == nullptr) return AX_OK;
  const uint32_t status = __atomic_load_n(&words_[kStatus], __ATOMIC_ACQUIRE);
  if (status == kIpcFine) return AX_OK;
  if ((status & 0xff) == kIpcAborted) return hasEnded() ? breakForEnd() : AX_OK;
  const int other = static_cast<int>(status >> 8 & 0xff);
  if ((status & 0xff) == kIpcTwoInFlight) {
    return breakWith(AX_ERROR_ARGUMENT, rank(), "two collectives of one communicator ran at once; the last was %s",
                     control().describeLatest().c_str());
  }
  return breakWith(AX_ERROR_TIMEOUT, other,
                   "waited %lld ms for %s; the last that rank %d called was %s", static_cast<long long>(timeoutMs()),
                   control().rankName(other).c_str(), rank(), control().describeLatest().c_str());
}

int32_t IpcComm::reduce(int32_t kind, void* out, const void* x, int32_t op, int32_t dtype, uint64_t count, double scale) {
  AX_TRY(checkReduction(op, dtype, scale, true));
  AX_TRY(begin(kind, op, dtype, 0, count, scale));
  if (count == 0) return AX_OK;
  const uint64_t size = static_cast<uint64_t>(kDtypeBytes[dtype]), ranks = static_cast<uint64_t>(worldSize());
  ReduceWork work = {out, x, static_cast<int64_t>(count), 0, op, scale, ReduceMode::kReduceScatter};
  if (kind == kAllReduceKind) work.mode = ranks == 1 || count * size <= kOneShotBytes ? ReduceMode::kOneShot : ReduceMode::kTwoShot;
  const uint64_t parts = work.mode == ReduceMode::kTwoShot ? ranks : 1;
  work.chunk = chunkFor((count + parts - 1) / parts, size, blocks_);
  const uint64_t taken = static_cast<uint64_t>(work.chunk) * parts;
  const int blocks = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(blocks_), (count + taken - 1) / taken));
  return end(launchReduce(dtype, links_, work, blocks, stream()), "launch a reduction between ranks");
}

int32_t IpcComm::copy(int32_t kind, CopyWork work) {
  AX_TRY(begin(kind, 0, 0, work.root, static_cast<uint64_t>(work.bytes), 1));
  const uint64_t bytes = static_cast<uint64_t>(work.bytes);
  if (bytes == 0) return AX_OK;
  work.chunk = chunkFor(bytes, 1, blocks_);
  const uint64_t chunk = static_cast<uint64_t>(work.chunk);
  const int blocks = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(blocks_), (bytes + chunk - 1) / chunk));
  return end(launchCopy(links_, work, blocks, stream()), "launch a copy between ranks");
}

}  // namespace

int32_t createIpcComm(const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank) {
  auto joined = std::make_shared<IpcComm>();
  const int32_t status = joined->join(options);
  *failed_rank = joined->failedRank();
  if (status == AX_OK) *comm = std::move(joined);
  return status;
}

}  // namespace ax
