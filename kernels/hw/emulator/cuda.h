// The CUDA language and runtime of an emulated GPU, for g++. Included by hw/cuda.h.
#ifndef AX_HW_EMULATOR_CUDA_H_
#define AX_HW_EMULATOR_CUDA_H_
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "hw/emulator/machine.h"
#include "hw/emulator/mutation.h"
#include "hw/emulator/runtime.h"
#include "hw/emulator/types.h"

#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __constant__ const
#define __align__(bytes) alignas(bytes)
#define __grid_constant__
#define AX_MAX_THREADS(...)
#define AX_HW_INLINE inline

#define threadIdx (::hw::emulator::currentThread().index)
#define blockIdx (::hw::emulator::currentThread().block->index)
#define blockDim (::hw::emulator::currentThread().block->launch->block)
#define gridDim (::hw::emulator::currentThread().block->launch->grid)
constexpr int warpSize = 32;

#define AX_SHARED(type, name, ...)       \
  typedef type name##_type __VA_ARGS__;  \
  static const char name##_tag = 0;      \
  name##_type& name = *reinterpret_cast<name##_type*>(::hw::emulator::sharedVariable(&name##_tag, sizeof(name##_type)))
#define AX_DYNAMIC_SHARED(name) unsigned char* const name = ::hw::emulator::currentThread().block->dynamic_shared

// Synchronisation.
inline __attribute__((always_inline)) void __syncthreads() {
  if (hw::emulator::isDropped("__syncthreads")) return;
  const dim3& size = blockDim;
  hw::emulator::barrier(0, size.x * size.y * size.z);
}
inline __attribute__((always_inline)) void __syncwarp(uint32_t mask = 0xffffffff) {
  if (hw::emulator::isDropped("__syncwarp")) return;
  const char nothing = 0;
  hw::emulator::meet(mask, &nothing, 1, "__syncwarp");
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { hw::emulator::yield(); }

// Exchange between the lanes of a warp. Reading a lane outside the mask is undefined, so it fails here.
namespace hw::emulator {
inline unsigned laneOf(const Thread& thread) { return thread.rank % kWarpSize; }

template <class T>
T valueOfLane(uint32_t mask, T value, unsigned source, const char* operation) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMaxExchangedBytes);
  const auto* values = meet(mask, &value, sizeof value, operation);
  if (source >= kWarpSize) return value;
  if ((mask >> source & 1) == 0) failKernel(std::string(operation) + " reads a lane that does not take part");
  T result;
  memcpy(&result, values[source], sizeof result);
  return result;
}
}  // namespace hw::emulator

template <class T>
T __shfl_sync(uint32_t mask, T value, int lane, int width = 32) {
  const unsigned own = hw::emulator::laneOf(hw::emulator::currentThread());
  const unsigned first = own / static_cast<unsigned>(width) * static_cast<unsigned>(width);
  return hw::emulator::valueOfLane(mask, value, first + static_cast<unsigned>(lane) % static_cast<unsigned>(width), "__shfl_sync");
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int lane_mask, int width = 32) {
  const unsigned own = hw::emulator::laneOf(hw::emulator::currentThread()), source = own ^ static_cast<unsigned>(lane_mask);
  const unsigned limit = (own / static_cast<unsigned>(width) + 1) * static_cast<unsigned>(width);
  return hw::emulator::valueOfLane(mask, value, source < limit ? source : own, "__shfl_xor_sync");
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, unsigned delta, int width = 32) {
  const unsigned own = hw::emulator::laneOf(hw::emulator::currentThread());
  const unsigned limit = (own / static_cast<unsigned>(width) + 1) * static_cast<unsigned>(width);
  return hw::emulator::valueOfLane(mask, value, own + delta < limit ? own + delta : own, "__shfl_down_sync");
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, unsigned delta, int width = 32) {
  const unsigned own = hw::emulator::laneOf(hw::emulator::currentThread());
  const unsigned first = own / static_cast<unsigned>(width) * static_cast<unsigned>(width);
  return hw::emulator::valueOfLane(mask, value, own >= first + delta ? own - delta : own, "__shfl_up_sync");
}
inline unsigned __ballot_sync(uint32_t mask, int predicate) {
  const char mine = predicate != 0;
  const auto* values = hw::emulator::meet(mask, &mine, 1, "__ballot_sync");
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) != 0 && values[lane][0] == 1) result |= 1u << lane;
  }
  return result;
}
inline int __any_sync(uint32_t mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(uint32_t mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }
inline unsigned __activemask() { return 0xffffffff; }

// Atomics: another process may share the memory, so they are the processor's.
#define AX_ATOMIC(name, T, operation)                                                 \
  inline T name(T* address, T value) { return operation(address, value, __ATOMIC_RELAXED); }
#define AX_ATOMICS(T)                        \
  AX_ATOMIC(atomicAdd, T, __atomic_fetch_add) \
  AX_ATOMIC(atomicOr, T, __atomic_fetch_or)   \
  AX_ATOMIC(atomicAnd, T, __atomic_fetch_and) \
  AX_ATOMIC(atomicExch, T, __atomic_exchange_n)
AX_ATOMICS(int)
AX_ATOMICS(unsigned)
AX_ATOMICS(unsigned long long)
#undef AX_ATOMICS
#undef AX_ATOMIC
template <class T>
T atomicCAS(T* address, T expected, T value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T, class Change>
T atomicChange(T* address, const Change& change) {
  using Word = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  Word seen = __atomic_load_n(reinterpret_cast<Word*>(address), __ATOMIC_RELAXED), wanted;
  T value;
  do {
    memcpy(&value, &seen, sizeof value);
    const T next = change(value);
    memcpy(&wanted, &next, sizeof wanted);
  } while (!__atomic_compare_exchange_n(reinterpret_cast<Word*>(address), &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return value;
}
inline float atomicAdd(float* address, float value) { return atomicChange(address, [=](float x) { return x + value; }); }
inline double atomicAdd(double* address, double value) { return atomicChange(address, [=](double x) { return x + value; }); }
template <class T>
T atomicMax(T* address, T value) { return atomicChange(address, [=](T x) { return x < value ? value : x; }); }
template <class T>
T atomicMin(T* address, T value) { return atomicChange(address, [=](T x) { return value < x ? value : x; }); }

// Arithmetic and bits.
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __uint_as_float(unsigned x) { float value; memcpy(&value, &x, 4); return value; }
inline unsigned __float_as_uint(float x) { unsigned value; memcpy(&value, &x, 4); return value; }
inline float __int_as_float(int x) { return __uint_as_float(static_cast<unsigned>(x)); }
inline int __float_as_int(float x) { return static_cast<int>(__float_as_uint(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
template <class T>
T __ldg(const T* address) { return *address; }
using std::max;
using std::min;

namespace hw {

// A kernel with its arguments as they are at the launch; it runs when its stream gets there.
using Arguments = const std::function<void()>&;
using emulator::enqueueKernel;
using emulator::lastCapturedNode;
using emulator::setKernelNode;

// What launch() calls: see hw/cuda.h.
inline cudaError_t (*launch_function)(const void*, dim3, dim3, size_t, cudaStream_t, Arguments) = enqueueKernel;

template <class... Parameters, class... Arguments_>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   const Arguments_&... arguments) {
  std::tuple<std::decay_t<Parameters>...> values(static_cast<std::decay_t<Parameters>>(arguments)...);
  return launch_function(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, stream, [kernel, values] { std::apply(kernel, values); });
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_CUDA_H_
