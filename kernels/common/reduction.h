// Reductions of operands of any dtype, in the backend that is being compiled. Both headers offer:
//
// - reduceElements<F, C>(out, x, walk, scale, beta): out = scale * (F over the reduced dimensions of x) + beta * out, computed in C.
// - argReduceElements<C>(out, x, walk, maximum): the position of the first extreme value in the reduced dimensions.
#ifndef AX_COMMON_REDUCTION_H_
#define AX_COMMON_REDUCTION_H_
#ifdef AX_CUDA
#include "cuda/reduction.cuh"
#else
#include "cpu/reduction.h"
#endif
#endif  // AX_COMMON_REDUCTION_H_
