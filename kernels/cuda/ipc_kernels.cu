// Collectives between GPUs that map each other's memory. Sums are formed in the order of the ranks on every rank, so they are
// deterministic and bitwise equal everywhere, however the work is cut.
#include <string.h>

#include "common/dtype.h"
#include "cuda/ipc_kernels.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

// Data travels in packs of 16 bytes.
template <class T>
struct alignas(kPackBytes) Pack {
  static constexpr int kSize = kPackBytes / static_cast<int>(sizeof(T));
  T v[kSize];
};

__device__ inline bool isAligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % kPackBytes == 0; }

// Pack `index` of `count` elements, of which the last may be incomplete; `aligned` says where the elements begin.
template <class T>
__device__ Pack<T> loadPack(const T* elements, int index, int count, bool aligned) {
  constexpr int kSize = Pack<T>::kSize;
  const int first = index * kSize;
  if (aligned && first + kSize <= count) return reinterpret_cast<const Pack<T>*>(elements)[index];
  Pack<T> pack{};
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    if (first + i < count) pack.v[i] = elements[first + i];
  }
  return pack;
}

template <class T>
__device__ void storePack(T* elements, int index, int count, bool aligned, const Pack<T>& pack) {
  constexpr int kSize = Pack<T>::kSize;
  const int first = index * kSize;
  if (aligned && first + kSize <= count) {
    reinterpret_cast<Pack<T>*>(elements)[index] = pack;
    return;
  }
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    if (first + i < count) elements[first + i] = pack.v[i];
  }
}

template <class T>
__device__ int packsOf(int count) {
  return (count + Pack<T>::kSize - 1) / Pack<T>::kSize;
}

// A block copies bytes: whole packs where both sides are aligned, as slots and flat gradients are.
__device__ inline void copyBytes(void* to, const void* from, int bytes) {
  const int packs = isAligned(to) && isAligned(from) ? bytes / kPackBytes : 0;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < packs; i += kIpcThreads) {
    static_cast<uint4*>(to)[i] = static_cast<const uint4*>(from)[i];
  }
#pragma unroll 1
  for (int i = packs * kPackBytes + static_cast<int>(threadIdx.x); i < bytes; i += kIpcThreads) {
    static_cast<uint8_t*>(to)[i] = static_cast<const uint8_t*>(from)[i];
  }
}

template <class T>
__device__ T combine(int op, T a, T b) {
  if (op == AX_COMM_MAX) return a > b || a != a ? a : b;  // NaN propagates
  if (op == AX_COMM_MIN) return a < b || a != a ? a : b;
  return a + b;
}
// Integers wrap.
__device__ inline int32_t combine(int op, int32_t a, int32_t b) {
  if (op == AX_COMM_MAX) return a > b ? a : b;
  if (op == AX_COMM_MIN) return a < b ? a : b;
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
__device__ inline int64_t combine(int op, int64_t a, int64_t b) {
  if (op == AX_COMM_MAX) return a > b ? a : b;
  if (op == AX_COMM_MIN) return a < b ? a : b;
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// Pack `index` of what all ranks left here, reduced in their order; `own` is this rank's.
template <class T>
__device__ Pack<T> reducePack(const Exchange& exchange, const IpcLinks& links, const ReduceWork& work, const Pack<T>& own, int index) {
  constexpr int kSize = Pack<T>::kSize, kAtOnce = 4;  // loads in flight
  Compute<T> sum[kSize];
#pragma unroll 1
  for (int first = 0; first < links.world_size; first += kAtOnce) {
    Pack<T> packs[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int rank = first + i;
      packs[i] = own;
      if (rank < links.world_size && rank != links.rank) {
        packs[i] = reinterpret_cast<const Pack<T>*>(exchange.last(links.rank, rank))[index];
      }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (first + i >= links.world_size) continue;
#pragma unroll
      for (int k = 0; k < kSize; ++k) {
        const Compute<T> value = static_cast<Compute<T>>(packs[i].v[k]);
        sum[k] = first + i == 0 ? value : combine(work.op, sum[k], value);
      }
    }
  }
  const Compute<T> factor = static_cast<Compute<T>>(work.scale);
  Pack<T> result;
#pragma unroll
  for (int k = 0; k < kSize; ++k) result.v[k] = static_cast<T>(sum[k] * factor);
  return result;
}

template <class T>
__global__ void AX_MAX_THREADS(kIpcThreads, 1) reduceKernel(const __grid_constant__ IpcLinks links, const __grid_constant__ ReduceWork work) {
  Exchange exchange(links);
  const T* const x = static_cast<const T*>(work.x);
  T* const out = static_cast<T*>(work.out);
  const int ranks = links.world_size, chunk = work.chunk;
  const bool is_two_shot = work.mode == ReduceMode::kTwoShot, is_scattered = work.mode == ReduceMode::kReduceScatter;
  const int64_t taken = is_two_shot ? int64_t{chunk} * ranks : chunk;  // elements of `count` at a time
#pragma unroll 1
  for (int64_t base = blockIdx.x * taken; base < work.count; base += gridDim.x * taken) {
    const int left = static_cast<int>(min(work.count - base, taken));
    // What a rank reduces: everything, its share of it, or this range of its part.
    const auto begin = [&](int rank) {
      return is_scattered ? rank * work.count + base : is_two_shot ? base + min(left, rank * chunk) : base;
    };
    const auto size = [&](int rank) { return is_two_shot ? min(left, (rank + 1) * chunk) - min(left, rank * chunk) : left; };
#pragma unroll 1
    for (int k = 1; k < ranks; ++k) {
      const int other = exchange.neighbour(k);
      copyBytes(exchange.next(other, links.rank), x + begin(other), size(other) * static_cast<int>(sizeof(T)));
    }
    if (!exchange.meet()) return;
    const int count = size(links.rank);
    const T* const own = x + begin(links.rank);
    T* const result = is_scattered ? out + base : out + begin(links.rank);
    const bool is_x_aligned = isAligned(own), is_out_aligned = isAligned(result);
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < packsOf<T>(count); i += kIpcThreads) {
      const Pack<T> pack = reducePack(exchange, links, work, loadPack(own, i, count, is_x_aligned), i);
      storePack(result, i, count, is_out_aligned, pack);
#pragma unroll 1
      for (int k = 1; is_two_shot && k < ranks; ++k) {
        reinterpret_cast<Pack<T>*>(exchange.next(exchange.neighbour(k), links.rank))[i] = pack;
      }
    }
    if (!is_two_shot) continue;
    if (!exchange.meet()) return;
#pragma unroll 1
    for (int k = 1; k < ranks; ++k) {
      const int other = exchange.neighbour(k);
      copyBytes(out + begin(other), exchange.last(links.rank, other), size(other) * static_cast<int>(sizeof(T)));
    }
  }
  exchange.leave();
}

__global__ void AX_MAX_THREADS(kIpcThreads, 1) copyKernel(const __grid_constant__ IpcLinks links, const __grid_constant__ CopyWork work) {
  Exchange exchange(links);
  const bool is_gather = work.mode == CopyMode::kAllGather, is_source = is_gather || work.root == links.rank;
  int64_t base = blockIdx.x * int64_t{work.chunk};
  do {  // a barrier has nothing to copy, and meets once
    const int left = static_cast<int>(min(work.bytes - base, int64_t{work.chunk}));
    for (int k = 1; is_source && k < links.world_size; ++k) {
      copyBytes(exchange.next(exchange.neighbour(k), links.rank), work.x + base, left);
    }
    if (!exchange.meet()) return;
    for (int rank = 0; rank < links.world_size; ++rank) {
      if (!is_gather && (is_source || rank != work.root)) continue;
      char* const out = work.out + (is_gather ? rank * work.bytes : 0) + base;
      const char* const from = rank == links.rank ? work.x + base : exchange.last(links.rank, rank);
      if (out != from) copyBytes(out, from, left);
    }
    base += gridDim.x * int64_t{work.chunk};
  } while (base < work.bytes);
  exchange.leave();
}

}  // namespace

cudaError_t launchReduce(int32_t dtype, const IpcLinks& links, const ReduceWork& work, int blocks, cudaStream_t stream) {
  const auto start = [&](auto kernel) { return hw::launch(kernel, static_cast<unsigned>(blocks), kIpcThreads, 0, stream, links, work); };
  switch (dtype) {
    case AX_FLOAT32: return start(reduceKernel<float>);
    case AX_FLOAT64: return start(reduceKernel<double>);
    case AX_BFLOAT16: return start(reduceKernel<BFloat16>);
    case AX_FLOAT16: return start(reduceKernel<Float16>);
    case AX_INT32: return start(reduceKernel<int32_t>);
    default: return start(reduceKernel<int64_t>);
  }
}

cudaError_t launchCopy(const IpcLinks& links, const CopyWork& work, int blocks, cudaStream_t stream) {
  return hw::launch(copyKernel, static_cast<unsigned>(blocks), kIpcThreads, 0, stream, links, work);
}

}  // namespace AX_ISA
}  // namespace ax
