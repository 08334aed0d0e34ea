// Tiles of strided elements to and from contiguous blocks.
#include <immintrin.h>
#include <string.h>

#include "cpu/tile.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// out (cols, rows) = x (rows, cols) transposed; ld is the distance of rows.
template <class W>
void transpose(W* out, int64_t out_ld, const W* x, int64_t x_ld, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) out[c * out_ld + r] = x[r * x_ld + c];
  }
}

template <>
void transpose<uint32_t>(uint32_t* out, int64_t out_ld, const uint32_t* x, int64_t x_ld, int64_t rows, int64_t cols) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    int64_t c = 0;
    for (; c + 4 <= cols; c += 4) {
      const float* from = reinterpret_cast<const float*>(x + r * x_ld + c);
      float* to = reinterpret_cast<float*>(out + c * out_ld + r);
      __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + x_ld), d = _mm_loadu_ps(from + 2 * x_ld), e = _mm_loadu_ps(from + 3 * x_ld);
      _MM_TRANSPOSE4_PS(a, b, d, e);
      _mm_storeu_ps(to, a);
      _mm_storeu_ps(to + out_ld, b);
      _mm_storeu_ps(to + 2 * out_ld, d);
      _mm_storeu_ps(to + 3 * out_ld, e);
    }
    for (; c < cols; ++c) {
      for (int k = 0; k < 4; ++k) out[c * out_ld + r + k] = x[(r + k) * x_ld + c];
    }
  }
  for (; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) out[c * out_ld + r] = x[r * x_ld + c];
  }
}

template <class W>
void gather(void* to, const void* from, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride) {
  W* out = static_cast<W*>(to);
  const W* x = static_cast<const W*>(from);
  if (row_stride == 1 && rows > 1 && col_stride > 1) return transpose(out, cols, x, col_stride, cols, rows);
  for (int64_t r = 0; r < rows; ++r, out += cols, x += row_stride) {
    if (col_stride == 1) {
      memcpy(out, x, static_cast<size_t>(cols) * sizeof(W));
    } else if (col_stride == 0) {
      for (int64_t c = 0; c < cols; ++c) out[c] = *x;
    } else {
      for (int64_t c = 0; c < cols; ++c) out[c] = x[c * col_stride];
    }
  }
}

template <class W>
void scatter(void* to, const void* from, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride) {
  W* out = static_cast<W*>(to);
  const W* x = static_cast<const W*>(from);
  if (row_stride == 1 && rows > 1 && col_stride > 1) return transpose(out, col_stride, x, cols, rows, cols);
  for (int64_t r = 0; r < rows; ++r, out += row_stride, x += cols) {
    if (col_stride == 1) {
      memcpy(out, x, static_cast<size_t>(cols) * sizeof(W));
    } else {
      for (int64_t c = 0; c < cols; ++c) out[c * col_stride] = x[c];
    }
  }
}

}  // namespace

void gatherTile(void* out, const void* x, int32_t bytes, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride) {
  switch (bytes) {
    case 8: return gather<uint64_t>(out, x, rows, cols, row_stride, col_stride);
    case 4: return gather<uint32_t>(out, x, rows, cols, row_stride, col_stride);
    case 2: return gather<uint16_t>(out, x, rows, cols, row_stride, col_stride);
    default: return gather<uint8_t>(out, x, rows, cols, row_stride, col_stride);
  }
}

void scatterTile(void* out, const void* x, int32_t bytes, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride) {
  switch (bytes) {
    case 8: return scatter<uint64_t>(out, x, rows, cols, row_stride, col_stride);
    case 4: return scatter<uint32_t>(out, x, rows, cols, row_stride, col_stride);
    case 2: return scatter<uint16_t>(out, x, rows, cols, row_stride, col_stride);
    default: return scatter<uint8_t>(out, x, rows, cols, row_stride, col_stride);
  }
}

void streamBlock(void* out, const void* x, int64_t bytes) {
  char* to = static_cast<char*>(out);
  const char* from = static_cast<const char*>(x);
  // Only whole lines of a cache are written past it.
  const int64_t unaligned = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) & 63);
  const int64_t head = unaligned < bytes ? unaligned : bytes, lines = (bytes - head) / 64;
  memcpy(to, from, static_cast<size_t>(head));
  for (int64_t at = head; at < head + lines * 64; at += 16) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + at), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)));
  }
  memcpy(to + head + lines * 64, from + head + lines * 64, static_cast<size_t>(bytes - head - lines * 64));
}

void endStream() { _mm_sfence(); }

}  // namespace AX_ISA
}  // namespace ax
