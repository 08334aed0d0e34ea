// Products of tiles on the SIMT units: kThreads threads as a square of 16 x 16, each with kPart rows and four columns of a tile of results.
// Both operands pass through shared memory in slices along the inner dimension, row by row of that dimension, so that a thread's rows
// and its columns lie side by side: for 32 products it reads three vectors of 16 bytes.
#ifndef AX_CUDA_ATTENTION_SIMT_TILE_CUH_
#define AX_CUDA_ATTENTION_SIMT_TILE_CUH_
#include "cuda/attention/problem.cuh"

namespace ax {
inline namespace AX_ISA {

// Rows of an operand in the dtype that tensors hold, read as C and multiplied with `scale`. One kernel serves all dtypes that are computed
// in float: 16-bit rows come here only where the tensor cores' kernels do not take them.
template <class C>
struct SimtRows {
  const void* data;
  int32_t dtype;
  int64_t offset, stride;
  int count;
  C scale;

  AX_DEVICE SimtRows from(int row, int rows) const { return {data, dtype, offset + row * stride, stride, rows, scale}; }

  // Whether rows of `columns` elements can be read in whole vectors.
  AX_DEVICE bool isAligned(int columns) const {
    if (sizeof(C) == 4 && dtype != AX_FLOAT32) return false;
    return reinterpret_cast<uintptr_t>(static_cast<const C*>(data) + offset) % 16 == 0 && stride * sizeof(C) % 16 == 0 &&
           columns * sizeof(C) % 16 == 0;
  }

  // An element, or zero from `columns` on and behind the last row.
  AX_DEVICE C load(int row, int col, int columns) const {
    return row < count && col < columns ? loadElement<C>(data, dtype, offset + row * stride + col) * scale : C(0);
  }
  // The same for the elements of a vector, where rows are aligned.
  AX_DEVICE Vector16<C> loadVector(int row, int col, int columns) const {
    Vector16<C> result{};
    if (row >= count || col >= columns) return result;
    result = *reinterpret_cast<const Vector16<C>*>(static_cast<const C*>(data) + offset + row * stride + col);
#pragma unroll
    for (int i = 0; i < Vector16<C>::kCount; ++i) result.v[i] *= scale;
    return result;
  }
};

template <class C>
struct SimtTile {
  static constexpr int kSide = 16, kPart = sizeof(C) == 8 ? 4 : 8;
  static constexpr int kRows = kSide * kPart, kColumns = kSide * 4;
  static constexpr int kDepth = 64 / sizeof(C);
  static constexpr int kLeftPitch = kRows + 4, kRightPitch = kColumns + 4;
  static constexpr int kVector = Vector16<C>::kCount;
  static_assert(kSide * kSide == kThreads);

  using Sums = C[kPart][4];

  // All of it together stays below the 48 KB that need no permission.
  struct alignas(16) Shared {
    C left[kDepth * kLeftPitch], right[kDepth * kRightPitch];
    C weights[kColumns * kLeftPitch];  // (inner dimension, rows)
  };
  static_assert(sizeof(Shared) <= 48 << 10);

  Shared& shared;
  const int row, col;  // the first of this thread

  AX_DEVICE explicit SimtTile(Shared& memory)
      : shared(memory), row(static_cast<int>(threadIdx.x) / kSide * kPart), col(static_cast<int>(threadIdx.x) % kSide * 4) {}

  AX_DEVICE static void clear(Sums& sums) {
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] = C(0);
    }
  }

  template <int kCount>
  AX_DEVICE static void loadShared(C (&to)[kCount], const C* from) {
#pragma unroll
    for (int i = 0; i < kCount; i += kVector) {
      const Vector16<C> part = *reinterpret_cast<const Vector16<C>*>(from + i);
#pragma unroll
      for (int j = 0; j < kVector; ++j) to[i + j] = part.v[j];
    }
  }

  // sums += left^T right over kDepth rows; both point to this thread's elements. Loaders fill up with zeros.
  AX_DEVICE static void addProduct(Sums& sums, const C* left, const C* right) {
#pragma unroll 2
    for (int k = 0; k < kDepth; ++k) {
      C a[kPart], b[4];
      loadShared(a, left + k * kLeftPitch);
      loadShared(b, right + k * kRightPitch);
#pragma unroll
      for (int i = 0; i < kPart; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] += a[i] * b[j];
      }
    }
  }

  // Columns d0 and following of the rows, as rows of `to`. A warp reads eight rows by some vectors, so that what lies side by side is read
  // together and stores to shared memory meet in pairs at most.
  template <int kCount>
  AX_DEVICE static void loadTransposed(C* to, int pitch, const SimtRows<C>& x, int d0, int dim) {
    constexpr int kChunks = kDepth / kVector;
    if (x.isAligned(dim)) {
#pragma unroll
      for (int e0 = 0; e0 < kCount * kChunks; e0 += kThreads) {
        const int e = e0 + static_cast<int>(threadIdx.x), from = e / (8 * kChunks) * 8 + e % 8, d = e / 8 % kChunks * kVector;
        const Vector16<C> part = x.loadVector(from, d0 + d, dim);
#pragma unroll
        for (int i = 0; i < kVector; ++i) to[(d + i) * pitch + from] = part.v[i];
      }
      static_assert(kCount * kChunks % kThreads == 0);
    } else {
#pragma unroll 1
      for (int e = static_cast<int>(threadIdx.x); e < kCount * kDepth; e += kThreads) {
        to[e % kDepth * pitch + e / kDepth] = x.load(e / kDepth, d0 + e % kDepth, dim);
      }
    }
  }

  // sums += a b^T, a having up to kRows and b up to kColumns rows of `dim` elements.
  AX_DEVICE void addRowProducts(Sums& sums, const SimtRows<C>& a, const SimtRows<C>& b, int dim) const {
#pragma unroll 1
    for (int d0 = 0; d0 < dim; d0 += kDepth) {
      __syncthreads();
      loadTransposed<kRows>(shared.left, kLeftPitch, a, d0, dim);
      loadTransposed<kColumns>(shared.right, kRightPitch, b, d0, dim);
      __syncthreads();
      addProduct(sums, shared.left + row, shared.right + col);
    }
  }

  // Keeps a tile for addWeighted; column j of it becomes row j.
  AX_DEVICE void storeWeights(const Sums& values) const {
    __syncthreads();
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int i = 0; i < kPart; i += kVector) {
        Vector16<C> part;
#pragma unroll
        for (int v = 0; v < kVector; ++v) part.v[v] = values[i + v][j];
        *reinterpret_cast<Vector16<C>*>(shared.weights + (col + j) * kLeftPitch + row + i) = part;
      }
    }
  }

  // Calls f(i, four) for each row i of this thread with its four elements of the kept tile, in a loop that is not unrolled: what only some
  // calls need would be most of a kernel's code if it were there for every register.
  template <class F>
  AX_DEVICE void eachStoredRow(const F& f) const {
#pragma unroll 1
    for (int i = 0; i < kPart; ++i) {
      C* const at = shared.weights + col * kLeftPitch + row + i;
      C four[4] = {at[0], at[kLeftPitch], at[2 * kLeftPitch], at[3 * kLeftPitch]};
      f(i, four);
#pragma unroll
      for (int j = 0; j < 4; ++j) at[j * kLeftPitch] = four[j];
    }
  }
  // The same as f(i, j, four), with rows i to i + 3 of column j.
  template <class F>
  AX_DEVICE void eachStoredColumn(const F& f) const {
#pragma unroll 1
    for (int e = 0; e < kPart; ++e) {
      const int i = e / 4 * 4, j = e % 4;
      C* const at = shared.weights + (col + j) * kLeftPitch + row + i;
      C four[4] = {at[0], at[1], at[2], at[3]};
      f(i, j, four);
#pragma unroll
      for (int n = 0; n < 4; ++n) at[n] = four[n];
    }
  }
  template <class F>
  AX_DEVICE void eachRow(Sums& values, const F& f) const {
    storeWeights(values);
    eachStoredRow(f);
    loadWeights(values);
  }
  template <class F>
  AX_DEVICE void eachColumn(Sums& values, const F& f) const {
    storeWeights(values);
    eachStoredColumn(f);
    loadWeights(values);
  }

  // The exponentials of a tile. That of a double is forty instructions, so it is not there for every register.
  AX_DEVICE void exponentiate(Sums& values) const {
    if constexpr (sizeof(C) == 8) {
      eachRow(values, [](int, C(&four)[4]) {
#pragma unroll
        for (int j = 0; j < 4; ++j) four[j] = exp(four[j]);
      });
    } else {
#pragma unroll
      for (int i = 0; i < kPart; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) values[i][j] = exp(values[i][j]);
      }
    }
  }

  AX_DEVICE void loadWeights(Sums& values) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      C column[kPart];
      loadShared(column, shared.weights + (col + j) * kLeftPitch + row);
#pragma unroll
      for (int i = 0; i < kPart; ++i) values[i][j] = column[i];
    }
  }

  // sums += weights times columns col0 to col0 + kColumns of the rows of x, of which there are up to kColumns.
  AX_DEVICE void addWeighted(Sums& sums, const SimtRows<C>& x, int col0, int columns) const {
    constexpr int kChunks = kColumns / kVector;
#pragma unroll 1
    for (int k0 = 0; k0 < x.count; k0 += kDepth) {
      __syncthreads();
      if (x.isAligned(columns)) {
#pragma unroll
        for (int e0 = 0; e0 < kDepth * kChunks; e0 += kThreads) {
          const int e = e0 + static_cast<int>(threadIdx.x), from = e / kChunks, at = e % kChunks * kVector;
          *reinterpret_cast<Vector16<C>*>(shared.right + from * kRightPitch + at) = x.loadVector(k0 + from, col0 + at, columns);
        }
        static_assert(kDepth * kChunks % kThreads == 0);
      } else {
#pragma unroll 1
        for (int e = static_cast<int>(threadIdx.x); e < kDepth * kColumns; e += kThreads) {
          shared.right[e / kColumns * kRightPitch + e % kColumns] = x.load(k0 + e / kColumns, col0 + e % kColumns, columns);
        }
      }
      __syncthreads();
      addProduct(sums, shared.weights + k0 * kLeftPitch + row, shared.right + col);
    }
  }

  // A tile of results times `scale` into `rows` rows of an operand with `columns` elements; neighbouring threads write neighbours.
  AX_DEVICE void store(void* to, int32_t dtype, int64_t offset, int64_t stride, const Sums& sums, C scale, int rows, int col0,
                       int columns) const {
    storeWeights(sums);
    __syncthreads();
#pragma unroll 1
    for (int e = static_cast<int>(threadIdx.x); e < kRows * kColumns; e += kThreads) {
      const int i = e / kColumns, j = e % kColumns;
      if (i >= rows || col0 + j >= columns) continue;
      storeElement(to, dtype, offset + i * stride + col0 + j, shared.weights[j * kLeftPitch + i] * scale);
    }
  }

  // Combines a value of the 16 threads that share rows.
  template <class Combine>
  AX_DEVICE static C combineRow(C value, const Combine& combine) {
#pragma unroll
    for (int distance = kSide / 2; distance > 0; distance /= 2) value = combine(value, __shfl_xor_sync(0xffffffff, value, distance));
    return value;
  }
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_ATTENTION_SIMT_TILE_CUH_
