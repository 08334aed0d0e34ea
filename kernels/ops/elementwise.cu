// Elementwise operations with broadcasting: unary, binary, comparison, where.
#include "common/map.h"
#include "common/math.h"

namespace ax {
inline namespace AX_ISA {
namespace {

#define AX_ID(name, Functor) k_##name,
namespace one { enum Id { AX_UNARY_OPS(AX_ID) }; }
namespace two { enum Id { AX_BINARY_OPS(AX_ID) }; }
namespace comparison { enum Id { AX_COMPARE_OPS(AX_ID) }; }
#undef AX_ID

struct Call {
  int32_t op;
  const Operand* operands;
  double count;
  const int32_t* layout;
  int32_t ndim;
  double alpha, beta;
};

#ifdef AX_CUDA
// One kernel runs all operations of a family for a type: the branch is the same for all threads, the time goes into memory, and a
// kernel for each operation would be most of the library.
template <class C>
struct AnyUnary {
  int32_t op;
  C alpha, beta;
  __device__ C operator()(C x) const {
    if constexpr (C(0.5) == C(0)) {
      switch (op) {
#define AX_CASE(name, Functor) case one::k_##name: return maths::Functor::template apply<C>(x, alpha, beta);
        AX_EXACT_UNARY_OPS(AX_CASE)
        AX_INTEGER_UNARY_OPS(AX_CASE)
#undef AX_CASE
      }
    } else {
      switch (op) {
#define AX_CASE(name, Functor) case one::k_##name: return maths::Functor::template apply<C>(x, alpha, beta);
        AX_EXACT_UNARY_OPS(AX_CASE)
        AX_FLOATING_UNARY_OPS(AX_CASE)
#undef AX_CASE
      }
    }
    return x;
  }
};
template <class F, class C> using UnaryBody = AnyUnary<C>;

template <class C>
struct AnyBinary {
  int32_t op;
  C alpha, beta;
  __device__ C operator()(C a, C b) const {
    if constexpr (C(0.5) == C(0)) {
      switch (op) {
#define AX_CASE(name, Functor) case two::k_##name: return maths::Functor::template apply<C>(a, b, alpha, beta);
        AX_EXACT_BINARY_OPS(AX_CASE)
        AX_INTEGER_BINARY_OPS(AX_CASE)
#undef AX_CASE
      }
    } else {
      switch (op) {
#define AX_CASE(name, Functor) case two::k_##name: return maths::Functor::template apply<C>(a, b, alpha, beta);
        AX_EXACT_BINARY_OPS(AX_CASE)
        AX_FLOATING_BINARY_OPS(AX_CASE)
#undef AX_CASE
      }
    }
    return a;
  }
};
template <class F, class C> using BinaryBody = AnyBinary<C>;

template <class C>
struct AnyCompare {
  int32_t op;
  __device__ Bool operator()(C a, C b) const {
    switch (op) {
#define AX_CASE(name, Functor) case comparison::k_##name: return Bool{static_cast<uint8_t>(maths::Functor::template apply<C>(a, b))};
      AX_COMPARE_OPS(AX_CASE)
#undef AX_CASE
    }
    return Bool{0};
  }
};
template <class F, class C> using CompareBody = AnyCompare<C>;
#else
template <class F, class C>
struct UnaryBody {
  static constexpr bool kIsLight = maths::kIsLight<F>;
  int32_t op;
  C alpha, beta;
  AX_HD C operator()(C x) const { return F::template apply<C>(x, alpha, beta); }
};

template <class F, class C>
struct BinaryBody {
  static constexpr bool kIsLight = maths::kIsLight<F>;
  int32_t op;
  C alpha, beta;
  AX_HD C operator()(C a, C b) const { return F::template apply<C>(a, b, alpha, beta); }
};

template <class F, class C>
struct CompareBody {
  int32_t op;
  AX_HD Bool operator()(C a, C b) const { return Bool{static_cast<uint8_t>(F::template apply<C>(a, b))}; }
};
#endif

template <class T>
struct WhereBody {
  AX_HD T operator()(uint8_t condition, T a, T b) const { return condition ? a : b; }
};

template <class F, class C>
int32_t runUnary(const Call& call) {
  const UnaryBody<F, C> body{call.op, computeValue<C>(call.alpha), computeValue<C>(call.beta)};
  return mapElements<C, C>(call.operands, call.count, Layout<2>{call.layout, call.ndim}, body);
}

template <class F, class C>
int32_t runBinary(const Call& call) {
  const BinaryBody<F, C> body{call.op, computeValue<C>(call.alpha), computeValue<C>(call.beta)};
  return mapElements<C, C, C>(call.operands, call.count, Layout<3>{call.layout, call.ndim}, body);
}

template <class F, class C>
int32_t runCompare(const Call& call) {
  return mapElements<Bool, C, C>(call.operands, call.count, Layout<3>{call.layout, call.ndim}, CompareBody<F, C>{call.op});
}

// Of an element that is only moved, nothing but the size matters.
template <class T>
int32_t runWhere(Operand* operands, double count, const Layout<4>& layout) {
  for (int k = 0; k < 4; ++k) operands[k].dtype = k == 1 ? AX_UINT8 : kDtypeOf<T>;
  return mapElements<T, uint8_t, T, T>(operands, count, layout, WhereBody<T>{});
}

int32_t unsupported(const char* family, int32_t op, int32_t dtype) {
  return fail(AX_ERROR_UNSUPPORTED, "%s operation %d is not available for %s", family, op,
              isDtype(dtype) ? kDtypeNames[dtype] : "an unknown dtype");
}

template <class C>
int32_t unary(int32_t op, int32_t dtype, const Call& call) {
  if constexpr (C(0.5) == C(0)) {
    switch (op) {
#define AX_CASE(name, Functor) case one::k_##name: return runUnary<maths::Functor, C>(call);
      AX_EXACT_UNARY_OPS(AX_CASE)
      AX_INTEGER_UNARY_OPS(AX_CASE)
#undef AX_CASE
    }
  } else {
    switch (op) {
#define AX_CASE(name, Functor) case one::k_##name: return runUnary<maths::Functor, C>(call);
      AX_EXACT_UNARY_OPS(AX_CASE)
      AX_FLOATING_UNARY_OPS(AX_CASE)
#undef AX_CASE
    }
  }
  return unsupported("unary", op, dtype);
}

template <class C>
int32_t binary(int32_t op, int32_t dtype, const Call& call) {
  if constexpr (C(0.5) == C(0)) {
    switch (op) {
#define AX_CASE(name, Functor) case two::k_##name: return runBinary<maths::Functor, C>(call);
      AX_EXACT_BINARY_OPS(AX_CASE)
      AX_INTEGER_BINARY_OPS(AX_CASE)
#undef AX_CASE
    }
  } else {
    switch (op) {
#define AX_CASE(name, Functor) case two::k_##name: return runBinary<maths::Functor, C>(call);
      AX_EXACT_BINARY_OPS(AX_CASE)
      AX_FLOATING_BINARY_OPS(AX_CASE)
#undef AX_CASE
    }
  }
  return unsupported("binary", op, dtype);
}

template <class C>
int32_t compare(int32_t op, int32_t dtype, const Call& call) {
  switch (op) {
#define AX_CASE(name, Functor) case comparison::k_##name: return runCompare<maths::Functor, C>(call);
    AX_COMPARE_OPS(AX_CASE)
#undef AX_CASE
  }
  return unsupported("comparison", op, dtype);
}

// Resolves the operands, the output first.
template <int N>
int32_t resolveAll(const uint32_t (&ids)[N], const double (&offsets)[N], double count, const void* layout, int32_t ndim,
                   Operand* operands) {
  AX_TRY(checkLayout(layout, ndim, N));
  const Layout<N> walk{static_cast<const int32_t*>(layout), ndim};
  for (int k = 0; k < N; ++k) {
    if (!isDtype(operands[k].dtype)) return unsupported("elementwise", 0, operands[k].dtype);
    AX_TRY(operand(ids[k], offsets[k], count, operands[k].dtype, walk, k, reinterpret_cast<char**>(&operands[k].data)));
  }
  return AX_OK;
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_unary(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count,
                 const void* layout, int32_t ndim, double alpha, double beta) {
  Operand operands[] = {{nullptr, dtype}, {nullptr, dtype}};
  AX_TRY(resolveAll<2>({out, x}, {out_offset, x_offset}, count, layout, ndim, operands));
  const Call call{op, operands, count, static_cast<const int32_t*>(layout), ndim, alpha, beta};
  switch (computeDtype(dtype)) {
    case AX_FLOAT32: return unary<float>(op, dtype, call);
    case AX_FLOAT64: return unary<double>(op, dtype, call);
  }
  return unary<int64_t>(op, dtype, call);
}

int32_t ax_binary(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                  double b_offset, double count, const void* layout, int32_t ndim, double alpha, double beta) {
  Operand operands[] = {{nullptr, dtype}, {nullptr, dtype}, {nullptr, dtype}};
  AX_TRY(resolveAll<3>({out, a, b}, {out_offset, a_offset, b_offset}, count, layout, ndim, operands));
  const Call call{op, operands, count, static_cast<const int32_t*>(layout), ndim, alpha, beta};
  switch (computeDtype(dtype)) {
    case AX_FLOAT32: return binary<float>(op, dtype, call);
    case AX_FLOAT64: return binary<double>(op, dtype, call);
  }
  return binary<int64_t>(op, dtype, call);
}

int32_t ax_compare(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                   double b_offset, double count, const void* layout, int32_t ndim) {
  Operand operands[] = {{nullptr, AX_BOOL}, {nullptr, dtype}, {nullptr, dtype}};
  AX_TRY(resolveAll<3>({out, a, b}, {out_offset, a_offset, b_offset}, count, layout, ndim, operands));
  const Call call{op, operands, count, static_cast<const int32_t*>(layout), ndim, 0, 0};
  switch (computeDtype(dtype)) {
    case AX_FLOAT32: return compare<float>(op, dtype, call);
    case AX_FLOAT64: return compare<double>(op, dtype, call);
  }
  return compare<int64_t>(op, dtype, call);
}

int32_t ax_where(int32_t dtype, uint32_t out, double out_offset, uint32_t condition, double condition_offset, uint32_t a,
                 double a_offset, uint32_t b, double b_offset, double count, const void* layout, int32_t ndim) {
  Operand operands[] = {{nullptr, dtype}, {nullptr, AX_BOOL}, {nullptr, dtype}, {nullptr, dtype}};
  AX_TRY(resolveAll<4>({out, condition, a, b}, {out_offset, condition_offset, a_offset, b_offset}, count, layout, ndim, operands));
  const Layout<4> walk{static_cast<const int32_t*>(layout), ndim};
  switch (kDtypeBytes[dtype]) {
    case 8: return runWhere<int64_t>(operands, count, walk);
    case 4: return runWhere<int32_t>(operands, count, walk);
    case 2: return runWhere<BFloat16>(operands, count, walk);
  }
  return runWhere<uint8_t>(operands, count, walk);
}
