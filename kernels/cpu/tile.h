// Tiles of strided elements, and contiguous blocks of any dtype.
#ifndef AX_CPU_TILE_H_
#define AX_CPU_TILE_H_
#include <stdint.h>

namespace ax {
inline namespace AX_ISA {

// Elements that a tile holds at most: blocks of four operands stay in the first-level cache.
constexpr int64_t kTileElements = 1024;

// A contiguous block = rows x cols strided elements of `bytes` bytes.
void gatherTile(void* out, const void* x, int32_t bytes, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride);

// rows x cols strided elements = a contiguous block.
void scatterTile(void* out, const void* x, int32_t bytes, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride);

// Copies past the caches: for memory that is too large to be still there when it is read. Call endStream() before others read it.
void streamBlock(void* out, const void* x, int64_t bytes);
void endStream();

// Contiguous elements of one dtype to another.
void convertBlock(void* out, int32_t out_dtype, const void* x, int32_t x_dtype, int64_t count);

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_TILE_H_
