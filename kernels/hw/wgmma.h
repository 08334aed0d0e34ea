// Products of a warpgroup on the tensor cores (wgmma, sm_90a): d (64 x kCols, float) += a b with operands in shared memory.
//
// Products are asynchronous: fenceProducts() before the first one after other code has touched the accumulators, then products, then
// commitProducts(), and waitForProducts<0>() before the accumulators or the operands are used again. All threads of the warpgroup call.
//
// Thread t of the warpgroup has, with w = t / 32, r = t % 32 / 4 and c = 2 (t % 4): d[4 i + 2 h + j] = element (16 w + r + 8 h, 8 i + c + j).
//
// Operands lie in swizzled tiles, as loadTile() leaves them, 64 elements of 16 bits (128 bytes) to a row:
// - Major::kDepth: rows are the rows of a, or the columns of b, and hold 64 steps of the depth; the next 16 steps lie 32 bytes on;
// - Major::kOther: rows are steps of the depth, and hold 64 rows of a or columns of b; the next 16 steps lie 2,048 bytes on, and the next
//   64 rows or columns `next_tile` bytes on.
#ifndef AX_HW_WGMMA_H_
#define AX_HW_WGMMA_H_
#include <stdint.h>

#include "hw/tma.h"

namespace hw {

enum class Major { kDepth, kOther };

// What the hardware is told of an operand: where it starts, in 16-byte units, its strides, and the swizzle.
AX_HW_INLINE uint64_t describeOperand(uint32_t shared_address, Major major, uint32_t next_tile) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62, kRowsOf8 = uint64_t{1024 >> 4} << 32;
  const uint64_t leading = major == Major::kDepth ? 1 : next_tile >> 4;
  return (shared_address & 0x3ffff) >> 4 | (leading & 0x3fff) << 16 | kRowsOf8 | kSwizzle128;
}

}  // namespace hw
#ifdef __CUDACC__

namespace hw {

__device__ __forceinline__ void fenceProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kOpen>
__device__ __forceinline__ void waitForProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kOpen) : "memory");
}

// The numbered registers of an instruction, 32 at a time.
#define AX_NAMES_0 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define AX_NAMES_1 \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define AX_NAMES_2 \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define AX_NAMES_3 \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define AX_SUMS_8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define AX_SUMS_32(i) AX_SUMS_8(i), AX_SUMS_8(i + 8), AX_SUMS_8(i + 16), AX_SUMS_8(i + 24)

// What follows the sums is named by number too: a, b, whether to add, and the two transpositions.
#define AX_WGMMA(cols, type, names, a, b, adds, turn_a, turn_b, ...)                                                       \
  asm volatile("{\n.reg .pred adds;\nsetp.ne.b32 adds, " adds ", 0;\n"                                                    \
               "wgmma.mma_async.sync.aligned.m64n" cols "k16.f32." type "." type " {" names "}, " a ", " b ", adds, 1, 1, " turn_a \
               ", " turn_b ";\n}\n"                                                                                       \
               : __VA_ARGS__                                                                                               \
               : "l"(descriptor_a), "l"(descriptor_b), "r"(accumulate), "n"(kMajorA == Major::kOther), "n"(kMajorB == Major::kOther))
#define AX_WGMMA_TYPES(cols, names, a, b, adds, turn_a, turn_b, ...)                     \
  if constexpr (kType == TileType::kBFloat16) {                                          \
    AX_WGMMA(cols, "bf16", names, a, b, adds, turn_a, turn_b, __VA_ARGS__);              \
  } else {                                                                               \
    AX_WGMMA(cols, "f16", names, a, b, adds, turn_a, turn_b, __VA_ARGS__);               \
  }

// d = a b, or d += a b when `accumulate` is not 0; 16 steps of the depth.
template <TileType kType, Major kMajorA, Major kMajorB, int kCols>
__device__ __forceinline__ void multiplyTiles(float (&d)[kCols / 2], uint64_t descriptor_a, uint64_t descriptor_b, int32_t accumulate) {
  static_assert(kCols == 64 || kCols == 128 || kCols == 192 || kCols == 256);
  if constexpr (kCols == 64) {
    AX_WGMMA_TYPES("64", AX_NAMES_0, "%32", "%33", "%34", "%35", "%36", AX_SUMS_32(0))
  } else if constexpr (kCols == 128) {
    AX_WGMMA_TYPES("128", AX_NAMES_0 ", " AX_NAMES_1, "%64", "%65", "%66", "%67", "%68", AX_SUMS_32(0), AX_SUMS_32(32))
  } else if constexpr (kCols == 192) {
    AX_WGMMA_TYPES("192", AX_NAMES_0 ", " AX_NAMES_1 ", " AX_NAMES_2, "%96", "%97", "%98", "%99", "%100", AX_SUMS_32(0), AX_SUMS_32(32),
                   AX_SUMS_32(64))
  } else {
    AX_WGMMA_TYPES("256", AX_NAMES_0 ", " AX_NAMES_1 ", " AX_NAMES_2 ", " AX_NAMES_3, "%128", "%129", "%130", "%131", "%132", AX_SUMS_32(0),
                   AX_SUMS_32(32), AX_SUMS_32(64), AX_SUMS_32(96))
  }
}

#undef AX_WGMMA_TYPES
#undef AX_WGMMA
#undef AX_SUMS_32
#undef AX_SUMS_8
#undef AX_NAMES_0
#undef AX_NAMES_1
#undef AX_NAMES_2
#undef AX_NAMES_3

// Gives registers of the warpgroup back, or takes more: whole warpgroups, in a kernel of one block an SM.
template <int kRegisters>
__device__ __forceinline__ void releaseRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void takeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

}  // namespace hw
#else
#include "hw/emulator/wgmma.h"
#endif
#endif  // AX_HW_WGMMA_H_
