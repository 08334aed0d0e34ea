// Products of float32 and float64 on the ordinary units, and of float32 operands rounded to tf32 (10 bits of fraction) on the tensor
// cores, which share the kernels for few results.
#include "cuda/matmul/methods.h"
#include "cuda/matmul/simt_launch.cuh"
#include "cuda/matmul/tensor_launch.cuh"

namespace ax {
inline namespace AX_ISA {

int32_t multiplyFloat32(const ProductShape& s, const ProductOperands<float>& p, const Finish<float>& finish) {
  const Plan plan = choosePlan(s, kSimtTiles, 2, multiprocessors(), {100, 3000}, SmallSimtTile::kDepth);
  return runPlan(s, p, finish, plan, plan.tile == 1 ? launchSimt<LargeSimtTile, float> : launchSimt<SmallSimtTile, float>);
}

int32_t multiplyTf32(const ProductShape& s, const ProductOperands<float>& p, const Finish<float>& finish) {
  if (!isAligned(s, p)) return multiplyFloat32(s, p, finish);
  constexpr TileShape kTiles[] = {{MiddleTf32Tile::kM, MiddleTf32Tile::kN, 1}};
  return runPlan(s, p, finish, planTensorProduct<Tf32Product>(s, kTiles, 1), launchAligned<Tf32Product, MiddleTf32Tile>);
}

int32_t multiplyFloat64(const ProductShape& s, const ProductOperands<double>& p, const Finish<double>& finish) {
  const Plan plan = choosePlan(s, kDoubleTiles, 1, multiprocessors(), {32, 3000}, DoubleTile::kDepth);
  return runPlan(s, p, finish, plan, launchSimt<DoubleTile, double>);
}

}  // namespace AX_ISA
}  // namespace ax
