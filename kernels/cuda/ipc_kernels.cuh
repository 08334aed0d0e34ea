// What the collectives of ipc_kernels.cu take, and how they cut their work.
#ifndef AX_CUDA_IPC_KERNELS_CUH_
#define AX_CUDA_IPC_KERNELS_CUH_
#include <stdint.h>

#include "cuda/ipc_exchange.cuh"

namespace ax {
inline namespace AX_ISA {

// How a reduction goes about it.
enum class ReduceMode : int {
  kOneShot,        // everybody gets everything and reduces everything: one step
  kTwoShot,        // everybody reduces a share and hands it out: two steps, but 2 (n - 1) / n instead of n - 1 times the data
  kReduceScatter,  // everybody keeps the share that it reduced
};

struct ReduceWork {
  void* out;
  const void* x;
  int64_t count;    // elements of x; of out for a reduce-scatter
  int chunk;        // elements that a block takes at a time: of each rank's share, or of everything in one shot
  int op;           // AX_COMM_*
  double scale;
  ReduceMode mode;
};

enum class CopyMode : int { kBroadcast, kAllGather };

struct CopyWork {
  char* out;
  const char* x;
  int64_t bytes;  // of each rank
  int chunk;
  int root;
  CopyMode mode;
};

// Enqueue a collective; all ranks must enqueue the same. A barrier is a broadcast of nothing.
cudaError_t launchReduce(int32_t dtype, const IpcLinks& links, const ReduceWork& work, int blocks, cudaStream_t stream);
cudaError_t launchCopy(const IpcLinks& links, const CopyWork& work, int blocks, cudaStream_t stream);

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_IPC_KERNELS_CUH_
