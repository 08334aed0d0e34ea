// Elementwise work on the CPU: see common/map.h. The loop of a formula is compiled for contiguous elements of its own type only;
// tiles of operands that are strided, broadcast or of another dtype pass through buffers that stay in the first-level cache.
#ifndef AX_CPU_MAP_H_
#define AX_CPU_MAP_H_
#include <stddef.h>

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
};

int32_t mapBlocks(const BlockMap& map, double count, const int32_t* layout, int32_t ndim);

template <class Body, class Out, class... In>
struct BlockLoop {
  // The output may be an input: an element depends only on those at its own position, which `ivdep` tells the compiler.
  static void loop(const Body body, int64_t count, Out* out, const In*... in) {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) out[i] = body(in[i]...);
  }
  template <size_t... K>
  static void unpack(const Body& body, int64_t count, void* const* at, std::index_sequence<K...>) {
    loop(body, count, static_cast<Out*>(at[0]), static_cast<const In*>(at[K + 1])...);
  }
  static void run(const void* body, int64_t count, void* const* at) {
    unpack(*static_cast<const Body*>(body), count, at, std::index_sequence_for<In...>());
  }
};

template <class Out, class... In, class Body>
int32_t mapElements(const Operand* operands, double count, const Layout<1 + sizeof...(In)>& layout, const Body& body) {
  BlockMap map{1 + sizeof...(In), {}, {kDtypeOf<Out>, kDtypeOf<In>...}, BlockLoop<Body, Out, In...>::run, &body};
  for (int k = 0; k < map.operand_count; ++k) map.operands[k] = operands[k];
  return mapBlocks(map, count, layout.entries, layout.ndim);
}

inline int32_t copyElements(const Operand& out, const Operand& x, double count, const Layout<2>& layout) {
  const BlockMap map{2, {out, x}, {out.dtype, out.dtype}, nullptr, nullptr};
  return mapBlocks(map, count, layout.entries, layout.ndim);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_MAP_H_
