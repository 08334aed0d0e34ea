// The tiles of simt.cuh, and the launch of their kernels.
#ifndef AX_CUDA_MATMUL_SIMT_LAUNCH_CUH_
#define AX_CUDA_MATMUL_SIMT_LAUNCH_CUH_
#include "cuda/matmul/run.cuh"
#include "cuda/matmul/simt.cuh"

namespace ax {
inline namespace AX_ISA {

// A multiprocessor reads 128 bytes of shared memory a clock and multiplies 64 to 128 times: 8 x 8 parts need half of that, 4 x 4 parts all.
using LargeSimtTile = SimtTile<float, 128, 128, 8, 2>;
using SmallSimtTile = SimtTile<float, 64, 64, 16, 2>;
using DoubleTile = SimtTile<double, 64, 64, 16, 2>;
constexpr TileShape kSimtTiles[] = {{SmallSimtTile::kM, SmallSimtTile::kN, 0.6}, {LargeSimtTile::kM, LargeSimtTile::kN, 1}};
constexpr TileShape kDoubleTiles[] = {{DoubleTile::kM, DoubleTile::kN, 1}};

template <class T>
bool hasQuads(const T* data, int64_t ld, int64_t batch_stride) {
  return isMultiple(data, ld, batch_stride, sizeof(T), 16);
}

template <class Tile, class T>
int32_t launchSimt(Work<T>& work) {
  work.tiles_m = static_cast<int32_t>(divideUp(work.s.m, Tile::kM));
  work.tiles_n = static_cast<int32_t>(divideUp(work.s.n, Tile::kN));
  return launchBlocks<simtProductKernel<Tile>>(work.blocks(), Tile::kThreads, Tile::kSharedBytes, work,
                                               hasQuads(work.a, work.s.lda, work.s.batch_a), hasQuads(work.b, work.s.ldb, work.s.batch_b));
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_SIMT_LAUNCH_CUH_
