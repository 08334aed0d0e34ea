// Combining one value of every thread: within a warp by exchange, between warps by way of shared memory. The order is fixed, and the
// combination must be commutative, so all threads get the same bits.
#ifndef AX_CUDA_COMBINE_CUH_
#define AX_CUDA_COMBINE_CUH_
#include <string.h>

#include <type_traits>

#include "cuda/launch.cuh"

namespace ax {
inline namespace AX_ISA {

constexpr int kWarp = 32, kWarps = kThreads / kWarp;

// The value of the lane whose number differs in the bits of `lane_mask`. `lanes` names all that take part.
template <class X>
AX_DEVICE X shuffleXor(uint32_t lanes, const X& value, int lane_mask) {
  if constexpr (std::is_arithmetic<X>::value) {
    return __shfl_xor_sync(lanes, value, lane_mask);
  } else {
    static_assert(sizeof(X) % 4 == 0);
    uint32_t words[sizeof(X) / 4];
    memcpy(words, &value, sizeof value);
#pragma unroll
    for (uint32_t& word : words) word = __shfl_xor_sync(lanes, word, lane_mask);
    X result;
    memcpy(&result, words, sizeof result);
    return result;
  }
}

// Of `width` neighbouring lanes, a power of 2.
template <class X, class Combine>
AX_DEVICE X combineLanes(uint32_t lanes, int width, X value, const Combine& combine) {
#pragma unroll 1
  for (int distance = width / 2; distance > 0; distance /= 2) value = combine(value, shuffleXor(lanes, value, distance));
  return value;
}

// Of the warps of a block, each of which holds one value in all lanes. `partial` has room for kWarps; nobody may be reading it.
template <class X, class Combine>
AX_DEVICE X combineWarps(X* partial, X value, const Combine& combine) {
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = partial[0];
#pragma unroll 1
  for (int warp = 1; warp < kWarps; ++warp) value = combine(value, partial[warp]);
  return value;
}

// Of a block of kThreads; all threads get the result.
template <class X, class Combine>
AX_DEVICE X combineBlock(X value, const Combine& combine) {
  AX_SHARED(X, partial, [kWarps]);
  value = combineLanes(0xffffffff, kWarp, value, combine);
  __syncthreads();  // an earlier call may still be reading
  return combineWarps(partial, value, combine);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_COMBINE_CUH_
