// Elementwise work on a GPU: see common/map.h. One kernel for each formula runs every layout and dtype.
//
// A thread computes a group of elements. Where the output is contiguous and every input is too, or is the same for the whole group (a
// row or a scalar that is broadcast), the group consists of neighbours, and each operand is read by one or two instructions. Otherwise
// the threads of a block take neighbours, and the elements of a group lie a block apart.
#ifndef AX_CUDA_MAP_CUH_
#define AX_CUDA_MAP_CUH_
#include <stdint.h>

#include <utility>

#include "cuda/backend.cuh"
#include "cuda/divider.cuh"
#include "cuda/operand.cuh"

namespace ax {
inline namespace AX_ISA {

// Positions are 32-bit numbers: what is larger is launched in parts.
template <int N>
struct MapShape {
  uint32_t count;
  int32_t ndim;
  bool by_neighbours;
  Divider sizes[AX_MAX_NDIM];
  uint32_t strides[AX_MAX_NDIM][N];

  // at[k][e] = where operand k of element index[e] lies. The loop over dimensions is not unrolled: it would be most of a kernel.
  template <int kCount>
  AX_DEVICE void positions(uint32_t (&index)[kCount], int32_t (&at)[N][kCount]) const {
    if constexpr (N == 1) {  // an output alone is contiguous
#pragma unroll
      for (int e = 0; e < kCount; ++e) at[0][e] = static_cast<int32_t>(index[e]);
      return;
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
#pragma unroll
      for (int e = 0; e < kCount; ++e) at[k][e] = 0;
    }
#pragma unroll 1
    for (int dim = ndim - 1; dim >= 0; --dim) {
      const Divider size = sizes[dim];
      uint32_t stride[N];
#pragma unroll
      for (int k = 0; k < N; ++k) stride[k] = strides[dim][k];
#pragma unroll
      for (int e = 0; e < kCount; ++e) {
        const uint32_t next = dim == 0 ? 0 : size.quotient(index[e]), step = index[e] - next * size.divisor;
#pragma unroll
        for (int k = 0; k < N; ++k) at[k][e] += static_cast<int32_t>(step * stride[k]);
        index[e] = next;
      }
    }
  }
};

template <class Out, class... In>
constexpr int kGroup = ((sizeof(Out) == 8) || ... || (sizeof(In) == 8)) ? 4 : 8;

// The groups of all inputs.
template <size_t I, class In, int kCount>
struct InputGroup {
  In v[kCount];
};
template <class Numbers, int kCount, class... In>
struct InputGroups;
template <size_t... I, int kCount, class... In>
struct InputGroups<std::index_sequence<I...>, kCount, In...> : InputGroup<I, In, kCount>... {};

// A formula that computes a group at once says so with a member kTakesGroups; others are called for each element.
template <class Body, class = void>
inline constexpr bool kTakesGroups = false;
template <class Body>
inline constexpr bool kTakesGroups<Body, std::void_t<decltype(Body::kTakesGroups)>> = true;

template <class Body, class Out, int kCount, class... In>
AX_DEVICE void computeGroup(const Body& body, Out (&out)[kCount], In (&... in)[kCount]) {
  if constexpr (kTakesGroups<Body>) {
    body(out, in...);
  } else {
#pragma unroll
    for (int k = 0; k < kCount; ++k) out[k] = body(in[k]...);
  }
}

template <bool kAnyOut, class Body, class Out, class... In>
struct Map {
  static constexpr int N = 1 + sizeof...(In), kCount = kGroup<Out, In...>;
  Operand operands[N];
  MapShape<N> shape;
  Body body;

  AX_DEVICE void run(uint32_t first) const { run(first, std::index_sequence_for<In...>()); }

 private:
  template <size_t... I>
  AX_DEVICE void run(uint32_t first, std::index_sequence<I...> numbers) const {
    [[maybe_unused]] InputGroups<decltype(numbers), kCount, In...> inputs;
    Out out[kCount];
    // The last, incomplete group of neighbours runs as if its elements were scattered.
    const bool whole = shape.by_neighbours && first + kCount <= shape.count;
    int32_t at[N][1], scattered[N][kCount];
    if (whole) {
      uint32_t index[1] = {first};
      shape.positions(index, at);
      (loadGroup(operands[I + 1], at[I + 1], shape.strides[shape.ndim - 1][I + 1],
                 static_cast<InputGroup<I, In, kCount>&>(inputs).v), ...);
    } else {
      const uint32_t step = shape.by_neighbours ? 1 : kThreads;
      uint32_t index[kCount];
#pragma unroll
      for (int k = 0; k < kCount; ++k) index[k] = first + static_cast<uint32_t>(k) * step;
      shape.positions(index, scattered);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        if (first + static_cast<uint32_t>(k) * step < shape.count) continue;
#pragma unroll
        for (int n = 0; n < N; ++n) scattered[n][k] = -1;
      }
      (loadElements(operands[I + 1], scattered[I + 1], static_cast<InputGroup<I, In, kCount>&>(inputs).v), ...);
    }
    computeGroup(body, out, static_cast<InputGroup<I, In, kCount>&>(inputs).v...);
    const auto store = [&](auto stored) {
      using S = typename decltype(stored)::type;
      S* const to = static_cast<S*>(operands[0].data);
      Pack<S, kCount> pack;
#pragma unroll
      for (int k = 0; k < kCount; ++k) pack.v[k] = convertedOrSame<S>(out[k]);
      if (whole) {
        storePack(to + at[0][0], pack);
      } else {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
          if (scattered[0][k] >= 0) to[scattered[0][k]] = pack.v[k];
        }
      }
    };
    if constexpr (kAnyOut) byAnyDtype(operands[0].dtype, store);
    else byDtypeOf<Out>(operands[0].dtype, store);
  }

  template <class C>
  static AX_DEVICE void loadGroup(const Operand& x, const int32_t (&at)[1], uint32_t stride, C (&values)[kCount]) {
    if (stride != 0) return loadNeighbours(x, at[0], values);
    C value[1];
    loadElements(x, at, value);
#pragma unroll
    for (int k = 0; k < kCount; ++k) values[k] = value[0];
  }
};

template <class M>
__global__ void AX_MAX_THREADS(kThreads) mapKernel(const __grid_constant__ M map) {
  const uint32_t block = blockIdx.x * static_cast<uint32_t>(kThreads * M::kCount);
  const uint32_t first = block + (map.shape.by_neighbours ? threadIdx.x * M::kCount : threadIdx.x);
  if (first < map.shape.count) map.run(first);
}

// Shape and strides on their way to a launch.
template <int N>
struct HostShape {
  int32_t ndim;
  int64_t sizes[AX_MAX_NDIM], strides[AX_MAX_NDIM][N];

  static HostShape of(double count, const Layout<N>& layout) {
    HostShape shape{};
    if (layout.ndim == 0) {
      shape.ndim = 1;
      shape.sizes[0] = static_cast<int64_t>(count);
      for (int k = 0; k < N; ++k) shape.strides[0][k] = 1;
      return shape;
    }
    shape.ndim = layout.ndim;
    for (int dim = 0; dim < layout.ndim; ++dim) {
      shape.sizes[dim] = layout.size(dim);
      for (int k = 0; k < N; ++k) shape.strides[dim][k] = layout.stride(k, dim);
    }
    return shape;
  }
  int64_t count() const {
    int64_t product = 1;
    for (int dim = 0; dim < ndim; ++dim) product *= sizes[dim];
    return product;
  }
  bool isSmall() const {
    if (count() >= kIndexLimit) return false;
    for (int k = 0; k < N; ++k) {
      int64_t last = 0;
      for (int dim = 0; dim < ndim; ++dim) last += (sizes[dim] - 1) * strides[dim][k];
      if (last >= kIndexLimit) return false;
    }
    return true;
  }
  // Whether groups of `group` neighbours of the output are neighbours, or one element, of every operand, at aligned addresses.
  bool isOfNeighbours(const Operand (&operands)[N], int group) const {
    const int last = ndim - 1;
    if (ndim > 1 && sizes[last] % group != 0) return false;
    for (int k = 0; k < N; ++k) {
      if (strides[last][k] == 0 && k > 0) continue;
      if (strides[last][k] != 1) return false;
      const int64_t bytes = kDtypeBytes[operands[k].dtype], alignment = group * bytes < 16 ? group * bytes : 16;
      if (reinterpret_cast<uintptr_t>(operands[k].data) % static_cast<uintptr_t>(alignment) != 0) return false;
      for (int dim = 0; dim < last; ++dim) {
        if (strides[dim][k] * bytes % alignment != 0) return false;
      }
    }
    return true;
  }
};

template <class M>
int32_t launchMap(M map, const HostShape<M::N>& shape) {
  if (!shape.isSmall()) {
    // Two halves of the longest dimension.
    int longest = 0;
    for (int dim = 1; dim < shape.ndim; ++dim) longest = shape.sizes[dim] > shape.sizes[longest] ? dim : longest;
    HostShape<M::N> half = shape;
    half.sizes[longest] = shape.sizes[longest] / 2;
    AX_TRY(launchMap(map, half));
    for (int k = 0; k < M::N; ++k) {
      map.operands[k].data = static_cast<char*>(map.operands[k].data) +
                             half.sizes[longest] * shape.strides[longest][k] * kDtypeBytes[map.operands[k].dtype];
    }
    half.sizes[longest] = shape.sizes[longest] - half.sizes[longest];
    return launchMap(map, half);
  }
  const int64_t count = shape.count();
  if (count == 0) return AX_OK;
  map.shape.count = static_cast<uint32_t>(count);
  map.shape.ndim = shape.ndim;
  map.shape.by_neighbours = shape.isOfNeighbours(map.operands, M::kCount);
  for (int dim = 0; dim < shape.ndim; ++dim) {
    map.shape.sizes[dim] = Divider::of(shape.sizes[dim]);
    for (int k = 0; k < M::N; ++k) map.shape.strides[dim][k] = static_cast<uint32_t>(shape.strides[dim][k]);
  }
  constexpr int64_t kOfBlock = kThreads * M::kCount;
  return launch(mapKernel<M>, static_cast<unsigned>((count + kOfBlock - 1) / kOfBlock), map);
}

template <bool kAnyOut, class Out, class... In, class Body>
int32_t mapAs(const Operand* operands, double count, const Layout<1 + sizeof...(In)>& layout, const Body& body) {
  Map<kAnyOut, Body, Out, In...> map{{}, {}, body};
  for (size_t k = 0; k < 1 + sizeof...(In); ++k) map.operands[k] = operands[k];
  return launchMap(map, HostShape<1 + sizeof...(In)>::of(count, layout));
}

template <class Out, class... In, class Body>
int32_t mapElements(const Operand* operands, double count, const Layout<1 + sizeof...(In)>& layout, const Body& body) {
  return mapAs<false, Out, In...>(operands, count, layout, body);
}

template <class C>
struct SameElement {
  __device__ C operator()(C x) const { return x; }
};

// With C the type of the elements, or with `kAnyOut` the one that the input is computed in.
template <bool kAnyOut, class C>
int32_t copyAs(const Operand& out, const Operand& x, double count, const Layout<2>& layout) {
  const Operand operands[] = {out, x};
  return mapAs<kAnyOut, C, C>(operands, count, layout, SameElement<C>{});
}

// A template, so that only who calls it holds the kernels.
template <class = void>
int32_t copyElements(const Operand& out, const Operand& x, double count, const Layout<2>& layout) {
  if (out.dtype == x.dtype) {  // then nothing but the size matters
    switch (kDtypeBytes[x.dtype]) {
      case 8: return copyAs<false, uint64_t>(out, x, count, layout);
      case 4: return copyAs<false, uint32_t>(out, x, count, layout);
      case 2: return copyAs<false, uint16_t>(out, x, count, layout);
    }
    return copyAs<false, uint8_t>(out, x, count, layout);
  }
  switch (computeDtype(x.dtype)) {
    case AX_FLOAT32: return copyAs<true, float>(out, x, count, layout);
    case AX_FLOAT64: return copyAs<true, double>(out, x, count, layout);
  }
  return copyAs<true, int64_t>(out, x, count, layout);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MAP_CUH_
