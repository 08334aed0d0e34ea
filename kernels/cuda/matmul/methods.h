// The kinds of matrix product, one file each, and what they need to know of the GPU.
#ifndef AX_CUDA_MATMUL_METHODS_H_
#define AX_CUDA_MATMUL_METHODS_H_
#include "cuda/matmul/finish.cuh"

namespace ax {
inline namespace AX_ISA {

int32_t multiplyFloat32(const ProductShape& s, const ProductOperands<float>& p, const Finish<float>& finish);
int32_t multiplyTf32(const ProductShape& s, const ProductOperands<float>& p, const Finish<float>& finish);
int32_t multiplyFloat64(const ProductShape& s, const ProductOperands<double>& p, const Finish<double>& finish);
int32_t multiplyBFloat16(const ProductShape& s, const ProductOperands<BFloat16>& p, const Finish<BFloat16>& finish);
int32_t multiplyFloat16(const ProductShape& s, const ProductOperands<Float16>& p, const Finish<Float16>& finish);

// Of the current GPU.
int32_t multiprocessors();

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_METHODS_H_
