// What the library uses of NCCL, declared here: NCCL is found at run time, and often it is not there.
//
// Names and values are those of nccl.h; the configuration is that of version 2.18, which later versions accept.
#ifndef AX_CUDA_NCCL_H_
#define AX_CUDA_NCCL_H_
#include <limits.h>
#include <stddef.h>

#include "hw/cuda.h"

namespace ax::nccl {

struct Communicator;  // opaque

struct UniqueId {
  char bytes[128];
};

enum Result : int {
  kSuccess = 0, kUnhandledCudaError = 1, kSystemError = 2, kInternalError = 3, kInvalidArgument = 4, kInvalidUsage = 5,
  kRemoteError = 6, kInProgress = 7, kTimeout = 8
};
enum DataType : int { kUint8 = 1, kInt32 = 2, kInt64 = 4, kFloat16 = 6, kFloat32 = 7, kFloat64 = 8, kBfloat16 = 9 };
enum Operation : int { kSum = 0, kMax = 2, kMin = 3 };  // and those of redOpCreatePreMulSum
enum Residence : int { kHostImmediate = 1 };

struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef, version = 21800;
  int blocking = 0;
  int cga_cluster_size = INT_MIN, min_ctas = INT_MIN, max_ctas = INT_MIN;
  const char* net_name = nullptr;
  int split_share = INT_MIN;
};

// The functions of the library that was found.
struct Functions {
  Result (*ncclGetVersion)(int* version);
  Result (*ncclGetUniqueId)(UniqueId* id);
  Result (*ncclCommInitRankConfig)(Communicator** comm, int ranks, UniqueId id, int rank, Config* config);
  Result (*ncclCommGetAsyncError)(Communicator* comm, Result* result);
  Result (*ncclCommFinalize)(Communicator* comm);
  Result (*ncclCommDestroy)(Communicator* comm);
  Result (*ncclCommAbort)(Communicator* comm);
  const char* (*ncclGetLastError)(Communicator* comm);
  const char* (*ncclGetErrorString)(Result result);
  Result (*ncclRedOpCreatePreMulSum)(int* op, void* scalar, DataType type, Residence residence, Communicator* comm);
  Result (*ncclAllReduce)(const void* x, void* out, size_t count, DataType type, int op, Communicator* comm, cudaStream_t stream);
  Result (*ncclReduceScatter)(const void* x, void* out, size_t count, DataType type, int op, Communicator* comm, cudaStream_t stream);
  Result (*ncclBroadcast)(const void* x, void* out, size_t count, DataType type, int root, Communicator* comm, cudaStream_t stream);
  Result (*ncclAllGather)(const void* x, void* out, size_t count, DataType type, Communicator* comm, cudaStream_t stream);
  int version;
};

// The library, loaded on first use; null when there is none that can be used, and then why, and what to do, in `why`.
const Functions* load(const char** why);

}  // namespace ax::nccl

#endif  // AX_CUDA_NCCL_H_
