// Products on the tensor cores (mma.sync, sm_80 and newer), and the loads that bring their operands from shared memory.
//
// All take a whole warp. Where lane l has row r = l / 4 and column pair c = 2 (l % 4), the fragments are, as in the PTX ISA:
// - a of 16-bit elements (16 x 16), two in a register: (r, c..), (r + 8, c..), (r, c + 8..), (r + 8, c + 8..);
// - b of 16-bit elements (16 x 8): rows c.. and c + 8.. of column r;
// - a of tf32 (16 x 8), with t = l % 4: (r, t), (r + 8, t), (r, t + 4), (r + 8, t + 4); b (8 x 8): rows t and t + 4 of column r;
// - c and d (16 x 8) in float: (r, c), (r, c + 1), (r + 8, c), (r + 8, c + 1).
#ifndef AX_HW_MMA_H_
#define AX_HW_MMA_H_
#include <stdint.h>

#include "hw/async_copy.h"
#include "hw/cuda.h"
#ifdef __CUDACC__

namespace hw {

// d += a b, (16, 16) by (16, 8) of bfloat16.
__device__ __forceinline__ void mmaBFloat16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same of float16.
__device__ __forceinline__ void mmaFloat16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// d += a b, (16, 8) by (8, 8) of what roundToTf32 makes.
__device__ __forceinline__ void mmaTf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The nearest number with 10 bits of fraction, ties away from zero.
__device__ __forceinline__ uint32_t roundToTf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

// Loads kCount (1, 2 or 4) matrices of 8 x 8 16-bit elements. Lane l names row l % 8 of matrix l / 8 (16 bytes, aligned to 16; lanes
// from 8 kCount on may name anything). In matrix i a lane gets the elements (r, c) and (r, c + 1), transposed (c, r) and (c + 1, r).
template <int kCount, bool kTransposed = false>
__device__ __forceinline__ void loadMatrices(uint32_t (&registers)[kCount], const void* row) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
  const uint32_t address = sharedAddress(row);
  if constexpr (kCount == 1 && !kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(registers[0]) : "r"(address) : "memory");
  } else if constexpr (kCount == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(registers[0]) : "r"(address) : "memory");
  } else if constexpr (kCount == 2 && !kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1]) : "r"(address) : "memory");
  } else if constexpr (kCount == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1]) : "r"(address) : "memory");
  } else if constexpr (!kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3]) : "r"(address) : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3]) : "r"(address) : "memory");
  }
}

}  // namespace hw
#else
#include "hw/emulator/mma.h"
#endif
#endif  // AX_HW_MMA_H_
