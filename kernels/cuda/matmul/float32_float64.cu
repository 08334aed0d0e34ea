// Products of float32 and float64 on the ordinary units, and of float32 operands rounded to tf32 (10 bits of fraction) on the tensor
// cores, which share the kernels for few results.
#include "cuda/matmul/simt.cuh"

#include "cuda/matmul/methods.h"
#include "cuda/matmul/run.cuh"
#include "cuda/matmul/tensor_launch.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

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

}  // namespace

int32_t multiplyFloat32(const ProductShape& s, const ProductOperands<float>& p, const Finish<float>& finish) {
  const Plan plan = choosePlan(s, kSimtTiles, 2, multiprocessors(), {100, 3000}, SmallSimtTile::kDepth);
  return runPlan(s, p, finish, plan, [&](Work<float>& work) { return plan.tile == 1 ? launchSimt<LargeSimtTile>(work) : launchSimt<SmallSimtTile>(work); });
}

int32_t multiplyTf32(const ProductShape& s, const ProductOperands<Tf32Product::Storage>& p, const Finish<Tf32Product::Storage>& finish) {
  constexpr TileShape kTiles[] = {{MiddleTf32Tile::kM, MiddleTf32Tile::kN, 1}};
  return tensorProduct<Tf32Product>(s, p, finish, kTiles, 1, [](const Plan&, Work<float>& work) {
    return launchAligned<Tf32Product, MiddleTf32Tile, true>(work);
  });
}

int32_t multiplyFloat64(const ProductShape& s, const ProductOperands<double>& p, const Finish<double>& finish) {
  const Plan plan = choosePlan(s, kDoubleTiles, 1, multiprocessors(), {32, 3000}, DoubleTile::kDepth);
  return runPlan(s, p, finish, plan, [](Work<double>& work) { return launchSimt<DoubleTile>(work); });
}

}  // namespace AX_ISA
}  // namespace ax
