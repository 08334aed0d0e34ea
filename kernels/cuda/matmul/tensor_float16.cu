// Products of float16 on the tensor cores.
#include "cuda/matmul/tensor_launch.cuh"

namespace ax {
inline namespace AX_ISA {

int32_t multiplyFloat16(const ProductShape& s, const ProductOperands<Float16>& p, const Finish<Float16>& finish) {
  const bool is_aligned = isAligned(s, p);
  // The large tile is for bfloat16 only.
  const Plan plan = planTensorProduct<Float16Product>(s, kTensorTiles, is_aligned ? 2 : 1);
  return runPlan(s, p, finish, plan, [&](Work<Float16>& work) {
    if (!is_aligned) return launchUnaligned<Float16Product>(work);
    return plan.tile == 0 ? launchAligned<Float16Product, SmallTile>(work) : launchAligned<Float16Product, MiddleTile>(work);
  });
}

}  // namespace AX_ISA
}  // namespace ax
