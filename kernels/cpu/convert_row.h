// Rows of 16-bit floats to and from float.
#ifndef AX_CPU_CONVERT_ROW_H_
#define AX_CPU_CONVERT_ROW_H_
#include <stdint.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

#include "common/dtype.h"

namespace ax {
inline namespace AX_ISA {

inline void widenRow(float* out, const BFloat16* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(x[i]);
}

inline void narrowRow(BFloat16* out, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = BFloat16(x[i]);
}

// g++ 12 does not vectorise conversions of _Float16.
inline void widenRow(float* out, const Float16* x, int64_t count) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
  for (; i < count; ++i) out[i] = static_cast<float>(x[i]);
}

inline void narrowRow(Float16* out, const float* x, int64_t count) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
  for (; i < count; ++i) out[i] = static_cast<Float16>(x[i]);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_CONVERT_ROW_H_
