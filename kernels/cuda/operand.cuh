// Reading and writing elements of any dtype. The dtype is the same for all threads of a launch, so the branches do not diverge.
#ifndef AX_CUDA_OPERAND_CUH_
#define AX_CUDA_OPERAND_CUH_
#include "common/operand.h"

namespace ax {
inline namespace AX_ISA {

template <class C>
__device__ C loadElement(const Operand& x, int64_t at) {
  if (x.dtype == kDtypeOf<C>) return static_cast<const C*>(x.data)[at];
  switch (x.dtype) {
    case AX_FLOAT32: return converted<C>(static_cast<const float*>(x.data)[at]);
    case AX_FLOAT64: return converted<C>(static_cast<const double*>(x.data)[at]);
    case AX_BFLOAT16: return converted<C>(static_cast<const BFloat16*>(x.data)[at]);
    case AX_FLOAT16: return converted<C>(static_cast<const Float16*>(x.data)[at]);
    case AX_INT32: return converted<C>(static_cast<const int32_t*>(x.data)[at]);
    case AX_INT64: return converted<C>(static_cast<const int64_t*>(x.data)[at]);
    case AX_UINT8: return converted<C>(static_cast<const uint8_t*>(x.data)[at]);
    default: return converted<C>(static_cast<const Bool*>(x.data)[at]);
  }
}

template <class C>
__device__ void storeElement(const Operand& out, int64_t at, C value) {
  if (out.dtype == kDtypeOf<C>) {
    static_cast<C*>(out.data)[at] = value;
    return;
  }
  switch (out.dtype) {
    case AX_FLOAT32: static_cast<float*>(out.data)[at] = converted<float>(value); return;
    case AX_FLOAT64: static_cast<double*>(out.data)[at] = converted<double>(value); return;
    case AX_BFLOAT16: static_cast<BFloat16*>(out.data)[at] = converted<BFloat16>(value); return;
    case AX_FLOAT16: static_cast<Float16*>(out.data)[at] = converted<Float16>(value); return;
    case AX_INT32: static_cast<int32_t*>(out.data)[at] = converted<int32_t>(value); return;
    case AX_INT64: static_cast<int64_t*>(out.data)[at] = converted<int64_t>(value); return;
    case AX_UINT8: static_cast<uint8_t*>(out.data)[at] = converted<uint8_t>(value); return;
    default: static_cast<Bool*>(out.data)[at] = converted<Bool>(value); return;
  }
}

// The same where the dtype is float64 for double, and for float one that float computes.
template <class C>
__device__ C loadFloating(const Operand& x, int64_t at) {
  if constexpr (sizeof(C) == 4) {
    if (x.dtype == AX_BFLOAT16) return static_cast<C>(static_cast<const BFloat16*>(x.data)[at]);
    if (x.dtype == AX_FLOAT16) return static_cast<C>(static_cast<const Float16*>(x.data)[at]);
  }
  return static_cast<const C*>(x.data)[at];
}

template <class C>
__device__ void storeFloating(const Operand& out, int64_t at, C value) {
  if constexpr (sizeof(C) == 4) {
    if (out.dtype == AX_BFLOAT16) {
      static_cast<BFloat16*>(out.data)[at] = BFloat16(value);
      return;
    }
    if (out.dtype == AX_FLOAT16) {
      static_cast<Float16*>(out.data)[at] = Float16(value);
      return;
    }
  }
  static_cast<C*>(out.data)[at] = value;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_OPERAND_CUH_
