// Operands of any dtype: what is stored is converted to the type that a formula computes in. float32, bfloat16 and float16 are
// computed in float, float64 in double, integers and bool in int64, whose lower bits are those of every narrower integer.
#ifndef AX_COMMON_OPERAND_H_
#define AX_COMMON_OPERAND_H_
#include "common/dtype.h"

namespace ax {
inline namespace AX_ISA {

struct Operand {
  void* data;
  int32_t dtype;
};

// The dtype whose elements are a T.
template <class T> inline constexpr int32_t kDtypeOf = -1;
template <> inline constexpr int32_t kDtypeOf<float> = AX_FLOAT32;
template <> inline constexpr int32_t kDtypeOf<double> = AX_FLOAT64;
template <> inline constexpr int32_t kDtypeOf<BFloat16> = AX_BFLOAT16;
template <> inline constexpr int32_t kDtypeOf<Float16> = AX_FLOAT16;
template <> inline constexpr int32_t kDtypeOf<int32_t> = AX_INT32;
template <> inline constexpr int32_t kDtypeOf<int64_t> = AX_INT64;
template <> inline constexpr int32_t kDtypeOf<uint8_t> = AX_UINT8;
template <> inline constexpr int32_t kDtypeOf<Bool> = AX_BOOL;

// What a dtype is computed in.
inline int32_t computeDtype(int32_t dtype) {
  if (dtype == AX_FLOAT64) return AX_FLOAT64;
  return dtype <= AX_FLOAT16 ? AX_FLOAT32 : AX_INT64;
}

// A number as the type that a formula computes in; integers saturate, so that infinite bounds bound nothing.
template <class C>
C computeValue(double value) {
  return static_cast<C>(value);
}
template <>
inline int64_t computeValue<int64_t>(double value) {
  if (value != value) return 0;
  if (value >= 9223372036854775807.0) return INT64_MAX;
  return value <= -9223372036854775808.0 ? INT64_MIN : static_cast<int64_t>(value);
}

// One element of another dtype. Float to integer truncates; to bool is `!= 0`.
template <class From>
struct Widened {
  AX_HD static From of(From value) { return value; }
};
template <>
struct Widened<BFloat16> {
  AX_HD static float of(BFloat16 value) { return static_cast<float>(value); }
};
template <>
struct Widened<Float16> {
  AX_HD static float of(Float16 value) { return static_cast<float>(value); }
};
template <>
struct Widened<Bool> {
  AX_HD static uint8_t of(Bool value) { return value.value; }
};

template <class To>
struct Narrowed {
  template <class From> AX_HD static To of(From value) { return static_cast<To>(value); }
};
template <>
struct Narrowed<BFloat16> {
  template <class From> AX_HD static BFloat16 of(From value) { return BFloat16(static_cast<float>(value)); }
};
template <>
struct Narrowed<Float16> {
  // By way of float from every type, as PyTorch.
  template <class From> AX_HD static Float16 of(From value) { return static_cast<Float16>(static_cast<float>(value)); }
};
template <>
struct Narrowed<uint8_t> {
  // A negative float wraps as an integer does.
  template <class From> AX_HD static uint8_t of(From value) { return static_cast<uint8_t>(static_cast<int64_t>(value)); }
};
template <>
struct Narrowed<Bool> {
  template <class From> AX_HD static Bool of(From value) { return Bool{static_cast<uint8_t>(value != From(0))}; }
};

template <class To, class From>
AX_HD To converted(From value) {
  return Narrowed<To>::of(Widened<From>::of(value));
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_COMMON_OPERAND_H_
