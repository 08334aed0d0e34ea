// How the blocks of several GPUs exchange data: block b of every rank meets with block b of the others, in steps.
//
// In a step a block writes what others need into its slots of THEIR memory, posts the step's number there, waits until all others have
// posted it here, and reads what they wrote. So everybody spins on and reads from memory of its own; only writes cross the link.
//
// Slots exist twice, by the parity of the step. A rank that writes for step s + 1 has seen all others post step s, which they did after
// they had read what was written for step s - 1: nothing is overwritten before it was read. Numbers of steps live on the device, one
// for each block, so that a launch can be captured in a graph and replayed; since the grid of a collective depends only on what all
// ranks have in common, they are equal on all ranks.
//
// A kernel never hangs: it gives up when the host says so (a peer is dead) or when a wait exceeds its time limit. What it leaves is
// then undefined, and the host never launches another one.
#ifndef AX_CUDA_IPC_EXCHANGE_CUH_
#define AX_CUDA_IPC_EXCHANGE_CUH_
#include <stdint.h>

#include "hw/cuda.h"
#include "hw/flags.h"

namespace ax {
inline namespace AX_ISA {

constexpr int kIpcRanks = 16;        // of one machine
constexpr int kIpcBlocks = 32;       // few: what else runs keeps its SMs, and 32 saturate a link
constexpr int kIpcThreads = 512;
constexpr int kIpcSlotBytes = 32 << 10;  // 4 packs for each thread: enough in flight to hide a link's latency
constexpr int kPackBytes = 16;

// Why a kernel gave up, in a word that the host reads: the reason, and the rank it waited for in the second byte.
enum IpcStatus : uint32_t { kIpcFine = 0, kIpcTimeout = 1, kIpcTwoInFlight = 2, kIpcAborted = 3 };

// The start of every rank's memory. Each word is written by one rank only.
struct IpcControl {
  struct alignas(128) Line {
    uint32_t word[kIpcRanks];
  };
  Line posted[kIpcBlocks];  // by block: the last step that each rank posted
  Line own[kIpcBlocks];     // by block: the last step here, and whether a kernel is at work
};

// What a kernel knows of all ranks.
struct IpcLinks {
  int rank, world_size;
  char* memory[kIpcRanks];      // of each rank, as this process maps it
  const uint32_t* is_aborted;   // host memory
  uint32_t* status;             // host memory
  uint64_t timeout_ns;

  static constexpr uint64_t bytes(int world_size) {
    return sizeof(IpcControl) + uint64_t{kIpcBlocks} * 2 * static_cast<uint64_t>(world_size) * kIpcSlotBytes;
  }
};

class Exchange {
 public:
  __device__ explicit Exchange(const IpcLinks& links) : links_(links) {
    AX_SHARED(uint32_t, start, [2]);
    if (threadIdx.x == 0) {
      uint32_t* const own = control(links_.rank).own[blockIdx.x].word;
      const bool is_taken = atomicExch(&own[1], 1u) != 0, is_aborted = hw::readFlag(links_.is_aborted) != 0;
      if (is_taken || is_aborted) hw::writeFlag(links_.status, is_aborted ? kIpcAborted : kIpcTwoInFlight);
      start[0] = own[0];
      start[1] = is_taken || is_aborted;
    }
    __syncthreads();
    step_ = start[0];
    has_given_up_ = start[1] != 0;
  }

  // The rank k places after this one: when each serves the others in this order, all links are busy at once.
  __device__ int neighbour(int k) const {
    const int rank = links_.rank + k;
    return rank < links_.world_size ? rank : rank - links_.world_size;
  }

  // Where `writer` leaves data for `reader` in the step to come.
  __device__ char* next(int reader, int writer) const { return slot(reader, writer, step_ + 1); }
  // Where it left data in the step that was met last.
  __device__ const char* last(int reader, int writer) const { return slot(reader, writer, step_); }

  // False when the kernel must end at once.
  __device__ bool meet() {
    AX_SHARED(uint32_t, has_failed, [2]);  // by the step's parity: the last one's may still be read when this one's is written
    if (has_given_up_) return false;
    ++step_;
    if (threadIdx.x == 0) has_failed[step_ & 1] = 0;
    __syncthreads();  // all that the block has read and written comes before its post
    const int other = static_cast<int>(threadIdx.x);
    if (other < links_.world_size && other != links_.rank) {
      hw::releaseFlag(&control(other).posted[blockIdx.x].word[links_.rank], step_);
      if (!await(&control(links_.rank).posted[blockIdx.x].word[other], other)) has_failed[step_ & 1] = 1;
    }
    __syncthreads();
    has_given_up_ = has_failed[step_ & 1] != 0;
    return !has_given_up_;
  }

  // The last thing that a kernel which did not give up does.
  __device__ void leave() {
    if (threadIdx.x != 0) return;
    uint32_t* const own = control(links_.rank).own[blockIdx.x].word;
    own[0] = step_;
    atomicExch(&own[1], 0u);
  }

 private:
  // Between two looks at the clock and at the host's word, which lies behind PCIe.
  static constexpr uint32_t kPolls = 512;

  __device__ IpcControl& control(int rank) const { return *reinterpret_cast<IpcControl*>(links_.memory[rank]); }

  __device__ char* slot(int reader, int writer, uint32_t step) const {
    const int index = (static_cast<int>(blockIdx.x) * 2 + static_cast<int>(step & 1)) * links_.world_size + writer;
    return links_.memory[reader] + sizeof(IpcControl) + static_cast<int64_t>(index) * kIpcSlotBytes;
  }

  __device__ bool await(const uint32_t* word, int other) const {
    const uint64_t start = hw::nanoseconds();
    for (uint32_t polls = 1; !hw::hasReached(word, step_); ++polls) {
      __nanosleep(32);
      if (polls % kPolls != 0) continue;
      const bool is_aborted = hw::readFlag(links_.is_aborted) != 0;
      if (!is_aborted && hw::nanoseconds() - start < links_.timeout_ns) continue;
      hw::writeFlag(links_.status, is_aborted ? kIpcAborted : kIpcTimeout | static_cast<uint32_t>(other) << 8);
      return false;
    }
    return true;
  }

  const IpcLinks& links_;
  uint32_t step_;
  bool has_given_up_;
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_IPC_EXCHANGE_CUH_
