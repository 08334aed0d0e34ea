// Arithmetic that has an instruction but no word in the language: two floats to a register of 16-bit elements, and the fast exponential.
#ifndef AX_HW_ARITHMETIC_H_
#define AX_HW_ARITHMETIC_H_
#include <stdint.h>

#include "hw/cuda.h"
#ifdef __CUDACC__

namespace hw {

// Both rounded to the nearest even; `low` lies in the lower half.
__device__ __forceinline__ uint32_t packBFloat16(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}
__device__ __forceinline__ uint32_t packFloat16(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

// 2^x in one instruction, with a relative error of up to 2^-22; what would be subnormal is 0.
__device__ __forceinline__ float fastExp2(float x) {
  float value;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
  return value;
}

}  // namespace hw
#else
#include "hw/emulator/arithmetic.h"
#endif
#endif  // AX_HW_ARITHMETIC_H_
