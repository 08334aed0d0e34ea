// A stand-in for libnccl.so.2 on emulated GPUs: the functions that the library looks up, over shared memory, with the failures that
// the real one has. `kernels/build.ts emulated` compiles it into build/emulated/.
//
// FAKE_NCCL_VERSION: what ncclGetVersion says. FAKE_NCCL_FAULT: init_hang and init_error concern joining; hang:N and error:N the N-th
// collective, which then never ends, or whose communicator reports an asynchronous error and never ends. Only ncclCommAbort ends these.
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#define NCCL_API extern "C" __attribute__((visibility("default")))

namespace {

enum Result : int { kSuccess = 0, kSystemError = 2, kInvalidArgument = 4, kRemoteError = 6, kInProgress = 7 };
enum Type : int { kUint8 = 1, kInt32 = 2, kInt64 = 4, kFloat16 = 6, kFloat32 = 7, kFloat64 = 8, kBfloat16 = 9 };
enum Kind : int { kAllReduce, kReduceScatter, kBroadcast, kAllGather };
constexpr int kBuiltInOperations = 5, kRanks = 16;
constexpr size_t kChunkBytes = 1 << 20;

struct UniqueId {
  char bytes[128];
};
struct Config {
  size_t size;
  unsigned magic, version;
  int blocking;
};

// A stream of the emulator begins with the function that enqueues: see hw/emulator/streams.h.
struct Stream {
  int (*enqueue_attempt)(Stream*, bool (*attempt)(void*), void* data);
};

struct Shared {
  std::atomic<int> joined;
  struct {
    std::atomic<uint32_t> posted, taken;
  } ranks[kRanks];
  char data[kRanks][kChunkBytes];
};

struct Communicator {
  int rank, size;
  Shared* shared;
  std::vector<double> scales;
  std::atomic<bool> is_aborted{false};
  std::atomic<int> error{kSuccess};
  uint32_t step = 0;
  int collectives = 0;
};

struct Work {
  Communicator* comm;
  Kind kind;
  const char* x;
  char* out;
  size_t count;
  Type type;
  int operation, root, number;
  size_t done = 0;  // elements
  bool is_posted = false;
};

size_t bytesOf(Type type) { return type == kUint8 ? 1 : type == kFloat16 || type == kBfloat16 ? 2 : type == kInt64 || type == kFloat64 ? 8 : 4; }

// "hang:3" for "hang" is 3; 0 when there is no such fault.
int faultNumber(const char* name) {
  const char* fault = getenv("FAKE_NCCL_FAULT");
  const size_t length = strlen(name);
  return fault != nullptr && strncmp(fault, name, length) == 0 && fault[length] == ':' ? atoi(fault + length + 1) : 0;
}
bool hasFault(const char* name) {
  const char* fault = getenv("FAKE_NCCL_FAULT");
  return fault != nullptr && strcmp(fault, name) == 0;
}

struct Bfloat16 {
  uint16_t bits;
  Bfloat16() = default;
  Bfloat16(float value) {
    uint32_t word;
    memcpy(&word, &value, 4);
    bits = static_cast<uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
  operator float() const {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &word, 4);
    return value;
  }
};

template <class T>
void reduceTyped(const Work& work, const std::vector<const char*>& sources, char* out, size_t count) {
  const double scale = work.operation < kBuiltInOperations ? 1 : work.comm->scales[static_cast<size_t>(work.operation - kBuiltInOperations)];
  for (size_t i = 0; i < count; ++i) {
    T sum{};
    for (size_t rank = 0; rank < sources.size(); ++rank) {
      T value;
      memcpy(&value, sources[rank] + i * sizeof(T), sizeof(T));
      if (scale != 1) value = static_cast<T>(static_cast<float>(value) * static_cast<float>(scale));
      if (rank == 0) {
        sum = value;
      } else if (work.operation == 2) {
        sum = std::max(sum, value);
      } else if (work.operation == 3) {
        sum = std::min(sum, value);
      } else {
        sum = static_cast<T>(sum + value);
      }
    }
    memcpy(out + i * sizeof(T), &sum, sizeof(T));
  }
}

void reduce(const Work& work, const std::vector<const char*>& sources, char* out, size_t count) {
  switch (work.type) {
    case kInt32: return reduceTyped<int32_t>(work, sources, out, count);
    case kInt64: return reduceTyped<int64_t>(work, sources, out, count);
    case kFloat16: return reduceTyped<_Float16>(work, sources, out, count);
    case kFloat32: return reduceTyped<float>(work, sources, out, count);
    case kFloat64: return reduceTyped<double>(work, sources, out, count);
    case kBfloat16: return reduceTyped<Bfloat16>(work, sources, out, count);
    case kUint8: return reduceTyped<uint8_t>(work, sources, out, count);
  }
}

// One chunk after the other: leave it, wait for all, take theirs.
bool attempt(void* data) {
  Work& work = *static_cast<Work*>(data);
  Communicator& comm = *work.comm;
  if (comm.is_aborted) return true;
  if (work.number == faultNumber("hang")) return false;
  if (work.number == faultNumber("error")) {
    comm.error = kRemoteError;
    return false;
  }
  const size_t size = bytesOf(work.type), ranks = static_cast<size_t>(comm.size);
  const size_t limit = kChunkBytes / size / (work.kind == kReduceScatter ? ranks : 1);
  while (work.done < work.count || work.count == 0) {
    const size_t count = std::min(limit, work.count - work.done), bytes = count * size, at = work.done * size;
    if (!work.is_posted) {
      for (int rank = 0; rank < comm.size; ++rank) {
        if (comm.shared->ranks[rank].taken < comm.step) return false;
      }
      char* const own = comm.shared->data[comm.rank];
      if (work.kind == kReduceScatter) {
        for (size_t rank = 0; rank < ranks; ++rank) memcpy(own + rank * bytes, work.x + rank * work.count * size + at, bytes);
      } else if (work.kind != kBroadcast || work.root == comm.rank) {
        memcpy(own, work.x + at, bytes);
      }
      comm.shared->ranks[comm.rank].posted = ++comm.step;
      work.is_posted = true;
    }
    for (int rank = 0; rank < comm.size; ++rank) {
      if (comm.shared->ranks[rank].posted < comm.step) return false;
    }
    std::vector<const char*> sources;
    for (size_t rank = 0; rank < ranks; ++rank) {
      sources.push_back(comm.shared->data[rank] + (work.kind == kReduceScatter ? static_cast<size_t>(comm.rank) * bytes : 0));
    }
    if (work.kind == kBroadcast) {
      memcpy(work.out + at, sources[static_cast<size_t>(work.root)], bytes);
    } else if (work.kind == kAllGather) {
      for (size_t rank = 0; rank < ranks; ++rank) memcpy(work.out + rank * work.count * size + at, sources[rank], bytes);
    } else {
      reduce(work, sources, work.out + at, count);
    }
    comm.shared->ranks[comm.rank].taken = comm.step;
    work.is_posted = false;
    work.done += count;
    if (work.count == 0) break;
  }
  work.done = 0;  // a graph may run it again
  return true;
}

Result start(Kind kind, const void* x, void* out, size_t count, Type type, int operation, int root, Communicator* comm, Stream* stream) {
  const int number = ++comm->collectives;
  // Never freed: a graph may hold it.
  auto* const work = new Work{comm, kind, static_cast<const char*>(x), static_cast<char*>(out), count, type, operation, root, number};
  return stream->enqueue_attempt(stream, attempt, work) == 0 ? kSuccess : kSystemError;
}

}  // namespace

NCCL_API Result ncclGetVersion(int* version) {
  const char* text = getenv("FAKE_NCCL_VERSION");
  *version = text == nullptr ? 23007 : atoi(text);
  return kSuccess;
}

NCCL_API Result ncclGetUniqueId(UniqueId* id) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(id->bytes, sizeof id->bytes, "/fake-nccl-%d-%lld%09ld", getpid(), static_cast<long long>(now.tv_sec), now.tv_nsec);
  return kSuccess;
}

NCCL_API Result ncclCommInitRankConfig(Communicator** comm, int ranks, UniqueId id, int rank, Config* config) {
  if (config->magic != 0xcafebeef || config->version < 21400 || config->blocking != 0 || ranks > kRanks) return kInvalidArgument;
  const int file = shm_open(id.bytes, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Shared)) != 0) return kSystemError;
  void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return kSystemError;
  auto* const made = new Communicator;
  made->rank = rank;
  made->size = ranks;
  made->shared = static_cast<Shared*>(memory);
  if (!hasFault("init_hang") && ++made->shared->joined == ranks) shm_unlink(id.bytes);
  *comm = made;
  return kInProgress;
}

NCCL_API Result ncclCommGetAsyncError(Communicator* comm, Result* result) {
  *result = hasFault("init_error") ? kSystemError : comm->shared->joined < comm->size ? kInProgress : static_cast<Result>(comm->error.load());
  return kSuccess;
}

NCCL_API Result ncclCommFinalize(Communicator*) { return kSuccess; }
NCCL_API Result ncclCommDestroy(Communicator*) { return kSuccess; }
NCCL_API Result ncclCommAbort(Communicator* comm) {
  comm->is_aborted = true;
  return kSuccess;
}

NCCL_API const char* ncclGetLastError(Communicator*) { return "the fake's last error"; }
NCCL_API const char* ncclGetErrorString(Result result) {
  return result == kRemoteError ? "remote process exited or there was a network error" : "unhandled system error";
}

NCCL_API Result ncclRedOpCreatePreMulSum(int* operation, void* scalar, Type type, int, Communicator* comm) {
  double scale;
  switch (type) {
    case kFloat64: memcpy(&scale, scalar, 8); break;
    case kFloat32: { float value; memcpy(&value, scalar, 4); scale = value; break; }
    case kFloat16: { _Float16 value; memcpy(&value, scalar, 2); scale = static_cast<double>(value); break; }
    case kBfloat16: { Bfloat16 value; memcpy(&value, scalar, 2); scale = value; break; }
    default: return kInvalidArgument;
  }
  *operation = kBuiltInOperations + static_cast<int>(comm->scales.size());
  comm->scales.push_back(scale);
  return kSuccess;
}

NCCL_API Result ncclAllReduce(const void* x, void* out, size_t count, Type type, int operation, Communicator* comm, Stream* stream) {
  return start(kAllReduce, x, out, count, type, operation, 0, comm, stream);
}
NCCL_API Result ncclReduceScatter(const void* x, void* out, size_t count, Type type, int operation, Communicator* comm, Stream* stream) {
  return start(kReduceScatter, x, out, count, type, operation, 0, comm, stream);
}
NCCL_API Result ncclBroadcast(const void* x, void* out, size_t count, Type type, int root, Communicator* comm, Stream* stream) {
  return start(kBroadcast, x, out, count, type, 0, root, comm, stream);
}
NCCL_API Result ncclAllGather(const void* x, void* out, size_t count, Type type, Communicator* comm, Stream* stream) {
  return start(kAllGather, x, out, count, type, 0, 0, comm, stream);
}
