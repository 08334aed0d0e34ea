// Products of float16 on the tensor cores.
#include "cuda/matmul/tensor_launch.cuh"

namespace ax {
inline namespace AX_ISA {

int32_t multiplyFloat16(const ProductShape& s, const ProductOperands<Float16Product::Storage>& p, const Finish<Float16Product::Storage>& finish) {
  // Two transposed operands are rare: the small tile only. The large one is for bfloat16.
  const int32_t tiles = s.transpose_a != 0 && s.transpose_b != 0 ? 1 : 2;
  return tensorProduct<Float16Product>(s, p, finish, kTensorTiles, tiles, [](const Plan& plan, Work<Float16>& work) {
    return plan.tile == 0 ? launchAligned<Float16Product, SmallTile, true>(work) : launchAligned<Float16Product, MiddleTile, false>(work);
  });
}

}  // namespace AX_ISA
}  // namespace ax
