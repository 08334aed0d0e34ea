// Elementwise work over operands of any dtype and layout, in the backend that is being compiled. Both headers offer:
//
// - mapElements<Out, In...>(operands, count, layout, body): out = body(in...) for every element. `operands` holds the output, then
//   the inputs; `body` computes in the types Out and In, and an operand that is stored as another dtype is converted.
// - copyElements(out, x, count, layout): out = x, converted.
#ifndef AX_COMMON_MAP_H_
#define AX_COMMON_MAP_H_
#ifdef AX_CUDA
#include "cuda/map.cuh"
#else
#include "cpu/map.h"
#endif
#endif  // AX_COMMON_MAP_H_
