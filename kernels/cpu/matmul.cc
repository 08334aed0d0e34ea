// Packed matrix product. A and B are copied into panels of kRows and kCols that the micro-kernel reads in order; the tile of the
// result stays in registers while the kernel walks a block of k, and the epilogue is applied when the last block is done.
#include <stdlib.h>

#include <atomic>

#include "common/math.h"
#include "common/product.h"
#include "cpu/backend.h"
#include "cpu/thread_pool.h"

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
// Block of k; rows of A (a multiple of 4, 6 and 12) and columns of B (of every tile's width) that are packed at once.
constexpr int64_t kDepth = 256, kPanelRows = 144, kPanelCols = 1024;
// Multiplications below which another thread is not worth waking.
constexpr int64_t kGrain = 1 << 17;

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

template <class T>
struct Epilogue {
  int32_t kind;
  T alpha, beta;
  const T* bias;
  T* aux;
};

// Copies `lines` lines of `depth` elements into a panel of kWidth lines, element-major, filled up with zeros.
template <class T, int kWidth>
void pack(T* panel, const T* x, int64_t line_stride, int64_t depth_stride, int64_t lines, int64_t depth) {
  if (lines == kWidth && line_stride == 1) {
    for (int64_t p = 0; p < depth; ++p) {
      const T* from = x + p * depth_stride;
      for (int i = 0; i < kWidth; ++i) panel[p * kWidth + i] = from[i];
    }
  } else if (depth_stride == 1) {
    // Lines run along k: blocks of eight elements of each line keep both sides in the cache.
    constexpr int64_t kBlock = 8;
    for (int64_t p0 = 0; p0 < depth; p0 += kBlock) {
      const int64_t p1 = depth - p0 < kBlock ? depth : p0 + kBlock;
      for (int64_t i = 0; i < lines; ++i) {
        const T* from = x + i * line_stride;
        if (p1 - p0 == kBlock) {
          for (int64_t p = 0; p < kBlock; ++p) panel[(p0 + p) * kWidth + i] = from[p0 + p];
        } else {
          for (int64_t p = p0; p < p1; ++p) panel[p * kWidth + i] = from[p];
        }
      }
      for (int64_t p = p0; p < p1; ++p) {
        for (int64_t i = lines; i < kWidth; ++i) panel[p * kWidth + i] = T(0);
      }
    }
  } else {
    for (int64_t p = 0; p < depth; ++p) {
      const T* from = x + p * depth_stride;
      T* to = panel + p * kWidth;
      for (int64_t i = 0; i < lines; ++i) to[i] = from[i * line_stride];
      for (int64_t i = lines; i < kWidth; ++i) to[i] = T(0);
    }
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

// Applies the epilogue to `cols` finished elements of a row; `at` is their position in out and aux.
template <class T>
void finishRow(T* row, const Epilogue<T>& e, int64_t at, int64_t col, int64_t cols) {
  if (e.bias != nullptr) {
    for (int64_t j = 0; j < cols; ++j) row[j] += e.bias[col + j];
  }
  switch (e.kind) {
    case AX_EPILOGUE_BIAS_RELU:
      for (int64_t j = 0; j < cols; ++j) row[j] = maths::Relu::apply<T>(row[j], 0, 0);
      return;
    case AX_EPILOGUE_BIAS_GELU:
      if (e.aux != nullptr) {
        for (int64_t j = 0; j < cols; ++j) e.aux[at + j] = row[j];
      }
      for (int64_t j = 0; j < cols; ++j) row[j] = maths::Gelu::apply<T>(row[j], 0, 0);
      return;
    case AX_EPILOGUE_RELU_GRAD:
      for (int64_t j = 0; j < cols; ++j) row[j] = maths::ReluGrad::apply<T>(row[j], e.aux[at + j], 0, 0);
      return;
    case AX_EPILOGUE_GELU_GRAD:
      for (int64_t j = 0; j < cols; ++j) row[j] = maths::GeluGrad::apply<T>(row[j], e.aux[at + j], 0, 0);
      return;
  }
}

// Adds a tile to the result; `first` and `last` say whether it is the first or last block of k.
template <class T>
void storeTile(T* out, const T* tile, int64_t ldc, int64_t row, int64_t col, int64_t rows, int64_t cols, bool first, bool last,
               const Epilogue<T>& e) {
  constexpr int kCols = Vector<T>::kCols;
  const T alpha = e.alpha, beta = first ? e.beta : T(1);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t at = (row + i) * ldc + col;
    const T* from = tile + i * kCols;
    T* to = out + at;
    if (beta == T(0)) {
      if (cols == kCols) {
        for (int j = 0; j < kCols; ++j) to[j] = alpha * from[j];
      } else {
        for (int64_t j = 0; j < cols; ++j) to[j] = alpha * from[j];
      }
    } else if (cols == kCols) {
      for (int j = 0; j < kCols; ++j) to[j] = alpha * from[j] + beta * to[j];
    } else {
      for (int64_t j = 0; j < cols; ++j) to[j] = alpha * from[j] + beta * to[j];
    }
    if (last && e.kind != AX_EPILOGUE_NONE) finishRow(to, e, at, col, cols);
  }
}

// A dot product in as many lanes as two vectors have, combined pairwise.
template <class T>
T dot(const T* a, const T* b, int64_t count) {
  constexpr int kLanes = Vector<T>::kCols;
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < count; ++i) lanes[i % kLanes] += a[i] * b[i];
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

// Few columns whose operands both run along k: a dot product for each element beats padding to a whole tile.
template <class T>
void productOfDots(T* out, const T* a, const T* b, const ProductShape& s, const Epilogue<T>& e) {
  parallelFor(s.m, kGrain / ((s.k + 1) * (s.n + 1)) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* row = out + i * s.ldc;
      for (int64_t j = 0; j < s.n; ++j) {
        const T value = e.alpha * dot(a + i * s.lda, b + j * s.ldb, s.k);
        row[j] = e.beta == T(0) ? value : value + e.beta * row[j];
      }
      if (e.kind != AX_EPILOGUE_NONE) finishRow(row, e, i * s.ldc, 0, s.n);
    }
  });
}

template <class T>
int32_t product(T* out, const T* a, const T* b, const ProductShape& s, const Epilogue<T>& e) {
  constexpr int kCols = Vector<T>::kCols;
  if (s.n <= 4 && !s.transpose_a && (s.transpose_b || s.ldb == 1)) {
    // A column vector that is stored as (k, 1) is also one that is stored as (1, k).
    productOfDots(out, a, b, s, e);
    return AX_OK;
  }
  const int64_t a_row = s.transpose_a ? 1 : s.lda, a_depth = s.transpose_a ? s.lda : 1;
  const int64_t b_col = s.transpose_b ? s.ldb : 1, b_depth = s.transpose_b ? 1 : s.ldb;
  const int64_t depth_room = s.k < kDepth ? s.k : kDepth;
  const int64_t cols_room = s.n < kPanelCols ? (s.n + kCols - 1) / kCols * kCols : kPanelCols;
  thread_local Scratch right;
  T* const packed_b = static_cast<T*>(right.atLeast(static_cast<size_t>(cols_room * depth_room + kCols) * sizeof(T)));
  if (packed_b == nullptr) return fail(AX_ERROR_OUT_OF_MEMORY, "no memory for packed panels");
  std::atomic<bool> out_of_memory{false};
  for (int64_t j0 = 0; j0 < s.n; j0 += cols_room) {
    const int64_t width = s.n - j0 < cols_room ? s.n - j0 : cols_room, panels = (width + kCols - 1) / kCols;
    for (int64_t p = 0; p == 0 || p < s.k; p += kDepth) {
      const int64_t depth = s.k - p < kDepth ? s.k - p : kDepth;
      const bool first = p == 0, last = p + kDepth >= s.k;
      parallelFor(panels, kGrain / (kCols * (depth + 1)) + 1, [&](int64_t begin, int64_t end) {
        for (int64_t j = begin; j < end; ++j) {
          const int64_t cols = width - j * kCols < kCols ? width - j * kCols : kCols;
          pack<T, kCols>(packed_b + j * kCols * depth, b + (j0 + j * kCols) * b_col + p * b_depth, b_col, b_depth, cols, depth);
        }
      });
      const int64_t strips = (s.m + kRows - 1) / kRows;
      parallelFor(strips, kGrain / (kRows * width * (depth + 1)) + 1, [&](int64_t begin, int64_t end) {
        thread_local Scratch left;
        T* const packed_a = static_cast<T*>(left.atLeast(static_cast<size_t>(kPanelRows * depth_room + kRows) * sizeof(T)));
        if (packed_a == nullptr) {
          out_of_memory = true;
          return;
        }
        alignas(64) T tile[kRows * kCols];
        for (int64_t block = begin * kRows; block < end * kRows && block < s.m; block += kPanelRows) {
          const int64_t stop = end * kRows < s.m ? end * kRows : s.m;
          const int64_t height = stop - block < kPanelRows ? stop - block : kPanelRows;
          for (int64_t i = 0; i < height; i += kRows) {
            const int64_t rows = height - i < kRows ? height - i : kRows;
            pack<T, kRows>(packed_a + i * depth, a + (block + i) * a_row + p * a_depth, a_row, a_depth, rows, depth);
          }
          for (int64_t j = 0; j < panels; ++j) {
            const int64_t cols = width - j * kCols < kCols ? width - j * kCols : kCols;
            for (int64_t i = 0; i < height; i += kRows) {
              const int64_t rows = height - i < kRows ? height - i : kRows;
              microKernel(tile, packed_a + i * depth, packed_b + j * kCols * depth, depth);
              storeTile(out, tile, s.ldc, block + i, j0 + j * kCols, rows, cols, first, last, e);
            }
          }
        }
      });
    }
  }
  return out_of_memory ? fail(AX_ERROR_OUT_OF_MEMORY, "no memory for packed panels") : AX_OK;
}

template <class T>
int32_t run(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b, double b_offset, uint32_t bias,
            double bias_offset, uint32_t aux, double aux_offset, const ProductShape& s, int32_t epilogue, double alpha, double beta) {
  ProductOperands<T> p;
  AX_TRY(resolveProduct(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, &p));
  for (int64_t i = 0; i < s.batch; ++i) {
    const Epilogue<T> e{epilogue, static_cast<T>(alpha), static_cast<T>(beta), p.bias, p.aux == nullptr ? nullptr : p.aux + i * s.batch_out};
    AX_TRY(product<T>(p.out + i * s.batch_out, p.a + i * s.batch_a, p.b + i * s.batch_b, s, e));
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
  const ProductShape& s = *static_cast<const ProductShape*>(shape);
  AX_TRY(checkProduct(s, epilogue, beta, aux));
  if (dtype == AX_FLOAT32) return run<float>(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, alpha, beta);
  if (dtype == AX_FLOAT64) return run<double>(dtype, out, out_offset, a, a_offset, b, b_offset, bias, bias_offset, aux, aux_offset, s, epilogue, alpha, beta);
  return fail(AX_ERROR_UNSUPPORTED, "matmul is not available for dtype %d", dtype);
}
