// Exponential and related functions in float, for host and device, to about 2 units in the last place (ulp).
//
// On the CPU they are straight-line code: selections instead of branches, no calls, no table. So g++ vectorises every loop that uses
// them, at each instruction-set level and without fast-math. On a GPU, and in double, all but normal() are the library's functions.
//
// kernels/dev/special/fit.py finds the polynomials (minimax, Remez exchange in 60 digits). Measured by kernels/dev/special/measure.cc
// against the C library's functions in double, over every third float; largest error in ulp with FMA / without:
//   exp 0.89 / 1.17, expm1 1.44 / 1.50, log 0.83 / 0.84, log1p 1.38 / 1.38, tanh 1.47 / 1.56, erf 1.50 / 1.68, sigmoid 2.41 / 2.41.
// Denormal arguments and results, zeros with their sign, infinities and NaN are exact.
#ifndef AX_COMMON_SPECIAL_H_
#define AX_COMMON_SPECIAL_H_
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "common/hd.h"

namespace ax {
#ifdef AX_ISA
inline namespace AX_ISA {
#endif
namespace special {

#define AX_LIBRARY_FUNCTION(name) \
  AX_HD double name(double x) { return ::name(x); }
AX_LIBRARY_FUNCTION(exp)
AX_LIBRARY_FUNCTION(expm1)
AX_LIBRARY_FUNCTION(log)
AX_LIBRARY_FUNCTION(log1p)
AX_LIBRARY_FUNCTION(tanh)
AX_LIBRARY_FUNCTION(erf)
#undef AX_LIBRARY_FUNCTION

// exp(x) for x <= 0.
AX_HD double expNonPositive(double x) { return ::exp(x); }

// The distribution function of the standard normal distribution, and its density.
AX_HD double normal(double x, double* density) {
  *density = 0.39894228040143267794 * ::exp(-0.5 * x * x);
  return 0.5 * ::erfc(x * -0.70710678118654752440);
}

AX_HD int32_t bitsOf(float value) {
  int32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

AX_HD float floatOf(int32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// c0 + x (c1 + x (c2 + ...)).
AX_HD float polynomial(float, float c0) { return c0; }
template <class... Rest>
AX_HD float polynomial(float x, float c0, Rest... rest) {
  return c0 + x * polynomial(x, rest...);
}

// A float that is added to round another to an integer: its last bit counts ones.
constexpr float kRounder = 0x1.8p23f;
constexpr float kLog2E = 0x1.715476p+0f;
// ln 2 in two parts; the first has 15 bits, so that its products with exponents are exact.
constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;

// 2^k for k in [-126, 127], and 0 for -127.
AX_HD float powerOf2(int32_t k) { return floatOf(static_cast<int32_t>(static_cast<uint32_t>(k + 127) << 23)); }

// x = n ln 2 + r with |r| <= ln 2 / 2. Returns r.
AX_HD float reduceByLn2(float x, float n) { return (x - n * kLn2High) - n * kLn2Low; }

// exp(r) for |r| <= ln 2 / 2.
AX_HD float expOfRest(float r) {
  return polynomial(r, 1.0f, 1.0f, 0x1.fffffcp-2f, 0x1.55548ap-3f, 0x1.555916p-5f, 0x1.123fc6p-7f, 0x1.6a1a7p-10f);
}

// 2^kShift exp(x) for lowest <= x <= 0; below, the value at `lowest`. 2^(n + kShift) must be normal, or 0 by n + kShift = -127: its
// biased exponent is what the rounder adds.
template <int kShift>
AX_HD float scaledExp(float x, float lowest) {
  constexpr float rounder = kRounder + 127 + kShift;
  const float bounded = x < lowest ? lowest : x;
  const float rounded = bounded * kLog2E + rounder;
  const float scale = floatOf(static_cast<int32_t>(static_cast<uint32_t>(bitsOf(rounded)) << 23));
  return expOfRest(reduceByLn2(bounded, rounded - rounder)) * scale;
}

// erfc(t) / exp(-t^2) for t >= 0, where u = 1 / (1 + kBend t).
constexpr float kBend = 0.42f;
AX_HD float scaledErfc(float u) {
  return u * polynomial(u, 0x1.e4e554p-3f, 0x1.ec91aap-3f, 0x1.82e45ep-3f, 0x1.26ba6ep-2f, -0x1.54620ep-3f, 0x1.ea71e8p-2f,
                        -0x1.5e66fap-2f, 0x1.34f7fap-4f);
}

// Where the density is below the smallest normal number it is 0, and the distribution 0 or 1.
AX_HD float normal(float x, float* density) {
  const float e = scaledExp<0>(-0.5f * x * x, -88.0f);
  // The probability beyond |x|, also where 1 - it is 1.
  const float tail = 0.5f * e * scaledErfc(1.0f / (1.0f + kBend * 0.707106781f * fabsf(x)));
  *density = 0.398942280f * e;
  return x < 0.0f ? tail : 1.0f - tail;
}

#ifdef AX_CUDA

AX_HD float exp(float x) { return ::expf(x); }
AX_HD float expm1(float x) { return ::expm1f(x); }
AX_HD float log(float x) { return ::logf(x); }
AX_HD float log1p(float x) { return ::log1pf(x); }
AX_HD float tanh(float x) { return ::tanhf(x); }
AX_HD float erf(float x) { return ::erff(x); }
AX_HD float expNonPositive(float x) { return ::expf(x); }

#else

AX_HD float exp(float x) {
  float bounded = x > 89.0f ? 89.0f : x;
  bounded = bounded < -105.0f ? -105.0f : bounded;
  const float rounded = bounded * kLog2E + kRounder;
  const int32_t n = bitsOf(rounded) - bitsOf(kRounder);
  const int32_t half = n >> 1;  // 2^n leaves the range of float where the result does not, so it comes in two factors
  return expOfRest(reduceByLn2(bounded, rounded - kRounder)) * powerOf2(half) * powerOf2(n - half);
}

AX_HD float expNonPositive(float x) { return scaledExp<64>(x, -105.0f) * 0x1p-64f; }

AX_HD float expm1(float x) {
  float bounded = x > 89.0f ? 89.0f : x;
  bounded = bounded < -18.0f ? -18.0f : bounded;
  const float rounded = bounded * kLog2E + kRounder;
  const float n = rounded - kRounder;
  const float r = reduceByLn2(bounded, n);
  const float rest = r + r * r * polynomial(r, 0.5f, 0x1.555556p-3f, 0x1.5554a8p-5f, 0x1.11108ap-7f, 0x1.6d7b7cp-10f, 0x1.a1a92ep-13f);
  const float half = powerOf2(bitsOf(rounded) - bitsOf(kRounder) - 1);  // 2^n / 2 is finite for each n
  const float far = 2.0f * (half * rest + (half - 0.5f));
  const float result = n == 0.0f ? rest : far;
  return fabsf(x) < 0x1p-26f ? x : result;
}

// log(1 + f) + e ln 2 for 1 + f in [sqrt(1/2), sqrt(2)].
AX_HD float logOfParts(float f, float e) {
  const float s = f * f;
  const float rest = polynomial(f, 0x1.555548p-2f, -0x1.000006p-2f, 0x1.99a4b6p-3f, -0x1.555c4ep-3f, 0x1.233768p-3f, -0x1.fc2208p-4f,
                                0x1.e6f06ap-4f, -0x1.de3c12p-4f, 0x1.1457a4p-4f);
  const float small = (s * f * rest + e * kLn2Low) - 0.5f * s;
  return (f + small) + e * kLn2High;
}

// x = 2^e m with m in [sqrt(1/2), sqrt(2)), for normal positive x. Returns e.
AX_HD int32_t exponentOf(float x) { return (bitsOf(x) - bitsOf(0x1.6a09e6p-1f)) >> 23; }
AX_HD float mantissaOf(float x, int32_t e) { return floatOf(bitsOf(x) - static_cast<int32_t>(static_cast<uint32_t>(e) << 23)); }

// What a logarithm is where its argument is not positive and finite.
AX_HD float logOrLimit(float argument, float result) {
  result = argument < INFINITY ? result : argument;
  result = argument < 0.0f ? NAN : result;
  return argument == 0.0f ? -INFINITY : result;
}

AX_HD float log(float x) {
  const bool denormal = x < 0x1p-126f;
  const float scaled = denormal ? x * 0x1p25f : x;
  const int32_t e = exponentOf(scaled);
  return logOrLimit(x, logOfParts(mantissaOf(scaled, e) - 1.0f, static_cast<float>(e) - (denormal ? 25.0f : 0.0f)));
}

AX_HD float log1p(float x) {
  const float sum = 1.0f + x;
  const float added = sum - 1.0f;
  const float lost = (1.0f - (sum - added)) + (x - added);  // 1 + x = sum + lost exactly
  const int32_t e = exponentOf(sum);
  // Above 2^126 what was lost is less than a millionth of a unit in the last place.
  const float f = (mantissaOf(sum, e) - 1.0f) + lost * powerOf2(e > 126 ? -127 : -e);
  const float result = logOrLimit(sum, logOfParts(f, static_cast<float>(e)));
  return fabsf(x) < 0x1p-26f ? x : result;
}

AX_HD float tanh(float x) {
  const float a = fabsf(x), s = x * x;
  const float near = a + a * (s * polynomial(s, -0x1.555548p-2f, 0x1.110c8cp-3f, -0x1.b90d16p-5f, 0x1.584c46p-6f, -0x1.959426p-8f));
  const float e = expNonPositive(-2.0f * a);
  const float far = 1.0f - 2.0f * e / (1.0f + e);
  return copysignf(a < 0.5625f ? near : far, x);
}

AX_HD float erf(float x) {
  const float a = fabsf(x), s = x * x;
  const float near = a + a * polynomial(s, 0x1.06eba8p-3f, -0x1.812744p-2f, 0x1.ce2e3p-4f, -0x1.b811c2p-6f, 0x1.54e652p-8f, -0x1.ab48ep-11f,
                                        0x1.603acp-14f);
  const float far = 1.0f - scaledExp<0>(-s, -88.0f) * scaledErfc(1.0f / (1.0f + kBend * a));
  return copysignf(a < 0.921875f ? near : far, x);
}

#endif  // AX_CUDA

// 1 / (1 + exp(-x)), without overflow.
template <class T>
AX_HD T sigmoid(T x) {
  const T e = expNonPositive(x < T(0) ? x : -x);
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

}  // namespace special
#ifdef AX_ISA
}  // inline namespace
#endif
}  // namespace ax

#endif  // AX_COMMON_SPECIAL_H_
