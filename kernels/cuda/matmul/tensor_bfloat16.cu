// Products of bfloat16 on the tensor cores.
#include "cuda/matmul/tensor_launch.cuh"

namespace ax {
inline namespace AX_ISA {

int32_t multiplyBFloat16(const ProductShape& s, const ProductOperands<BFloat16Product::Storage>& p, const Finish<BFloat16Product::Storage>& finish) {
  // Two transposed operands are rare: the small tile only.
  const int32_t tiles = s.transpose_a != 0 && s.transpose_b != 0 ? 1 : 3;
  return tensorProduct<BFloat16Product>(s, p, finish, kTensorTiles, tiles, [](const Plan& plan, Work<BFloat16>& work) {
    switch (plan.tile) {
      case 0: return launchAligned<BFloat16Product, SmallTile, true>(work);
      case 1: return launchAligned<BFloat16Product, MiddleTile, false>(work);
      default: return launchAligned<BFloat16Product, LargeTile, false>(work);
    }
  });
}

}  // namespace AX_ISA
}  // namespace ax
