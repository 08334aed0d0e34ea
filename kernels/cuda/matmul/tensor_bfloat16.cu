// Products of bfloat16 on the tensor cores.
#include "cuda/matmul/tensor_launch.cuh"

namespace ax {
inline namespace AX_ISA {

int32_t multiplyBFloat16(const ProductShape& s, const ProductOperands<BFloat16>& p, const Finish<BFloat16>& finish) {
  const bool is_aligned = isAligned(s, p);
  const Plan plan = planTensorProduct<BFloat16Product>(s, kTensorTiles, is_aligned ? 3 : 1);
  return runPlan(s, p, finish, plan, [&](Work<BFloat16>& work) {
    if (!is_aligned) return launchUnaligned<BFloat16Product>(work);
    switch (plan.tile) {
      case 0: return launchAligned<BFloat16Product, SmallTile>(work);
      case 1: return launchAligned<BFloat16Product, MiddleTile>(work);
      default: return launchAligned<BFloat16Product, LargeTile>(work);
    }
  });
}

}  // namespace AX_ISA
}  // namespace ax
