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

template <class P, class Tile, bool kHasTransposedBoth>
int32_t launchAligned(Work<typename P::Storage>& work) {
  const auto start = [&](auto transpose_a, auto transpose_b) {
    return launchTiles<tensorProductKernel<P, Tile, transpose_a.value, transpose_b.value, true>, Tile::kM, Tile::kN>(work, Tile::kThreads,
                                                                                                                     Tile::kSharedBytes);
  };
  constexpr std::true_type kYes;
  constexpr std::false_type kNo;
  if (work.s.transpose_a == 0) return work.s.transpose_b == 0 ? start(kNo, kNo) : start(kNo, kYes);
  if (work.s.transpose_b == 0) return start(kYes, kNo);
  if constexpr (kHasTransposedBoth) return start(kYes, kYes);
  return fail(AX_ERROR_UNSUPPORTED, "no tile for two transposed operands");
}

// `tiles` has `tile_count` entries; `launch_aligned(plan, work)` launches the kernel for one of them. What is not aligned takes the small tile.
template <class P, class LaunchAligned>
int32_t tensorProduct(const ProductShape& s, const ProductOperands<typename P::Storage>& p, const Finish<typename P::Storage>& finish,
                      const TileShape* tiles, int32_t tile_count, const LaunchAligned& launch_aligned) {
  using S = typename P::Storage;
  const bool is_aligned = isMultiple(p.a, s.lda, s.batch_a, sizeof(S), 16) && isMultiple(p.b, s.ldb, s.batch_b, sizeof(S), 16);
  const Costs costs = {4096.0 / sizeof(S) / 2, 3000};
  const int32_t depth = SmallTile::kDepthBytes / static_cast<int32_t>(sizeof(S));
  const Plan plan = is_aligned ? choosePlan(s, tiles, tile_count, multiprocessors(), costs, depth)
                               : choosePlan(s, kTensorTiles, 1, multiprocessors(), costs, depth);
  return runPlan(s, p, finish, plan, [&](Work<S>& work) {
    if (is_aligned) return launch_aligned(plan, work);
    return launchTiles<tensorProductKernel<P, SmallTile, false, true, false>, SmallTile::kM, SmallTile::kN>(work, SmallTile::kThreads,
                                                                                                             SmallTile::kSharedBytes);
  });
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_TENSOR_LAUNCH_CUH_
