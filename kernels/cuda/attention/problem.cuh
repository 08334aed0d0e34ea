// What the kernels of attention share: the operands of a call, masks, and which rows a block works on.
//
// Two families do the same: on the tensor cores (mma_*.cuh) for 16-bit rows of up to 128 elements that 16-byte copies can read, and on
// the SIMT units (simt_*.cuh) for all others. A call is forward, or rowsum(dO * O), then dQ, then dK and dV.
//
// dQ is a pass of its own, so that every sum has one owner and one order: results are the same bit for bit from run to run. It costs seven
// products of T x T x dim where adding to dQ from every block of keys would cost five, 1.4 times the operations; in exchange there is no
// float32 copy of dQ that is added to T / 128 times (32 KB of traffic for each 128 x 64 tile of scores with dim 64, twice what the tile's
// operands are), and neither pass moves probabilities through shared memory.
#ifndef AX_CUDA_ATTENTION_PROBLEM_CUH_
#define AX_CUDA_ATTENTION_PROBLEM_CUH_
#include "common/attention.h"
#include "common/dtype.h"
#include "cuda/launch.cuh"

namespace ax {
inline namespace AX_ISA {

// What one instruction moves.
template <class T>
struct alignas(16) Vector16 {
  static constexpr int kCount = 16 / sizeof(T);
  T v[kCount];
};

// Reads an element of a dtype that is computed in C.
template <class C>
AX_DEVICE C loadElement(const void* data, int32_t dtype, int64_t at) {
  if constexpr (sizeof(C) == 4) {
    if (dtype == AX_BFLOAT16) return static_cast<float>(static_cast<const BFloat16*>(data)[at]);
    if (dtype == AX_FLOAT16) return static_cast<float>(static_cast<const Float16*>(data)[at]);
  }
  return static_cast<const C*>(data)[at];
}

template <class C>
AX_DEVICE void storeElement(void* data, int32_t dtype, int64_t at, C value) {
  if constexpr (sizeof(C) == 4) {
    if (dtype == AX_BFLOAT16) {
      static_cast<BFloat16*>(data)[at] = BFloat16(value);
      return;
    }
    if (dtype == AX_FLOAT16) {
      static_cast<Float16*>(data)[at] = Float16(value);
      return;
    }
  }
  static_cast<C*>(data)[at] = value;
}

// The arguments of every kernel.
struct AttentionProblem {
  AttentionShape s;
  AttentionOperands a;
  AttentionDropout dropout;
  double scale;
  int32_t dtype;
  int group;  // heads that share keys
  void* delta = nullptr;  // rowsum(dO * O) of every query, in the dtype of computation; backward only

  AX_DEVICE static int64_t offset(const RowStrides& strides, int batch, int head) {
    return int64_t{batch} * strides.batch + int64_t{head} * strides.head;
  }

  // Where query 0 of a head lies in lse and delta.
  AX_DEVICE int64_t firstRow(int batch, int head) const { return (int64_t{batch} * s.heads + head) * s.q_len; }

  AX_DEVICE bool isHidden(int query, int key) const { return key >= s.k_len || (s.isCausal() && key > query); }

  // Keys that queries below `query_end` may see.
  AX_DEVICE int seenKeys(int64_t query_end) const {
    return s.isCausal() && query_end < s.k_len ? static_cast<int>(query_end) : s.k_len;
  }

  // A scaled score of a query and a key that are inside the matrix, with the mask applied.
  template <class C>
  AX_DEVICE C masked(C score, int batch, int head, int query, int key) const {
    if (s.mask_kind == AX_ATTENTION_NO_MASK) return score;
    const int64_t at = int64_t{batch} * s.mask_batch + int64_t{head} * s.mask_head + int64_t{query} * s.mask_row +
                       int64_t{key} * s.mask_column;
    if (s.mask_kind == AX_ATTENTION_BOOL_MASK) return static_cast<const uint8_t*>(a.mask)[at] != 0 ? score : C(-INFINITY);
    return score + loadElement<C>(a.mask, s.mask_dtype, at);
  }
};

// What a block works on: a tile of rows of a head, and where a result has more columns than a block computes a part of these.
struct AttentionUnit {
  int batch, head, tile, part;

  AX_DEVICE AttentionUnit(int tiles, int heads, int parts, bool is_reversed) {
    unsigned rest = blockIdx.x;
    part = static_cast<int>(rest % parts);
    rest /= parts;
    tile = static_cast<int>(rest % tiles);
    rest /= tiles;
    head = static_cast<int>(rest % heads);
    batch = static_cast<int>(rest / heads);
    // Blocks start in order: with the longest work first the last wave of a causal head is short.
    if (is_reversed) tile = tiles - 1 - tile;
  }
};

AX_HD int64_t tilesOf(int64_t count, int64_t size) { return (count + size - 1) / size; }

// The passes of a family; the last two read what `delta` has written. Each does nothing where its result is empty.
using AttentionPass = int32_t (*)(const AttentionProblem&);
struct AttentionPasses {
  AttentionPass forward, delta, query_gradient, key_gradient;
};
AttentionPasses simtAttention(int32_t dtype);
// For 16-bit rows of up to 128 elements at 16-byte boundaries; `dim` is the larger of the two head dimensions.
AttentionPasses mmaAttention(int dim);
AttentionPass mmaForward(int dim);  // in a source of its own, for the sake of compile time

// Launches `blocks` blocks of a kernel that takes the problem.
inline int32_t launchAttention(void (*kernel)(AttentionProblem), int64_t blocks, int threads, int shared_bytes, const AttentionProblem& x) {
  if (blocks == 0) return AX_OK;
  if (blocks > INT32_MAX) return fail(AX_ERROR_UNSUPPORTED, "attention of %d batches is larger than the grid", x.s.batch);
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));
  if (shared_bytes > 48 << 10) {
    AX_TRY(checkCuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes), "launch attention"));
  }
  const cudaError_t error = hw::launch(kernel, static_cast<unsigned>(blocks), threads, static_cast<size_t>(shared_bytes), stream, x);
  return checkCuda(error, "launch attention");
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_PROBLEM_CUH_
