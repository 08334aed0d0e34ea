// The matrix product of the CPU, for every kernel that needs one. See gemm.cc for how it works.
//
// Use gemmSerial() inside the body of a parallelFor() and gemm() outside. Both allocate nothing but scratch memory that each thread
// keeps, cannot fail, and give the same bits for any number of threads. Instantiated for float and double.
#ifndef AX_CPU_GEMM_H_
#define AX_CPU_GEMM_H_
#include <stdint.h>

namespace ax {
inline namespace AX_ISA {

// An operand seen as lines that run along k: the rows of A (m lines) or the columns of B (n lines), each of k elements. It lies in
// memory as a matrix, or is made by a function on demand, so that for example the patches of a convolution never exist as a matrix.
template <class T>
struct GemmLines {
  // Fills a panel: panel[p * width + i] = element start + p of line first + i for all p < depth and i < lines, and zero for
  // lines <= i < width. May be called by several threads at once, and several times for the same elements.
  using Pack = void (*)(const void* source, T* panel, int64_t width, int64_t first, int64_t lines, int64_t start, int64_t depth);
  Pack pack;           // null for a matrix in memory
  const void* source;  // for pack
  const T* x;          // element p of line i is x[i * ld + p] where lines are contiguous, otherwise x[p * ld + i]
  int64_t ld;
  bool contiguous;
};

// A as it is stored, row-major with `lda` elements between rows: (m, k), or (k, m) when transposed.
template <class T>
GemmLines<T> gemmRows(const T* a, int64_t lda, bool transposed = false) {
  return {nullptr, nullptr, a, lda, !transposed};
}

// B as it is stored, row-major with `ldb` elements between rows: (k, n), or (n, k) when transposed.
template <class T>
GemmLines<T> gemmCols(const T* b, int64_t ldb, bool transposed = false) {
  return {nullptr, nullptr, b, ldb, transposed};
}

// An operand made by pack(panel, width, first, lines, start, depth), which must do what GemmLines::Pack says and outlive the call.
template <class T, class F>
GemmLines<T> gemmPackedBy(const F& pack) {
  return {[](const void* source, T* panel, int64_t width, int64_t first, int64_t lines, int64_t start, int64_t depth) {
            (*static_cast<const F*>(source))(panel, width, first, lines, start, depth);
          },
          &pack, nullptr, 0, false};
}

// C (m, n) = alpha * A B + beta * C. C is row-major with `ldc` elements between rows, and is not read when beta is 0.
template <class T>
struct Gemm {
  int64_t m, n, k;
  GemmLines<T> a, b;
  T* c;
  int64_t ldc;
  T alpha = 1, beta = 0;
};

// On the calling thread.
template <class T>
void gemmSerial(const Gemm<T>& product);

// On the threads of the pool.
template <class T>
void gemm(const Gemm<T>& product);

// op(A) (m, k) and op(B) (k, n) are transposed as they are stored where the flags say so.
template <class T>
void gemmSerial(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t lda, const T* b,
                int64_t ldb, T beta, T* c, int64_t ldc) {
  gemmSerial<T>({m, n, k, gemmRows(a, lda, transpose_a), gemmCols(b, ldb, transpose_b), c, ldc, alpha, beta});
}

extern template void gemmSerial<float>(const Gemm<float>&);
extern template void gemmSerial<double>(const Gemm<double>&);
extern template void gemm<float>(const Gemm<float>&);
extern template void gemm<double>(const Gemm<double>&);

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_GEMM_H_
