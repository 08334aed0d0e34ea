// How a matrix product is cut into tiles.
//
// A block of B (kDepth by as many columns as half of the second-level cache holds) is packed by all threads. Then each of them takes
// strips of rows: it packs a strip of A, which stays in the first-level cache, and multiplies it with the panels of the block of B,
// which stream from the second level. Every element of C is summed in the order of k, whatever the number of threads.
#ifndef AX_CPU_GEMM_DRIVER_H_
#define AX_CPU_GEMM_DRIVER_H_
#include <stdint.h>

#include "cpu/gemm.h"
#include "cpu/gemm_kernel.h"

namespace ax {
inline namespace AX_ISA {

// A product of packed elements P that are summed as T.
template <class P, class T = typename GemmSum<P>::type>
struct GemmTask {
  int64_t m, n, k;  // k in packed elements
  GemmLines<P> a, b;
  T* c;  // null: the sums go only to `finish`
  int64_t ldc;
  T alpha, beta;
  // Called when `rows` by `cols` elements from (row, col) on are complete; `sums` is where they are. May be null.
  void (*finish)(const void* context, T* sums, int64_t ld, int64_t row, int64_t col, int64_t rows, int64_t cols);
  const void* context;
};

template <class P>
void runGemm(const GemmTask<P>& task, bool parallel);

extern template void runGemm<float>(const GemmTask<float>&, bool);
extern template void runGemm<double>(const GemmTask<double>&, bool);
#ifdef __AVX512F__
extern template void runGemm<BFloat16Pair>(const GemmTask<BFloat16Pair>&, bool);
#endif

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_GEMM_DRIVER_H_
