// The arguments of ax_matmul, checked and resolved for either backend.
#ifndef AX_COMMON_PRODUCT_H_
#define AX_COMMON_PRODUCT_H_
#include "common/layout.h"

namespace ax {
inline namespace AX_ISA {

struct ProductShape {
  int32_t batch, m, n, k, transpose_a, transpose_b, lda, ldb, ldc, batch_a, batch_b, batch_out, allow_tf32;
};

template <class T>
struct ProductOperands {
  T* out;
  const T *a, *b, *bias;  // bias may be null
  T* aux;                 // may be null
};

inline int32_t checkProduct(const ProductShape& s, int32_t epilogue, double beta, uint32_t aux) {
  if (s.batch < 0 || s.m < 0 || s.n < 0 || s.k < 0) return fail(AX_ERROR_ARGUMENT, "sizes of a product must not be negative");
  if (epilogue < AX_EPILOGUE_NONE || epilogue > AX_EPILOGUE_GELU_TANH_GRAD) return fail(AX_ERROR_ARGUMENT, "unknown epilogue %d", epilogue);
  if (beta != 0 && epilogue != AX_EPILOGUE_NONE) return fail(AX_ERROR_ARGUMENT, "beta needs epilogue 0, got %d", epilogue);
  if (epilogue >= AX_EPILOGUE_BIAS_RESIDUAL && aux == 0) return fail(AX_ERROR_ARGUMENT, "epilogue %d needs aux", epilogue);
  return AX_OK;
}

inline double matrixSpan(int64_t rows, int64_t cols, int64_t ld, int64_t batch, int64_t stride) {
  if (rows == 0 || cols == 0 || batch == 0) return 0;
  return static_cast<double>((batch - 1) * stride + (rows - 1) * ld + cols);
}

template <class T>
int32_t resolveProduct(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b, double b_offset,
                       uint32_t bias, double bias_offset, uint32_t aux, double aux_offset, const ProductShape& s, int32_t epilogue,
                       ProductOperands<T>* p) {
  const double out_span = matrixSpan(s.m, s.n, s.ldc, s.batch, s.batch_out);
  const double a_span = s.transpose_a ? matrixSpan(s.k, s.m, s.lda, s.batch, s.batch_a) : matrixSpan(s.m, s.k, s.lda, s.batch, s.batch_a);
  const double b_span = s.transpose_b ? matrixSpan(s.n, s.k, s.ldb, s.batch, s.batch_b) : matrixSpan(s.k, s.n, s.ldb, s.batch, s.batch_b);
  *p = {};
  AX_TRY(at(out, out_offset, out_span, dtype, &p->out));
  AX_TRY(at(a, a_offset, a_span, dtype, &p->a));
  AX_TRY(at(b, b_offset, b_span, dtype, &p->b));
  if (bias != 0 && epilogue != AX_EPILOGUE_NONE) AX_TRY(at(bias, bias_offset, s.n, dtype, &p->bias));
  if (aux != 0) AX_TRY(at(aux, aux_offset, out_span, dtype, &p->aux));
  return AX_OK;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_COMMON_PRODUCT_H_
