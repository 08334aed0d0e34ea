// Elementwise work on a GPU: see common/map.h.
#ifndef AX_CUDA_MAP_CUH_
#define AX_CUDA_MAP_CUH_
#include <utility>

#include "cuda/backend.cuh"
#include "cuda/operand.cuh"

namespace ax {
inline namespace AX_ISA {

template <class Body, class Out, class... In>
struct MapBody {
  Operand operands[1 + sizeof...(In)];
  Body body;
  template <size_t... K>
  __device__ void run(At<1 + sizeof...(In)> at, std::index_sequence<K...>) const {
    storeElement<Out>(operands[0], at.v[0], body(loadElement<In>(operands[K + 1], at.v[K + 1])...));
  }
  __device__ void operator()(At<1 + sizeof...(In)> at) const { run(at, std::index_sequence_for<In...>()); }
};

template <class Out, class... In, class Body>
int32_t mapElements(const Operand* operands, double count, const Layout<1 + sizeof...(In)>& layout, const Body& body) {
  MapBody<Body, Out, In...> map{{}, body};
  for (size_t k = 0; k < 1 + sizeof...(In); ++k) map.operands[k] = operands[k];
  return forEach<1 + sizeof...(In)>(count, layout, map);
}

template <class C>
struct SameElement {
  __device__ C operator()(C x) const { return x; }
};

template <class C>
int32_t copyAs(const Operand& out, const Operand& x, double count, const Layout<2>& layout) {
  const Operand operands[] = {out, x};
  return mapElements<C, C>(operands, count, layout, SameElement<C>{});
}

inline int32_t copyElements(const Operand& out, const Operand& x, double count, const Layout<2>& layout) {
  switch (computeDtype(x.dtype)) {
    case AX_FLOAT32: return copyAs<float>(out, x, count, layout);
    case AX_FLOAT64: return copyAs<double>(out, x, count, layout);
  }
  return copyAs<int64_t>(out, x, count, layout);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MAP_CUH_
