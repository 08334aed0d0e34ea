// Contiguous conversions between all dtypes.
#include <immintrin.h>
#include <string.h>

#include "common/operand.h"
#include "cpu/tile.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class To, class From>
void convert(void* out, const void* x, int64_t count) {
  To* to = static_cast<To*>(out);
  const From* from = static_cast<const From*>(x);
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) to[i] = converted<To>(from[i]);
}

#ifdef __F16C__
// The compiler does not vectorise these.
template <>
void convert<float, Float16>(void* out, const void* x, int64_t count) {
  float* to = static_cast<float*>(out);
  const Float16* from = static_cast<const Float16*>(x);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
  for (; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

template <>
void convert<Float16, float>(void* out, const void* x, int64_t count) {
  Float16* to = static_cast<Float16*>(out);
  const float* from = static_cast<const float*>(x);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
  }
  for (; i < count; ++i) to[i] = static_cast<Float16>(from[i]);
}
#endif

using Convert = void (*)(void*, const void*, int64_t);

// In the order of the dtypes' ids.
template <class To>
struct ConvertTo {
  static constexpr Convert from[8] = {convert<To, float>,   convert<To, double>,  convert<To, BFloat16>, convert<To, Float16>,
                                      convert<To, int32_t>, convert<To, int64_t>, convert<To, uint8_t>,  convert<To, Bool>};
};

constexpr const Convert* kConvert[8] = {ConvertTo<float>::from,   ConvertTo<double>::from,  ConvertTo<BFloat16>::from,
                                        ConvertTo<Float16>::from, ConvertTo<int32_t>::from, ConvertTo<int64_t>::from,
                                        ConvertTo<uint8_t>::from, ConvertTo<Bool>::from};

}  // namespace

void convertBlock(void* out, int32_t out_dtype, const void* x, int32_t x_dtype, int64_t count) {
  if (out_dtype == x_dtype) memcpy(out, x, static_cast<size_t>(count) * kDtypeBytes[x_dtype]);
  else kConvert[out_dtype][x_dtype](out, x, count);
}

}  // namespace AX_ISA
}  // namespace ax
