// Reductions over any dimensions, and the index of the extreme value.
#include "common/layout.h"
#include "common/reduction.h"

namespace ax {
inline namespace AX_ISA {
namespace {

#define AX_ID(name, Functor) k_##name,
enum ReduceId { AX_REDUCE_OPS(AX_ID) };
#undef AX_ID

template <class C>
int32_t reduceAll(int32_t op, const Operand& out, const Operand& x, const Walk& walk, double scale, double beta) {
  switch (op) {
#define AX_CASE(name, Functor) case k_##name: return reduceElements<maths::Functor, C>(out, x, walk, scale, beta);
    AX_REDUCE_OPS(AX_CASE)
#undef AX_CASE
  }
  return fail(AX_ERROR_ARGUMENT, "unknown reduction %d", op);
}

// Resolves the operands; of max and min something must be left to reduce.
int32_t prepare(int32_t op, uint32_t out, double out_offset, uint32_t x, double x_offset, const void* layout, int32_t kept_ndim,
                int32_t reduced_ndim, Operand* to, Operand* from, Walk* walk) {
  if (!isDtype(to->dtype) || !isDtype(from->dtype)) {
    return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d and %d", to->dtype, from->dtype);
  }
  AX_TRY(makeWalk(layout, kept_ndim, reduced_ndim, walk));
  const int64_t kept = walk->keptCount();
  if ((op == k_max || op == k_min) && walk->reducedCount() == 0 && kept > 0) {
    return fail(AX_ERROR_ARGUMENT, "the extreme value of nothing is not defined");
  }
  AX_TRY(resolve(out, out_offset, static_cast<double>(kept), to->dtype, &to->data));
  return resolve(x, x_offset, walk->span(), from->dtype, &from->data);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_reduce(int32_t op, int32_t out_dtype, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                  const void* layout, int32_t kept_ndim, int32_t reduced_ndim, double scale, double beta) {
  Operand to{nullptr, out_dtype}, from{nullptr, dtype};
  Walk walk;
  AX_TRY(prepare(op, out, out_offset, x, x_offset, layout, kept_ndim, reduced_ndim, &to, &from, &walk));
  switch (computeDtype(dtype)) {
    case AX_FLOAT32: return reduceAll<float>(op, to, from, walk, scale, beta);
    case AX_FLOAT64: return reduceAll<double>(op, to, from, walk, scale, beta);
  }
  return reduceAll<int64_t>(op, to, from, walk, scale, beta);
}

int32_t ax_arg_reduce(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                      const void* layout, int32_t kept_ndim, int32_t reduced_ndim) {
  if (op != k_max && op != k_min) return fail(AX_ERROR_ARGUMENT, "arg_reduce takes max or min, got operation %d", op);
  Operand to{nullptr, AX_INT64}, from{nullptr, dtype};
  Walk walk;
  AX_TRY(prepare(op, out, out_offset, x, x_offset, layout, kept_ndim, reduced_ndim, &to, &from, &walk));
  int64_t* index = static_cast<int64_t*>(to.data);
  switch (computeDtype(dtype)) {
    case AX_FLOAT32: return argReduceElements<float>(index, from, walk, op == k_max);
    case AX_FLOAT64: return argReduceElements<double>(index, from, walk, op == k_max);
  }
  return argReduceElements<int64_t>(index, from, walk, op == k_max);
}
