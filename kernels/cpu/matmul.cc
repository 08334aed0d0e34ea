// Packed matrix product. A and B are copied into panels of kRows and kCols that the micro-kernel reads in order; the tile of the
// result stays in registers while the kernel walks a block of k, and the epilogue is applied when the last block is done.
#include <stdlib.h>

#include "common/math.h"
#include "cpu/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRows = 12;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32, kRows = 6;
#else
constexpr int kVectorBytes = 16, kRows = 4;
#endif
constexpr int64_t kDepth = 256, kPanelRows = 144;  // block of k; rows of A packed at once (a multiple of 4, 6 and 12)

template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(kVectorBytes), aligned(sizeof(T))));
  static constexpr int kWidth = kVectorBytes / sizeof(T), kCols = 2 * kWidth;
};

struct Scratch {
  void* memory = nullptr;
  size_t bytes = 0;
  ~Scratch() { free(memory); }
  void* atLeast(size_t wanted) {
    if (wanted > bytes) {
      free(memory);
      bytes = (wanted + 63) / 64 * 64;
      memory = aligned_alloc(64, bytes);
      if (memory == nullptr) bytes = 0;
    }
    return memory;
  }
};

struct Shape {
  int32_t batch, m, n, k, transpose_a, transpose_b, lda, ldb, ldc, batch_a, batch_b, batch_out;
};

template <class T>
struct Epilogue {
  int32_t kind;
  T alpha, beta;
  const T* bias;
  T* aux;
};

// Copies `lines` lines of `depth` elements into a panel of `width` lines, element-major, filled up with zeros.
template <class T>
void pack(T* panel, const T* x, int64_t line_stride, int64_t depth_stride, int64_t lines, int64_t depth, int width) {
  for (int64_t p = 0; p < depth; ++p) {
    const T* from = x + p * depth_stride;
    T* to = panel + p * width;
    if (line_stride == 1) {
      for (int64_t i = 0; i < lines; ++i) to[i] = from[i];
    } else {
      for (int64_t i = 0; i < lines; ++i) to[i] = from[i * line_stride];
    }
    for (int64_t i = lines; i < width; ++i) to[i] = T(0);
  }
}

// tile (kRows, kCols) = sum over depth of a panel of A times a panel of B.
template <class T>
void microKernel(T* tile, const T* a, const T* b, int64_t depth) {
  using V = typename Vector<T>::type;
  constexpr int kWidth = Vector<T>::kWidth, kCols = Vector<T>::kCols;
  V low[kRows] = {}, high[kRows] = {};
  for (int64_t p = 0; p < depth; ++p) {
    const V b0 = *reinterpret_cast<const V*>(b), b1 = *reinterpret_cast<const V*>(b + kWidth);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      low[i] += a[i] * b0;
      high[i] += a[i] * b1;
    }
    a += kRows;
    b += kCols;
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
    *reinterpret_cast<V*>(tile + i * kCols) = low[i];
    *reinterpret_cast<V*>(tile + i * kCols + kWidth) = high[i];
  }
}

template <class T>
T finish(const Epilogue<T>& e, T value, int64_t at, int64_t col) {
  const T sum = e.bias != nullptr ? value + e.bias[col] : value;
  switch (e.kind) {
    case AX_EPILOGUE_BIAS_RELU: return maths::Relu::apply<T>(sum, 0, 0);
    case AX_EPILOGUE_BIAS_GELU:
      if (e.aux != nullptr) e.aux[at] = sum;
      return maths::Gelu::apply<T>(sum, 0, 0);
    case AX_EPILOGUE_RELU_GRAD: return maths::ReluGrad::apply<T>(value, e.aux[at], 0, 0);
    case AX_EPILOGUE_GELU_GRAD: return maths::GeluGrad::apply<T>(value, e.aux[at], 0, 0);
  }
  return sum;
}

// Adds a tile to the result; `first` and `last` say whether it is the first or last block of k.
template <class T>
void storeTile(T* out, const T* tile, const Shape& s, int64_t row, int64_t col, int64_t rows, int64_t cols, bool first, bool last,
               const Epilogue<T>& e) {
  constexpr int kCols = Vector<T>::kCols;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t base = (row + i) * s.ldc + col;
    const T* from = tile + i * kCols;
    for (int64_t j = 0; j < cols; ++j) {
      T value = e.alpha * from[j];
      if (!first) value += out[base + j];
      else if (e.beta != T(0) && e.kind == AX_EPILOGUE_NONE) value += e.beta * out[base + j];
      out[base + j] = last ? finish(e, value, base + j, col + j) : value;
    }
  }
}

template <class T>
int32_t product(T* out, const T* a, const T* b, const Shape& s, const Epilogue<T>& e) {
  constexpr int kCols = Vector<T>::kCols;
  thread_local Scratch left, right;
  const int64_t a_row = s.transpose_a ? 1 : s.lda, a_depth = s.transpose_a ? s.lda : 1;
  const int64_t b_col = s.transpose_b ? s.ldb : 1, b_depth = s.transpose_b ? 1 : s.ldb;
  const int64_t depth_room = s.k < kDepth ? s.k : kDepth;
  const int64_t panels = (s.n + kCols - 1) / kCols;
  T* const packed_b = static_cast<T*>(right.atLeast(static_cast<size_t>(panels * kCols * depth_room + kCols) * sizeof(T)));
  T* const packed_a = static_cast<T*>(left.atLeast(static_cast<size_t>(kPanelRows * depth_room + kRows) * sizeof(T)));
  if (packed_a == nullptr || packed_b == nullptr) return fail(AX_ERROR_OUT_OF_MEMORY, "no memory for packed panels");
  alignas(64) T tile[kRows * kCols];
  for (int64_t p = 0; p == 0 || p < s.k; p += kDepth) {
    const int64_t depth = s.k - p < kDepth ? s.k - p : kDepth;
    const bool first = p == 0, last = p + kDepth >= s.k;
    for (int64_t j = 0; j < panels; ++j) {
      const int64_t cols = s.n - j * kCols < kCols ? s.n - j * kCols : kCols;
      pack(packed_b + j * kCols * depth, b + j * kCols * b_col + p * b_depth, b_col, b_depth, cols, depth, kCols);
    }
    for (int64_t i0 = 0; i0 < s.m; i0 += kPanelRows) {
      const int64_t block = s.m - i0 < kPanelRows ? s.m - i0 : kPanelRows;
      for (int64_t i = 0; i < block; i += kRows) {
        const int64_t rows = block - i < kRows ? block - i : kRows;
        pack(packed_a + i * depth, a + (i0 + i) * a_row + p * a_depth, a_row, a_depth, rows, depth, kRows);
      }
      for (int64_t j = 0; j < panels; ++j) {
        const int64_t cols = s.n - j * kCols < kCols ? s.n - j * kCols : kCols;
        for (int64_t i = 0; i < block; i += kRows) {
          const int64_t rows = block - i < kRows ? block - i : kRows;
          microKernel(tile, packed_a + i * depth, packed_b + j * kCols * depth, depth);
          storeTile(out, tile, s, i0 + i, j * kCols, rows, cols, first, last, e);
        }
      }
    }
  }
  return AX_OK;
}

double matrixSpan(int64_t rows, int64_t cols, int64_t ld, int64_t batch, int64_t stride) {
  if (rows == 0 || cols == 0 || batch == 0) return 0;
  return static_cast<double>((batch - 1) * stride + (rows - 1) * ld + cols);
}

template <class T>
int32_t run(int32_t dtype, uint32_t out, double oo, uint32_t a, double ao, uint32_t b, double bo, uint32_t bias, double bias_o,
            uint32_t aux, double aux_o, const Shape& s, int32_t epilogue, double alpha, double beta) {
  T *c, *x, *y, *bias_at = nullptr, *aux_at = nullptr;
  const double out_span = matrixSpan(s.m, s.n, s.ldc, s.batch, s.batch_out);
  AX_TRY(resolve(out, oo, out_span, dtype, reinterpret_cast<void**>(&c)));
  AX_TRY(resolve(a, ao, s.transpose_a ? matrixSpan(s.k, s.m, s.lda, s.batch, s.batch_a) : matrixSpan(s.m, s.k, s.lda, s.batch, s.batch_a),
                 dtype, reinterpret_cast<void**>(&x)));
  AX_TRY(resolve(b, bo, s.transpose_b ? matrixSpan(s.n, s.k, s.ldb, s.batch, s.batch_b) : matrixSpan(s.k, s.n, s.ldb, s.batch, s.batch_b),
                 dtype, reinterpret_cast<void**>(&y)));
  if (bias != 0) AX_TRY(resolve(bias, bias_o, s.n, dtype, reinterpret_cast<void**>(&bias_at)));
  if (aux != 0) AX_TRY(resolve(aux, aux_o, out_span, dtype, reinterpret_cast<void**>(&aux_at)));
  if (epilogue >= AX_EPILOGUE_RELU_GRAD && aux == 0) return fail(AX_ERROR_ARGUMENT, "epilogue %d needs aux", epilogue);
  for (int64_t i = 0; i < s.batch; ++i) {
    const Epilogue<T> e{epilogue, static_cast<T>(alpha), static_cast<T>(beta), epilogue == AX_EPILOGUE_NONE ? nullptr : bias_at,
                        aux_at == nullptr ? nullptr : aux_at + i * s.batch_out};
    AX_TRY(product<T>(c + i * s.batch_out, x + i * s.batch_a, y + i * s.batch_b, s, e));
  }
  return AX_OK;
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_matmul(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                  double b_offset, uint32_t bias, double bias_offset, uint32_t aux, double aux_offset,
                  const void* shape, int32_t epilogue, double alpha, double beta) {
  const Shape& s = *static_cast<const Shape*>(shape);
  if (s.batch < 0 || s.m < 0 || s.n < 0 || s.k < 0) return fail(AX_ERROR_ARGUMENT, "sizes of a product must not be negative");
  if (epilogue < AX_EPILOGUE_NONE || epilogue > AX_EPILOGUE_GELU_GRAD) return fail(AX_ERROR_ARGUMENT, "unknown epilogue %d", epilogue);
  if (beta != 0 && epilogue != AX_EPILOGUE_NONE) return fail(AX_ERROR_ARGUMENT, "beta needs epilogue 0, got %d", epilogue);
  if (dtype == AX_FLOAT32) return run<float>(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, alpha, beta);
  if (dtype == AX_FLOAT64) return run<double>(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, alpha, beta);
  return fail(AX_ERROR_UNSUPPORTED, "matmul is not available for dtype %d", dtype);
}
