// mma.sync and ldmatrix on an emulated GPU: a meeting of the whole warp, whose last lane does the work of all.
#ifndef AX_HW_EMULATOR_MMA_H_
#define AX_HW_EMULATOR_MMA_H_
#include <string.h>

#include "hw/emulator/machine.h"

namespace hw {
namespace emulator {

constexpr uint32_t kWholeWarp = 0xffffffff;

inline float floatOfBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
struct BFloat16Bits {
  static constexpr const char* kName = "mma.sync of bfloat16";
  static float widen(uint16_t bits) { return floatOfBits(uint32_t{bits} << 16); }
};
struct Float16Bits {
  static constexpr const char* kName = "mma.sync of float16";
  static float widen(uint16_t bits) {
    _Float16 value;
    memcpy(&value, &bits, sizeof value);
    return static_cast<float>(value);
  }
};

// What a lane brings; its results overwrite `d`.
struct MmaOperands {
  float d[4];
  uint32_t a[4], b[2];
};
static_assert(sizeof(MmaOperands) <= kMaxExchangedBytes);

// d += a b with matrices as plain arrays. Sums are in float and in order of k.
template <int kDepth>
void multiply(ExchangedValue* values, const float (&a)[16][kDepth], const float (&b)[kDepth][8]) {
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    float d[4];
    memcpy(d, values[lane], sizeof d);
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
      for (int k = 0; k < kDepth; ++k) d[i] += a[row][k] * b[k][col];
    }
    memcpy(values[lane], d, sizeof d);
  }
}

template <class Bits>
void finishMma16(ExchangedValue* values) {
  float a[16][16], b[16][8];
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    MmaOperands operands;
    memcpy(&operands, values[lane], sizeof operands);
    for (unsigned i = 0; i < 8; ++i) {
      const auto bits = static_cast<uint16_t>(operands.a[i / 2] >> i % 2 * 16);
      a[lane / 4 + i / 2 % 2 * 8][lane % 4 * 2 + i % 2 + i / 4 * 8] = Bits::widen(bits);
    }
    for (unsigned i = 0; i < 4; ++i) {
      b[lane % 4 * 2 + i % 2 + i / 2 * 8][lane / 4] = Bits::widen(static_cast<uint16_t>(operands.b[i / 2] >> i % 2 * 16));
    }
  }
  multiply(values, a, b);
}

inline void finishMmaTf32(ExchangedValue* values) {
  float a[16][8], b[8][8];
  const auto widen = [](uint32_t bits) {
    if ((bits & 0x1fff) != 0) failKernel("mma.sync of tf32: an operand was not rounded to tf32");
    return floatOfBits(bits);
  };
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    MmaOperands operands;
    memcpy(&operands, values[lane], sizeof operands);
    for (unsigned i = 0; i < 4; ++i) a[lane / 4 + i % 2 * 8][lane % 4 + i / 2 * 4] = widen(operands.a[i]);
    for (unsigned i = 0; i < 2; ++i) b[lane % 4 + i * 4][lane / 4] = widen(operands.b[i]);
  }
  multiply(values, a, b);
}

inline void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const char* operation, void (*finish)(ExchangedValue*)) {
  MmaOperands operands;
  memcpy(operands.d, d, sizeof d);
  memcpy(operands.a, a, sizeof a);
  memcpy(operands.b, b, sizeof b);
  const ExchangedValue* const values = meet(kWholeWarp, &operands, sizeof operands, operation, finish);
  memcpy(d, values[currentThread().rank % kWarpSize], sizeof d);
}

template <int kCount, bool kTransposed>
void finishLoadMatrices(ExchangedValue* values) {
  uint16_t elements[kCount][8][8];
  for (int i = 0; i < kCount; ++i) {
    for (int row = 0; row < 8; ++row) {
      const void* address;
      memcpy(&address, values[i * 8 + row], sizeof address);
      checkShared(address, sizeof elements[i][row], 16, "ldmatrix");
      memcpy(elements[i][row], address, sizeof elements[i][row]);
    }
  }
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    uint16_t result[kCount][2];
    const unsigned row = lane / 4, col = lane % 4 * 2;
    for (int i = 0; i < kCount; ++i) {
      result[i][0] = kTransposed ? elements[i][col][row] : elements[i][row][col];
      result[i][1] = kTransposed ? elements[i][col + 1][row] : elements[i][row][col + 1];
    }
    memcpy(values[lane], result, sizeof result);
  }
}

}  // namespace emulator

inline void mmaBFloat16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulator::mma(d, a, b, emulator::BFloat16Bits::kName, emulator::finishMma16<emulator::BFloat16Bits>);
}
inline void mmaFloat16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulator::mma(d, a, b, emulator::Float16Bits::kName, emulator::finishMma16<emulator::Float16Bits>);
}
inline void mmaTf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulator::mma(d, a, b, "mma.sync of tf32", emulator::finishMmaTf32);
}

inline uint32_t roundToTf32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const bool is_finite = (bits & 0x7f800000) != 0x7f800000;
  if (value != value) return 0x7fffe000;
  return is_finite ? (bits + 0x1000) & ~0x1fffu : bits;
}

template <int kCount, bool kTransposed = false>
void loadMatrices(uint32_t (&registers)[kCount], const void* row) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
  constexpr const char* kName = kTransposed ? "ldmatrix.trans" : "ldmatrix";
  const emulator::ExchangedValue* const values =
      emulator::meet(emulator::kWholeWarp, &row, sizeof row, kName, emulator::finishLoadMatrices<kCount, kTransposed>);
  memcpy(registers, values[emulator::currentThread().rank % emulator::kWarpSize], sizeof registers);
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_MMA_H_
