// The formulas of the elementwise operations, for host and device, templated on the type they compute in.
//
// A list line is X(name, Functor). Ids count from 0 in the order of a list; tools/gen_symbols.ts makes ffi/op_ids.ts from them.
#ifndef AX_COMMON_MATH_H_
#define AX_COMMON_MATH_H_
#include <math.h>
#include <stdint.h>

#include "common/hd.h"
#include "common/special.h"

// Exact operations are compiled for all types; floating ones for float and double; integer ones for int64 only, in which all
// integers and bool are computed.
#define AX_EXACT_UNARY_OPS(X) \
  X(neg, Neg)                 \
  X(abs, Abs)                 \
  X(sign, Sign)               \
  X(square, Square)           \
  X(add_scalar, AddScalar)    \
  X(mul_scalar, MulScalar)    \
  X(rsub_scalar, RsubScalar)  \
  X(clamp, Clamp)             \
  X(relu, Relu)               \
  X(pow_scalar, PowScalar)
#define AX_FLOATING_UNARY_OPS(X) \
  X(reciprocal, Reciprocal)      \
  X(exp, Exp)                    \
  X(expm1, Expm1)                \
  X(log, Log)                    \
  X(log1p, Log1p)                \
  X(sqrt, Sqrt)                  \
  X(rsqrt, Rsqrt)                \
  X(sin, Sin)                    \
  X(cos, Cos)                    \
  X(tanh, Tanh)                  \
  X(sigmoid, Sigmoid)            \
  X(gelu, Gelu)                  \
  X(gelu_tanh, GeluTanh)         \
  X(silu, Silu)                  \
  X(erf, Erf)                    \
  X(floor, Floor)                \
  X(ceil, Ceil)                  \
  X(round, Round)                \
  X(div_scalar, DivScalar)       \
  X(rdiv_scalar, RdivScalar)     \
  X(exp2, Exp2)                  \
  X(log2, Log2)                  \
  X(log10, Log10)                \
  X(tan, Tan)                    \
  X(asin, Asin)                  \
  X(acos, Acos)                  \
  X(atan, Atan)                  \
  X(sinh, Sinh)                  \
  X(cosh, Cosh)                  \
  X(trunc, Trunc)
#define AX_INTEGER_UNARY_OPS(X) X(bitwise_not, BitwiseNot)
#define AX_UNARY_OPS(X) AX_EXACT_UNARY_OPS(X) AX_FLOATING_UNARY_OPS(X) AX_INTEGER_UNARY_OPS(X)

#define AX_EXACT_BINARY_OPS(X) \
  X(add, Add)                  \
  X(sub, Sub)                  \
  X(mul, Mul)                  \
  X(maximum, Maximum)          \
  X(minimum, Minimum)          \
  X(pow, Pow)                  \
  X(floor_div, FloorDiv)       \
  X(trunc_div, TruncDiv)       \
  X(remainder, Remainder)      \
  X(fmod, Fmod)
#define AX_FLOATING_BINARY_OPS(X)     \
  X(div, Div)                         \
  X(atan2, Atan2)                     \
  X(relu_grad, ReluGrad)              \
  X(abs_grad, AbsGrad)                \
  X(tanh_grad, TanhGrad)              \
  X(sigmoid_grad, SigmoidGrad)        \
  X(gelu_grad, GeluGrad)              \
  X(gelu_tanh_grad, GeluTanhGrad)     \
  X(silu_grad, SiluGrad)              \
  X(clamp_grad, ClampGrad)            \
  X(sqrt_grad, SqrtGrad)              \
  X(pow_scalar_grad, PowScalarGrad)
#define AX_INTEGER_BINARY_OPS(X) \
  X(bitwise_and, BitwiseAnd)     \
  X(bitwise_or, BitwiseOr)       \
  X(bitwise_xor, BitwiseXor)     \
  X(shift_left, ShiftLeft)       \
  X(shift_right, ShiftRight)
#define AX_BINARY_OPS(X) AX_EXACT_BINARY_OPS(X) AX_FLOATING_BINARY_OPS(X) AX_INTEGER_BINARY_OPS(X)

#define AX_COMPARE_OPS(X) \
  X(eq, Eq)               \
  X(ne, Ne)               \
  X(lt, Lt)               \
  X(le, Le)               \
  X(gt, Gt)               \
  X(ge, Ge)               \
  X(logical_and, And)     \
  X(logical_or, Or)       \
  X(logical_xor, Xor)

#define AX_REDUCE_OPS(X)      \
  X(sum, Sum)                 \
  X(max, Max)                 \
  X(min, Min)                 \
  X(prod, Prod)               \
  X(sum_abs, SumAbs)          \
  X(sum_squares, SumSquares)  \
  X(any, Any)                 \
  X(all, All)

namespace ax {
#ifdef AX_ISA
inline namespace AX_ISA {
#endif
namespace maths {

// What differs between floating types and integers. Integer division by zero gives 0: callers refuse it.
template <class T>
AX_HD T power(T base, T exponent) {
  return pow(base, exponent);
}
template <>
AX_HD int64_t power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
  uint64_t result = 1, factor = static_cast<uint64_t>(base);
  for (; exponent > 0; exponent >>= 1, factor *= factor) result *= exponent & 1 ? factor : 1;
  return static_cast<int64_t>(result);
}
template <class T>
AX_HD T truncatedRemainder(T a, T b) {
  return fmod(a, b);
}
template <>
AX_HD int64_t truncatedRemainder(int64_t a, int64_t b) {
  return b == 0 || b == -1 ? 0 : a % b;
}
template <class T>
AX_HD T truncatedQuotient(T a, T b) {
  return trunc(a / b);
}
template <>
AX_HD int64_t truncatedQuotient(int64_t a, int64_t b) {
  return b == 0 ? 0 : b == -1 ? static_cast<int64_t>(0 - static_cast<uint64_t>(a)) : a / b;
}
// Rounded down; of floats as Python and PyTorch compute it, by way of the remainder, which is exact.
template <class T>
AX_HD T floorQuotient(T a, T b) {
  if (b == T(0)) return a / b;
  const T rest = fmod(a, b);
  T quotient = (a - rest) / b;
  if (rest != T(0) && (b < T(0)) != (rest < T(0))) quotient -= T(1);
  if (quotient == T(0)) return copysign(T(0), a / b);
  const T whole = floor(quotient);
  return quotient - whole > T(0.5) ? whole + T(1) : whole;
}
template <>
AX_HD int64_t floorQuotient(int64_t a, int64_t b) {
  const int64_t quotient = truncatedQuotient(a, b);
  return truncatedRemainder(a, b) != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

// Unary: value, alpha, beta.
#define AX_UNARY(Name, expression)                                              \
  struct Name {                                                                 \
    template <class T>                                                          \
    AX_HD static T apply(T x, [[maybe_unused]] T alpha, [[maybe_unused]] T beta) { \
      return expression;                                                        \
    }                                                                           \
  };
AX_UNARY(Neg, T(-x))
AX_UNARY(Abs, x < T(0) ? T(-x) : (x == T(0) ? T(0) : x))
AX_UNARY(Sign, T((x > T(0)) - (x < T(0))))
AX_UNARY(Square, T(x * x))
AX_UNARY(AddScalar, T(x + alpha))
AX_UNARY(MulScalar, T(x * alpha))
AX_UNARY(RsubScalar, T(alpha - x))
AX_UNARY(Clamp, x < alpha ? alpha : (x > beta ? beta : x))
AX_UNARY(Relu, x < T(0) ? T(0) : x)
AX_UNARY(Reciprocal, T(1) / x)
AX_UNARY(Exp, special::exp(x))
AX_UNARY(Expm1, special::expm1(x))
AX_UNARY(Log, special::log(x))
AX_UNARY(Log1p, special::log1p(x))
AX_UNARY(Sqrt, sqrt(x))
AX_UNARY(Rsqrt, T(1) / sqrt(x))
AX_UNARY(Sin, sin(x))
AX_UNARY(Cos, cos(x))
AX_UNARY(Tanh, special::tanh(x))
AX_UNARY(Sigmoid, special::sigmoid(x))
struct Gelu {
  template <class T>
  AX_HD static T apply(T x, T, T) {
    T density;
    return x * special::normal(x, &density);
  }
};
// (1 + tanh(y)) / 2 is the sigmoid of 2 y, which keeps its digits where tanh(y) is near -1.
AX_UNARY(GeluTanh, x * special::sigmoid(T(1.5957691216057307118) * (x + T(0.044715) * x * x * x)))
AX_UNARY(Silu, x * Sigmoid::apply(x, alpha, beta))
AX_UNARY(Erf, special::erf(x))
AX_UNARY(Floor, floor(x))
AX_UNARY(Ceil, ceil(x))
AX_UNARY(Round, rint(x))
AX_UNARY(DivScalar, x / alpha)
AX_UNARY(RdivScalar, alpha / x)
AX_UNARY(PowScalar, alpha == T(2) ? T(x * x) : power(x, alpha))
AX_UNARY(Exp2, exp2(x))
AX_UNARY(Log2, log2(x))
AX_UNARY(Log10, log10(x))
AX_UNARY(Tan, tan(x))
AX_UNARY(Asin, asin(x))
AX_UNARY(Acos, acos(x))
AX_UNARY(Atan, atan(x))
AX_UNARY(Sinh, sinh(x))
AX_UNARY(Cosh, cosh(x))
AX_UNARY(Trunc, trunc(x))
AX_UNARY(BitwiseNot, ~x)
#undef AX_UNARY

// Binary: two values, alpha, beta. Gradients take the gradient of the output first.
#define AX_BINARY(Name, expression)                                                   \
  struct Name {                                                                       \
    template <class T>                                                                \
    AX_HD static T apply(T a, T b, [[maybe_unused]] T alpha, [[maybe_unused]] T beta) { \
      return expression;                                                              \
    }                                                                                 \
  };
AX_BINARY(Add, T(a + alpha * b))
AX_BINARY(Sub, T(a - alpha * b))
AX_BINARY(Mul, T(a * b))
AX_BINARY(Maximum, a > b || a != a ? a : b)
AX_BINARY(Minimum, a < b || a != a ? a : b)
AX_BINARY(Div, a / b)
AX_BINARY(Pow, power(a, b))
AX_BINARY(FloorDiv, floorQuotient(a, b))
AX_BINARY(TruncDiv, truncatedQuotient(a, b))
AX_BINARY(Fmod, truncatedRemainder(a, b))
// The remainder has the sign of the divisor.
struct Remainder {
  template <class T>
  AX_HD static T apply(T a, T b, T, T) {
    const T rest = truncatedRemainder(a, b);
    return rest != T(0) && (b < T(0)) != (rest < T(0)) ? T(rest + b) : rest;
  }
};
AX_BINARY(Atan2, atan2(a, b))
AX_BINARY(BitwiseAnd, a & b)
AX_BINARY(BitwiseOr, a | b)
AX_BINARY(BitwiseXor, a ^ b)
AX_BINARY(ShiftLeft, b < 0 || b > 63 ? T(0) : T(static_cast<uint64_t>(a) << b))
AX_BINARY(ShiftRight, b < 0 || b > 63 ? (a < 0 ? T(-1) : T(0)) : a >> b)
AX_BINARY(ReluGrad, b <= T(0) ? T(0) : a)  // the gradient passes a NaN, as in PyTorch
AX_BINARY(AbsGrad, a * T((b > T(0)) - (b < T(0))))
AX_BINARY(TanhGrad, a * (T(1) - b * b))
AX_BINARY(SigmoidGrad, a * b * (T(1) - b))
struct GeluGrad {
  template <class T>
  AX_HD static T apply(T g, T x, T, T) {
    T density;
    const T below = special::normal(x, &density);
    return g * (below + x * density);
  }
};
struct GeluTanhGrad {
  template <class T>
  AX_HD static T apply(T g, T x, T, T) {
    const T s = special::sigmoid(T(1.5957691216057307118) * (x + T(0.044715) * x * x * x));
    const T slope = T(1.5957691216057307118) * (T(1) + T(3 * 0.044715) * x * x);
    return g * (s + x * (s * (T(1) - s)) * slope);
  }
};
struct SiluGrad {
  template <class T>
  AX_HD static T apply(T g, T x, T, T) {
    T s = Sigmoid::apply(x, T(0), T(0));
    return g * s * (T(1) + x * (T(1) - s));
  }
};
AX_BINARY(ClampGrad, b >= alpha && b <= beta ? a : T(0))
AX_BINARY(SqrtGrad, a / (T(2) * b))
AX_BINARY(PowScalarGrad, alpha == T(0) ? T(0) : a * alpha * pow(b, alpha - T(1)))
#undef AX_BINARY

#define AX_COMPARE(Name, expression)                \
  struct Name {                                     \
    template <class T>                              \
    AX_HD static bool apply(T a, T b) {             \
      return expression;                            \
    }                                               \
  };
AX_COMPARE(Eq, a == b)
AX_COMPARE(Ne, a != b)
AX_COMPARE(Lt, a < b)
AX_COMPARE(Le, a <= b)
AX_COMPARE(Gt, a > b)
AX_COMPARE(Ge, a >= b)
AX_COMPARE(And, a != T(0) && b != T(0))
AX_COMPARE(Or, a != T(0) || b != T(0))
AX_COMPARE(Xor, (a != T(0)) != (b != T(0)))
#undef AX_COMPARE

// Formulas that take less time than reading their operands.
template <class F>
inline constexpr bool kIsLight = false;
#define AX_LIGHT(Name) \
  template <>          \
  inline constexpr bool kIsLight<Name> = true;
AX_LIGHT(Neg)
AX_LIGHT(Abs)
AX_LIGHT(Square)
AX_LIGHT(AddScalar)
AX_LIGHT(MulScalar)
AX_LIGHT(RsubScalar)
AX_LIGHT(DivScalar)
AX_LIGHT(Clamp)
AX_LIGHT(Relu)
AX_LIGHT(Add)
AX_LIGHT(Sub)
AX_LIGHT(Mul)
AX_LIGHT(Div)
AX_LIGHT(Maximum)
AX_LIGHT(Minimum)
AX_LIGHT(ReluGrad)
#undef AX_LIGHT

// Reductions: the value of nothing, what an element counts as, and how two values are combined. NaN propagates.
template <class T>
AX_HD T lowestValue() {
  return T(-HUGE_VAL);
}
template <>
AX_HD int64_t lowestValue() {
  return INT64_MIN;
}
template <class T>
AX_HD T highestValue() {
  return T(HUGE_VAL);
}
template <>
AX_HD int64_t highestValue() {
  return INT64_MAX;
}
#define AX_REDUCTION(Name, nothing, element, combined)             \
  struct Name {                                                    \
    template <class T> AX_HD static T identity() { return nothing; } \
    template <class T> AX_HD static T map(T x) { return element; }   \
    template <class T> AX_HD static T combine(T a, T b) { return combined; } \
  };
AX_REDUCTION(Sum, T(0), x, T(a + b))
AX_REDUCTION(Max, lowestValue<T>(), x, Maximum::apply(a, b, T(0), T(0)))
AX_REDUCTION(Min, highestValue<T>(), x, Minimum::apply(a, b, T(0), T(0)))
AX_REDUCTION(Prod, T(1), x, T(a * b))
AX_REDUCTION(SumAbs, T(0), Abs::apply(x, T(0), T(0)), T(a + b))
AX_REDUCTION(SumSquares, T(0), T(x * x), T(a + b))
AX_REDUCTION(Any, T(0), T(x != T(0)), a > b ? a : b)
AX_REDUCTION(All, T(1), T(x != T(0)), a < b ? a : b)
#undef AX_REDUCTION

}  // namespace maths
#ifdef AX_ISA
}  // inline namespace
#endif
}  // namespace ax

#endif  // AX_COMMON_MATH_H_
