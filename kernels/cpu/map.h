// Elementwise work on the CPU: see common/map.h. The loop of a formula is compiled for contiguous elements of its own type only;
// tiles of operands that are strided, broadcast or of another dtype pass through buffers that stay in the first-level cache.
#ifndef AX_CPU_MAP_H_
#define AX_CPU_MAP_H_
#include <stddef.h>

#include <type_traits>
#include <utility>

#include "common/layout.h"
#include "common/operand.h"

namespace ax {
inline namespace AX_ISA {

constexpr int kMaxOperands = 4;

// `count` elements of every operand, the output first.
using BlockKernel = void (*)(const void* body, int64_t count, void* const* operands);

struct BlockMap {
  int operand_count;
  Operand operands[kMaxOperands];
  int32_t computed[kMaxOperands];  // the dtypes that the kernel sees
  BlockKernel kernel;              // null: a copy
  const void* body;
  // The kernel that reads one element of operand k, which stands for all of them; null: there is none.
  BlockKernel one_of[kMaxOperands];
};

int32_t mapBlocks(const BlockMap& map, double count, const int32_t* layout, int32_t ndim);

// Whether a body says that it takes less time than reading its operands.
template <class Body, class = void>
inline constexpr bool kIsLightBody = false;
template <class Body>
inline constexpr bool kIsLightBody<Body, std::enable_if_t<Body::kIsLight>> = true;

// One element that stands for all.
template <class T>
struct Repeated {
  T value;
  T operator[](int64_t) const { return value; }
};

// The output may be an input: an element depends only on those at its own position, which `ivdep` tells the compiler.
template <class Body, class Out, class... Inputs>
void blockLoop(const Body body, int64_t count, Out* out, const Inputs... in) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) out[i] = body(in[i]...);
}

// Half a cache line.
typedef int64_t HalfLine __attribute__((vector_size(32), aligned(4), may_alias));

// What memory bounds is fastest with vectors of half a cache line and several loads before the first store: loads wait for a store to
// the same place of another page. 0.65 instead of 0.92 ms for a row added to 4M floats.
template <class Body, class Out, class... Inputs>
__attribute__((noinline, target("prefer-vector-width=256"))) void lightLoop(const Body body, int64_t count, Out* out,
                                                                           const Inputs... in) {
  constexpr int64_t kLanes = 32 / sizeof(Out), kStep = 4 * kLanes;
  int64_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    Out values[kStep];
#pragma GCC ivdep
    for (int64_t k = 0; k < kStep; ++k) values[k] = body(in[i + k]...);
    for (int64_t k = 0; k < kStep; k += kLanes) {
      *reinterpret_cast<HalfLine*>(out + i + k) = *reinterpret_cast<const HalfLine*>(values + k);
    }
  }
#pragma GCC ivdep
  for (; i < count; ++i) out[i] = body(in[i]...);
}

template <class Body, class Out, class... In>
struct BlockKernels {
  template <size_t kOne, size_t K, class T>
  static auto input(const void* at) {
    const T* const x = static_cast<const T*>(at);
    if constexpr (K == kOne) {
      return Repeated<T>{*x};
    } else {
      return x;
    }
  }
  template <size_t kOne, size_t... K>
  static void unpack(const Body& body, int64_t count, void* const* at, std::index_sequence<K...>) {
    Out* const out = static_cast<Out*>(at[0]);
    if constexpr (kIsLightBody<Body>) {
      lightLoop(body, count, out, input<kOne, K + 1, In>(at[K + 1])...);
    } else {
      blockLoop(body, count, out, input<kOne, K + 1, In>(at[K + 1])...);
    }
  }
  template <size_t kOne>
  static void run(const void* body, int64_t count, void* const* at) {
    unpack<kOne>(*static_cast<const Body*>(body), count, at, std::index_sequence_for<In...>());
  }
};

template <class Out, class... In, class Body>
int32_t mapElements(const Operand* operands, double count, const Layout<1 + sizeof...(In)>& layout, const Body& body) {
  using Kernels = BlockKernels<Body, Out, In...>;
  BlockMap map{1 + sizeof...(In), {}, {kDtypeOf<Out>, kDtypeOf<In>...}, Kernels::template run<0>, &body, {}};
  for (int k = 0; k < map.operand_count; ++k) map.operands[k] = operands[k];
  if constexpr (sizeof...(In) == 2 && kIsLightBody<Body> && std::is_floating_point_v<Out>) {
    map.one_of[1] = Kernels::template run<1>;
    map.one_of[2] = Kernels::template run<2>;
  }
  return mapBlocks(map, count, layout.entries, layout.ndim);
}

inline int32_t copyElements(const Operand& out, const Operand& x, double count, const Layout<2>& layout) {
  const BlockMap map{2, {out, x}, {out.dtype, out.dtype}, nullptr, nullptr, {}};
  return mapBlocks(map, count, layout.entries, layout.ndim);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_MAP_H_
