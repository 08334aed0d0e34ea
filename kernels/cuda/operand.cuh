// Reading and writing elements of any dtype. The dtype is the same for all threads of a launch, so the branches do not diverge, and
// they are taken once for several elements.
#ifndef AX_CUDA_OPERAND_CUH_
#define AX_CUDA_OPERAND_CUH_
#include <type_traits>

#include "common/operand.h"
#include "cuda/pack.cuh"

namespace ax {
inline namespace AX_ISA {

template <class S>
struct Stored {
  using type = S;
};

// Calls f(Stored<S>()) for the type S whose elements `dtype` has.
template <class F>
AX_DEVICE void byAnyDtype(int32_t dtype, const F& f) {
  switch (dtype) {
    case AX_FLOAT32: return f(Stored<float>());
    case AX_FLOAT64: return f(Stored<double>());
    case AX_BFLOAT16: return f(Stored<BFloat16>());
    case AX_FLOAT16: return f(Stored<Float16>());
    case AX_INT32: return f(Stored<int32_t>());
    case AX_INT64: return f(Stored<int64_t>());
    case AX_UINT8: return f(Stored<uint8_t>());
    default: return f(Stored<Bool>());
  }
}

// The same for the dtypes that are computed in C; a type that nothing is computed in stands for itself.
template <class C, class F>
AX_DEVICE void byDtypeOf(int32_t dtype, const F& f) {
  if constexpr (std::is_same<C, float>::value) {
    switch (dtype) {
      case AX_BFLOAT16: return f(Stored<BFloat16>());
      case AX_FLOAT16: return f(Stored<Float16>());
      default: return f(Stored<float>());
    }
  } else if constexpr (std::is_same<C, int64_t>::value) {
    switch (dtype) {
      case AX_INT32: return f(Stored<int32_t>());
      case AX_UINT8: return f(Stored<uint8_t>());
      case AX_BOOL: return f(Stored<Bool>());
      default: return f(Stored<int64_t>());
    }
  } else {
    f(Stored<C>());
  }
}

// C for a type that is moved, not computed with.
template <class To, class From>
AX_DEVICE To convertedOrSame(From value) {
  if constexpr (std::is_same<To, From>::value) return value;
  else return converted<To>(value);
}

template <class C>
AX_DEVICE C loadElement(const Operand& x, int64_t at) {
  C value;
  byAnyDtype(x.dtype, [&](auto stored) { value = converted<C>(static_cast<const typename decltype(stored)::type*>(x.data)[at]); });
  return value;
}

template <class C>
AX_DEVICE void storeElement(const Operand& out, int64_t at, C value) {
  byAnyDtype(out.dtype, [&](auto stored) {
    using S = typename decltype(stored)::type;
    static_cast<S*>(out.data)[at] = converted<S>(value);
  });
}

// values[k] = element at[k], unless that is negative.
template <class C, class Position, int kCount>
AX_DEVICE void loadElements(const Operand& x, const Position (&at)[kCount], C (&values)[kCount]) {
  byDtypeOf<C>(x.dtype, [&](auto stored) {
    using S = typename decltype(stored)::type;
    const S* const from = static_cast<const S*>(x.data);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if (at[k] >= 0) values[k] = convertedOrSame<C>(from[at[k]]);
    }
  });
}

// kCount neighbours from `at` on.
template <class C, int kCount>
AX_DEVICE void loadNeighbours(const Operand& x, int64_t at, C (&values)[kCount]) {
  byDtypeOf<C>(x.dtype, [&](auto stored) {
    using S = typename decltype(stored)::type;
    const Pack<S, kCount> pack = loadPack<kCount>(static_cast<const S*>(x.data) + at);
#pragma unroll
    for (int k = 0; k < kCount; ++k) values[k] = convertedOrSame<C>(pack.v[k]);
  });
}

template <class C, int kCount>
AX_DEVICE void storeNeighbours(const Operand& out, int64_t at, const C (&values)[kCount]) {
  byDtypeOf<C>(out.dtype, [&](auto stored) {
    using S = typename decltype(stored)::type;
    Pack<S, kCount> pack;
#pragma unroll
    for (int k = 0; k < kCount; ++k) pack.v[k] = convertedOrSame<S>(values[k]);
    storePack(static_cast<S*>(out.data) + at, pack);
  });
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_OPERAND_CUH_
