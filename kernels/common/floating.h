// Choosing an instantiation by a floating dtype.
#ifndef AX_COMMON_FLOATING_H_
#define AX_COMMON_FLOATING_H_
#include "common/dtype.h"
#include "common/status.h"

namespace ax {

inline int32_t unsupportedDtype(const char* what, int32_t dtype) {
  return fail(AX_ERROR_UNSUPPORTED, "%s is not available for %s", what, isDtype(dtype) ? kDtypeNames[dtype] : "an unknown dtype");
}

// The dtype in which results of a floating dtype are kept where they are not tensors of the user: statistics, sums of losses.
inline int32_t computeDtype(int32_t dtype) { return dtype == AX_FLOAT64 ? AX_FLOAT64 : AX_FLOAT32; }

}  // namespace ax

// Returns run<T>(...) for the dtype's type from the function.
#define AX_BY_FLOATING(what, dtype, run, ...)                  \
  switch (dtype) {                                             \
    case AX_FLOAT32: return run<float>(__VA_ARGS__);           \
    case AX_FLOAT64: return run<double>(__VA_ARGS__);          \
    case AX_BFLOAT16: return run<ax::BFloat16>(__VA_ARGS__);   \
    case AX_FLOAT16: return run<ax::Float16>(__VA_ARGS__);     \
  }                                                            \
  return ax::unsupportedDtype(what, dtype)

#endif  // AX_COMMON_FLOATING_H_
