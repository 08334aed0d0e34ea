// Choice and launch of a kernel of tensor_core.cuh, for the file that names a kind of product.
#ifndef AX_CUDA_MATMUL_TENSOR_LAUNCH_CUH_
#define AX_CUDA_MATMUL_TENSOR_LAUNCH_CUH_
#include "cuda/matmul/methods.h"
#include "cuda/matmul/run.cuh"
#include "cuda/matmul/tensor_core.cuh"

namespace ax {
inline namespace AX_ISA {

// The large tile reads 12 bytes of 16-bit operands from the second-level cache for each 1,024 multiplications, the middle one 16, the small one
// 32; it takes all registers of a multiprocessor, of the others 2 and 3 blocks fit. Shared memory: 96, 48 and 32 KiB, so that all
// fit the 99 KiB of sm_86, sm_89 and sm_120.
using LargeTile = TensorTile<128, 256, 64, 64, 4, 1>;
using MiddleTile = TensorTile<128, 128, 64, 64, 3, 2>;
using SmallTile = TensorTile<64, 64, 32, 32, 4, 3>;

// Sums of tf32 need twice the steps along k, so warps with half the registers do.
using MiddleTf32Tile = TensorTile<128, 128, 64, 32, 3, 1>;

constexpr TileShape kTensorTiles[] = {{SmallTile::kM, SmallTile::kN, 0.5}, {MiddleTile::kM, MiddleTile::kN, 0.85}, {LargeTile::kM, LargeTile::kN, 1}};

// Chunks of 16 bytes can be copied, and there is a kernel for the layout: two transposed operands are too rare for one.
template <class S>
bool isAligned(const ProductShape& s, const ProductOperands<S>& p) {
  return isMultiple(p.a, s.lda, s.batch_a, sizeof(S), 16) && isMultiple(p.b, s.ldb, s.batch_b, sizeof(S), 16) &&
         (s.transpose_a == 0 || s.transpose_b == 0);
}

template <class P, class Tile>
int32_t launchAligned(Work<typename P::Storage>& work) {
  const auto start = [&](auto transpose_a, auto transpose_b) {
    return launchTiles<tensorProductKernel<P, Tile, transpose_a.value, transpose_b.value, true>, Tile::kM, Tile::kN>(work, Tile::kThreads,
                                                                                                                     Tile::kSharedBytes);
  };
  constexpr std::true_type kYes;
  constexpr std::false_type kNo;
  if (work.s.transpose_a != 0) return start(kYes, kNo);
  return work.s.transpose_b == 0 ? start(kNo, kNo) : start(kNo, kYes);
}

template <class P>
Plan planTensorProduct(const ProductShape& s, const TileShape* tiles, int32_t tile_count) {
  constexpr int32_t kBytes = sizeof(typename P::Storage);
  return choosePlan(s, tiles, tile_count, multiprocessors(), {2048.0 / kBytes, 3000}, SmallTile::kDepthBytes / kBytes);
}

// Any layout and alignment: elements are read one by one.
template <class P>
int32_t launchUnaligned(Work<typename P::Storage>& work) {
  return launchTiles<tensorProductKernel<P, SmallTile, false, true, false>, SmallTile::kM, SmallTile::kN>(work, SmallTile::kThreads,
                                                                                                           SmallTile::kSharedBytes);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_TENSOR_LAUNCH_CUH_
