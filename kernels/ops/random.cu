// Counter-based random numbers and dropout; accelerate.h gives the exact mapping from bits to values.
#include "common/backend.h"
#include "common/live.h"
#include "common/operand.h"
#include "common/philox.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// In [0, 1), with as many bits as T has: rounding must not give 1.
template <class T>
AX_HD float unit(uint32_t bits) {
  constexpr int kDropped = kDtypeOf<T> == AX_BFLOAT16 ? 24 : kDtypeOf<T> == AX_FLOAT16 ? 21 : 8;
  return static_cast<float>(bits >> kDropped << (kDropped - 8)) * 0x1p-24f;
}

// One counter block: four elements, fewer at the end.
template <class T, class Value>
struct GenerateBody {
  T* out;
  int64_t count;
  Philox philox;
  uint64_t counter;
  Value value;
  AX_HD void operator()(At<1> at) const {
    uint32_t words[4];
    philox.words(counter + static_cast<uint64_t>(at.v[0]), words);
    for (int lane = 0; lane < 4; ++lane) {
      const int64_t i = 4 * at.v[0] + lane;
      if (i < count) out[i] = value(words, lane, i);
    }
  }
};

template <class T, class Value>
int32_t generate(int32_t dtype, uint32_t out, double out_offset, double count, const RandomKey& key, const Value& value) {
  GenerateBody<T, Value> body{nullptr, static_cast<int64_t>(count), Philox{key.seed_low, key.seed_high}, static_cast<uint64_t>(key.counter),
                              value};
  AX_TRY(at(out, out_offset, count, dtype, &body.out));
  return forEach<1>(static_cast<double>((body.count + 3) / 4), Layout<1>{nullptr, 0}, body);
}

template <class T>
struct Uniform {
  Compute<T> low, width;
  AX_HD T operator()(const uint32_t* words, int lane, int64_t) const {
    return static_cast<T>(low + width * static_cast<Compute<T>>(unit<T>(words[lane])));
  }
};

template <class T>
struct Normal {
  Compute<T> mean, deviation;
  AX_HD T operator()(const uint32_t* words, int lane, int64_t) const {
    const int pair = lane & 2;
    const float u1 = static_cast<float>((words[pair] >> 8) + 1) * 0x1p-24f, u2 = static_cast<float>(words[pair + 1] >> 8) * 0x1p-24f;
    const float radius = sqrtf(-2.0f * logf(u1)), angle = 6.283185307179586f * u2;
    return static_cast<T>(mean + deviation * static_cast<Compute<T>>(radius * (lane & 1 ? sinf(angle) : cosf(angle))));
  }
};

template <class T>
struct Integers {
  int64_t low;
  uint64_t range;
  AX_HD T operator()(const uint32_t* words, int lane, int64_t) const {
    return converted<T>(low + static_cast<int64_t>((words[lane] * range) >> 32));
  }
};

template <class T>
struct Dropped {
  const T* x;
  float p;
  Compute<T> scale;
  AX_HD T operator()(const uint32_t* words, int lane, int64_t i) const {
    const Compute<T> value = unit<float>(words[lane]) >= p ? static_cast<Compute<T>>(x[i]) * scale : Compute<T>(0);
    return static_cast<T>(value);
  }
};

template <class T>
int32_t runDropout(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count, double p,
                   const RandomKey& key) {
  Dropped<T> value{nullptr, static_cast<float>(p), p < 1 ? static_cast<Compute<T>>(1 / (1 - p)) : Compute<T>(0)};
  AX_TRY(at(x, x_offset, count, dtype, &value.x));
  return generate<T>(dtype, out, out_offset, count, key, value);
}

int32_t unsupported(const char* what, int32_t dtype) {
  return fail(AX_ERROR_UNSUPPORTED, "%s is not available for %s", what, isDtype(dtype) ? kDtypeNames[dtype] : "an unknown dtype");
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

// A switch over the floating dtypes.
#define AX_FLOATING(dtype, what, call)                            \
  switch (dtype) {                                                \
    case AX_FLOAT32: { using T = float; return call; }            \
    case AX_FLOAT64: { using T = double; return call; }           \
    case AX_BFLOAT16: { using T = BFloat16; return call; }        \
    case AX_FLOAT16: { using T = Float16; return call; }          \
  }                                                               \
  return unsupported(what, dtype)

int32_t ax_random_uniform(int32_t dtype, uint32_t out, double out_offset, double count, double low, double high,
                          uint32_t seed_low, uint32_t seed_high, double counter) {
  return withRandom({seed_low, seed_high, counter}, [=](const RandomKey& key) {
    AX_FLOATING(dtype, "random_uniform", (generate<T>(dtype, out, out_offset, count, key,
                                                      Uniform<T>{static_cast<Compute<T>>(low), static_cast<Compute<T>>(high - low)})));
  });
}

int32_t ax_random_normal(int32_t dtype, uint32_t out, double out_offset, double count, double mean, double deviation,
                         uint32_t seed_low, uint32_t seed_high, double counter) {
  return withRandom({seed_low, seed_high, counter}, [=](const RandomKey& key) {
    AX_FLOATING(dtype, "random_normal", (generate<T>(dtype, out, out_offset, count, key,
                                                     Normal<T>{static_cast<Compute<T>>(mean), static_cast<Compute<T>>(deviation)})));
  });
}

int32_t ax_random_integers(int32_t dtype, uint32_t out, double out_offset, double count, double low, double high,
                           uint32_t seed_low, uint32_t seed_high, double counter) {
  if (!(high > low) || high - low > 4294967296.0) {
    return fail(AX_ERROR_ARGUMENT, "the range of random integers must hold 1 to 2^32 values, got [%.0f, %.0f)", low, high);
  }
  const int64_t base = static_cast<int64_t>(low);
  const uint64_t range = static_cast<uint64_t>(high - low);
  return withRandom({seed_low, seed_high, counter}, [=](const RandomKey& key) {
    switch (dtype) {
      case AX_INT32: return generate<int32_t>(dtype, out, out_offset, count, key, Integers<int32_t>{base, range});
      case AX_INT64: return generate<int64_t>(dtype, out, out_offset, count, key, Integers<int64_t>{base, range});
      case AX_UINT8: return generate<uint8_t>(dtype, out, out_offset, count, key, Integers<uint8_t>{base, range});
      case AX_BOOL: return generate<Bool>(dtype, out, out_offset, count, key, Integers<Bool>{base, range});
    }
    AX_FLOATING(dtype, "random_integers", (generate<T>(dtype, out, out_offset, count, key, Integers<T>{base, range})));
  });
}

int32_t ax_dropout(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count, double p,
                   uint32_t seed_low, uint32_t seed_high, double counter) {
  if (!(p >= 0 && p <= 1)) return fail(AX_ERROR_ARGUMENT, "p must be in [0, 1], got %g", p);
  return withRandom({seed_low, seed_high, counter}, [=](const RandomKey& key) {
    AX_FLOATING(dtype, "dropout", (runDropout<T>(dtype, out, out_offset, x, x_offset, count, p, key)));
  });
}
#undef AX_FLOATING
