// Counter-based random numbers and dropout; accelerate.h gives the exact mapping from bits to values.
#include "common/philox.h"
#include "cpu/backend.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
T unit(uint32_t bits) {
  return static_cast<T>(static_cast<float>(bits >> 8) * 0x1p-24f);
}

// Calls value(i, words, lane) for every element.
template <class Each>
void forEachWord(int64_t count, Philox philox, double counter, const Each& each) {
  uint32_t words[4];
  const uint64_t first = static_cast<uint64_t>(counter);
  for (int64_t i = 0; i < count; ++i) {
    if (i % 4 == 0) philox.words(first + static_cast<uint64_t>(i / 4), words);
    each(i, words, static_cast<int>(i % 4));
  }
}

template <class T, class Value>
int32_t generate(int32_t dtype, uint32_t out, double out_offset, double count, uint32_t seed_low, uint32_t seed_high,
                 double counter, const Value& value) {
  T* to;
  AX_TRY(resolve(out, out_offset, count, dtype, reinterpret_cast<void**>(&to)));
  forEachWord(static_cast<int64_t>(count), Philox{seed_low, seed_high}, counter,
              [&](int64_t i, const uint32_t* words, int lane) { to[i] = value(words, lane); });
  return AX_OK;
}

template <class T>
T normal(const uint32_t* words, int lane, double mean, double deviation) {
  const int pair = lane & 2;
  const float u1 = static_cast<float>((words[pair] >> 8) + 1) * 0x1p-24f, u2 = static_cast<float>(words[pair + 1] >> 8) * 0x1p-24f;
  const float radius = sqrtf(-2.0f * logf(u1)), angle = 6.283185307179586f * u2;
  return static_cast<T>(mean) + static_cast<T>(deviation) * static_cast<T>(radius * (lane & 1 ? sinf(angle) : cosf(angle)));
}

template <class T>
int32_t runDropout(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count, double p,
                   Philox philox, double counter) {
  T *to, *from;
  AX_TRY(resolve(out, out_offset, count, dtype, reinterpret_cast<void**>(&to)));
  AX_TRY(resolve(x, x_offset, count, dtype, reinterpret_cast<void**>(&from)));
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  const float threshold = static_cast<float>(p);
  forEachWord(static_cast<int64_t>(count), philox, counter, [&](int64_t i, const uint32_t* words, int lane) {
    to[i] = unit<float>(words[lane]) >= threshold ? from[i] * scale : T(0);
  });
  return AX_OK;
}

int32_t unsupported(const char* what, int32_t dtype) {
  return fail(AX_ERROR_UNSUPPORTED, "%s is not available for %s", what, isDtype(dtype) ? kDtypeNames[dtype] : "an unknown dtype");
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_random_uniform(int32_t dtype, uint32_t out, double out_offset, double count, double low, double high,
                          uint32_t seed_low, uint32_t seed_high, double counter) {
  if (dtype == AX_FLOAT32) {
    const float a = static_cast<float>(low), b = static_cast<float>(high - low);
    return generate<float>(dtype, out, out_offset, count, seed_low, seed_high, counter,
                           [=](const uint32_t* words, int lane) { return a + b * unit<float>(words[lane]); });
  }
  if (dtype == AX_FLOAT64) {
    return generate<double>(dtype, out, out_offset, count, seed_low, seed_high, counter,
                            [=](const uint32_t* words, int lane) { return low + (high - low) * unit<double>(words[lane]); });
  }
  return unsupported("random_uniform", dtype);
}

int32_t ax_random_normal(int32_t dtype, uint32_t out, double out_offset, double count, double mean, double deviation,
                         uint32_t seed_low, uint32_t seed_high, double counter) {
  if (dtype == AX_FLOAT32) {
    return generate<float>(dtype, out, out_offset, count, seed_low, seed_high, counter,
                           [=](const uint32_t* words, int lane) { return normal<float>(words, lane, mean, deviation); });
  }
  if (dtype == AX_FLOAT64) {
    return generate<double>(dtype, out, out_offset, count, seed_low, seed_high, counter,
                            [=](const uint32_t* words, int lane) { return normal<double>(words, lane, mean, deviation); });
  }
  return unsupported("random_normal", dtype);
}

int32_t ax_random_integers(int32_t dtype, uint32_t out, double out_offset, double count, double low, double high,
                           uint32_t seed_low, uint32_t seed_high, double counter) {
  if (!(high > low) || high - low > 4294967296.0) {
    return fail(AX_ERROR_ARGUMENT, "the range of random integers must hold 1 to 2^32 values, got [%.0f, %.0f)", low, high);
  }
  const uint64_t range = static_cast<uint64_t>(high - low);
  const int64_t base = static_cast<int64_t>(low);
  const auto value = [=](const uint32_t* words, int lane) { return base + static_cast<int64_t>((words[lane] * range) >> 32); };
  switch (dtype) {
    case AX_INT32: return generate<int32_t>(dtype, out, out_offset, count, seed_low, seed_high, counter, [=](const uint32_t* w, int l) { return static_cast<int32_t>(value(w, l)); });
    case AX_INT64: return generate<int64_t>(dtype, out, out_offset, count, seed_low, seed_high, counter, value);
    case AX_UINT8: return generate<uint8_t>(dtype, out, out_offset, count, seed_low, seed_high, counter, [=](const uint32_t* w, int l) { return static_cast<uint8_t>(value(w, l)); });
    case AX_FLOAT32: return generate<float>(dtype, out, out_offset, count, seed_low, seed_high, counter, [=](const uint32_t* w, int l) { return static_cast<float>(value(w, l)); });
    case AX_FLOAT64: return generate<double>(dtype, out, out_offset, count, seed_low, seed_high, counter, [=](const uint32_t* w, int l) { return static_cast<double>(value(w, l)); });
  }
  return unsupported("random_integers", dtype);
}

int32_t ax_dropout(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count, double p,
                   uint32_t seed_low, uint32_t seed_high, double counter) {
  if (!(p >= 0 && p <= 1)) return fail(AX_ERROR_ARGUMENT, "p must be in [0, 1], got %g", p);
  const Philox philox{seed_low, seed_high};
  if (dtype == AX_FLOAT32) return runDropout<float>(dtype, out, out_offset, x, x_offset, count, p, philox, counter);
  if (dtype == AX_FLOAT64) return runDropout<double>(dtype, out, out_offset, x, x_offset, count, p, philox, counter);
  return unsupported("dropout", dtype);
}
