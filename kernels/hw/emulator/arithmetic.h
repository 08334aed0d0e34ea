// Conversions and the fast exponential on an emulated GPU.
#ifndef AX_HW_EMULATOR_ARITHMETIC_H_
#define AX_HW_EMULATOR_ARITHMETIC_H_
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace hw {

inline uint32_t packBFloat16(float low, float high) {
  const auto round = [](float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fffu : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
}
inline uint32_t packFloat16(float low, float high) {
  const auto round = [](float value) -> uint32_t {
    const _Float16 rounded = static_cast<_Float16>(value);
    uint16_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return value != value ? 0x7fffu : bits;
  };
  return round(low) | round(high) << 16;
}

inline float fastExp2(float x) {
  const float value = exp2f(x);
  return value < FLT_MIN ? 0.0f : value;
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_ARITHMETIC_H_
