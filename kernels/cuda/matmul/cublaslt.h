// cuBLASLt, where it is installed: the peer of benchmarks, and an oracle for tests on GPUs. Nothing else needs it.
#ifndef AX_CUDA_MATMUL_CUBLASLT_H_
#define AX_CUDA_MATMUL_CUBLASLT_H_
#include <stdint.h>

#include "common/product.h"

namespace ax {

// Addresses and dtypes of one product, all row-major as in accelerate.h: out = alpha a b + beta out.
struct CublasLtProduct {
  ProductShape s;
  const void *a, *b;
  void* out;  // null: to memory for partial results
  int32_t dtype, out_dtype;  // AX_*
  double alpha, beta;
};

// What ACCELERATE_MATMUL says: own kernels (own, the default) or cuBLASLt's (cublaslt).
int32_t chooseLibrary(bool* by_cublaslt);

// Enqueues a product; where `out` is null, asks scratch() for `out_bytes` and sets it. Fails with a sentence where the library is not installed.
// ACCELERATE_CUBLASLT_LIBRARY names its file.
int32_t enqueueByCublasLt(CublasLtProduct* product, size_t out_bytes = 0);

}  // namespace ax

#endif  // AX_CUDA_MATMUL_CUBLASLT_H_
