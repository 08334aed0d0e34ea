// Dtypes: their C++ types and sizes.
#ifndef AX_COMMON_DTYPE_H_
#define AX_COMMON_DTYPE_H_
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

#include "common/hd.h"
#include "include/accelerate.h"

namespace ax {

inline constexpr int32_t kDtypeBytes[8] = {4, 8, 2, 2, 4, 8, 1, 1};
inline constexpr const char* kDtypeNames[8] = {"float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool"};

inline bool isDtype(int32_t dtype) { return dtype >= 0 && dtype < 8; }

// bfloat16 is the upper half of a float; conversion from float rounds to nearest even and keeps NaN.
struct BFloat16 {
  uint16_t bits;
  BFloat16() = default;
  AX_HD explicit BFloat16(float value) {
    uint32_t word;
    memcpy(&word, &value, 4);
    bits = value != value ? 0x7fc0 : static_cast<uint16_t>((word + 0x7fff + ((word >> 16) & 1)) >> 16);
  }
  AX_HD explicit operator float() const {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &word, 4);
    return value;
  }
};

#ifdef __CUDACC__
using Float16 = __half;
#else
using Float16 = _Float16;
#endif

// What a floating dtype is computed in: the 16-bit ones are widened when they are read and rounded when they are written.
template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<BFloat16> {
  using type = float;
};
template <>
struct ComputeType<Float16> {
  using type = float;
};
template <class T>
using Compute = typename ComputeType<T>::type;

// bool is a byte that holds 0 or 1.
struct Bool {
  uint8_t value;
};

}  // namespace ax

#endif  // AX_COMMON_DTYPE_H_
