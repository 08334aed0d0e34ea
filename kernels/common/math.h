// The formulas of the elementwise operations, for host and device, templated on the type they compute in.
//
// A list line is X(name, Functor). Ids count from 0 in the order of a list; tools/gen_symbols.ts makes ffi/op_ids.ts from them.
#ifndef AX_COMMON_MATH_H_
#define AX_COMMON_MATH_H_
#include <math.h>

#include "common/hd.h"
#include "common/special.h"

// Exact operations are also compiled for integers.
#define AX_EXACT_UNARY_OPS(X) \
  X(neg, Neg)                 \
  X(abs, Abs)                 \
  X(sign, Sign)               \
  X(square, Square)           \
  X(add_scalar, AddScalar)    \
  X(mul_scalar, MulScalar)    \
  X(rsub_scalar, RsubScalar)  \
  X(clamp, Clamp)             \
  X(relu, Relu)
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
  X(pow_scalar, PowScalar)
#define AX_UNARY_OPS(X) AX_EXACT_UNARY_OPS(X) AX_FLOATING_UNARY_OPS(X)

#define AX_EXACT_BINARY_OPS(X) \
  X(add, Add)                  \
  X(sub, Sub)                  \
  X(mul, Mul)                  \
  X(maximum, Maximum)          \
  X(minimum, Minimum)
#define AX_FLOATING_BINARY_OPS(X)     \
  X(div, Div)                         \
  X(pow, Pow)                         \
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
#define AX_BINARY_OPS(X) AX_EXACT_BINARY_OPS(X) AX_FLOATING_BINARY_OPS(X)

#define AX_COMPARE_OPS(X) \
  X(eq, Eq)               \
  X(ne, Ne)               \
  X(lt, Lt)               \
  X(le, Le)               \
  X(gt, Gt)               \
  X(ge, Ge)

#define AX_REDUCE_OPS(X) \
  X(sum, Sum)            \
  X(max, Max)            \
  X(min, Min)            \
  X(prod, Prod)

namespace ax {
#ifdef AX_ISA
inline namespace AX_ISA {
#endif
namespace maths {

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
AX_UNARY(PowScalar, alpha == T(2) ? x * x : pow(x, alpha))
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
AX_BINARY(Pow, pow(a, b))
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

#define AX_COMPARE(Name, operation)                \
  struct Name {                                    \
    template <class T>                             \
    AX_HD static bool apply(T a, T b) {            \
      return a operation b;                        \
    }                                              \
  };
AX_COMPARE(Eq, ==)
AX_COMPARE(Ne, !=)
AX_COMPARE(Lt, <)
AX_COMPARE(Le, <=)
AX_COMPARE(Gt, >)
AX_COMPARE(Ge, >=)
#undef AX_COMPARE

// Reductions: the value of nothing, and how two are combined. NaN propagates.
struct Sum {
  template <class T> AX_HD static T identity() { return T(0); }
  template <class T> AX_HD static T combine(T a, T b) { return T(a + b); }
};
struct Prod {
  template <class T> AX_HD static T identity() { return T(1); }
  template <class T> AX_HD static T combine(T a, T b) { return T(a * b); }
};
struct Max {
  template <class T> AX_HD static T combine(T a, T b) { return Maximum::apply(a, b, T(0), T(0)); }
};
struct Min {
  template <class T> AX_HD static T combine(T a, T b) { return Minimum::apply(a, b, T(0), T(0)); }
};

}  // namespace maths
#ifdef AX_ISA
}  // inline namespace
#endif
}  // namespace ax

#endif  // AX_COMMON_MATH_H_
