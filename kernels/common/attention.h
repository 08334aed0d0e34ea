// The arguments of attention, checked and resolved for either backend.
#ifndef AX_COMMON_ATTENTION_H_
#define AX_COMMON_ATTENTION_H_
#include <math.h>
#include <string.h>

#include "common/layout.h"
#include "common/live.h"
#include "common/philox.h"

namespace ax {
inline namespace AX_ISA {

// Strides of an operand whose elements of a row are adjacent.
struct RowStrides {
  int32_t batch, head, row;
};

// `shape` of accelerate.h, word for word.
struct AttentionShape {
  int32_t batch, heads, kv_heads, q_len, k_len, dim, v_dim, flags, mask_kind, mask_dtype;
  RowStrides q, k, v, out;
  int32_t mask_batch, mask_head, mask_row, mask_column;
  RowStrides grad_out, grad_q, grad_k, grad_v;
  int32_t reserved[2];

  AX_HD bool isCausal() const { return (flags & AX_ATTENTION_CAUSAL) != 0; }
  AX_HD int64_t groupSize() const { return heads / kv_heads; }
};
static_assert(sizeof(AttentionShape) == 40 * sizeof(int32_t), "shape is int32[40]");

// `scalars` of accelerate.h.
struct AttentionScalars {
  double scale, dropout_p, seed_low, seed_high, counter;
};

// Dropout of one probability after the other.
struct AttentionDropout {
  float p;
  double kept;  // what a probability that stays is multiplied with
  Philox philox;
  uint64_t counter, row_blocks;

  AttentionDropout() = default;
  AttentionDropout(const AttentionShape& s, const AttentionScalars& scalars)
      : p(static_cast<float>(scalars.dropout_p)),
        kept(1 / (1 - scalars.dropout_p)),
        philox{static_cast<uint32_t>(scalars.seed_low), static_cast<uint32_t>(scalars.seed_high)},
        counter(static_cast<uint64_t>(scalars.counter)),
        row_blocks(static_cast<uint64_t>((int64_t{s.k_len} + 3) / 4)) {}

  AX_HD void words(int64_t row, int64_t block, uint32_t out[4]) const {
    philox.words(counter + static_cast<uint64_t>(row) * row_blocks + static_cast<uint64_t>(block), out);
  }
  AX_HD bool keeps(uint32_t word) const { return static_cast<float>(word >> 8) * 0x1p-24f >= p; }
  // What probability (row, column) is multiplied with.
  AX_HD double factor(int64_t row, int64_t column) const {
    uint32_t lanes[4];
    words(row, column / 4, lanes);
    return keeps(lanes[column % 4]) ? kept : 0.0;
  }
};

// Addresses of the operands; those that a call does not have are null.
struct AttentionOperands {
  void *grad_q = nullptr, *grad_k = nullptr, *grad_v = nullptr, *grad_scores = nullptr;
  const void* grad_out = nullptr;
  const void *q = nullptr, *k = nullptr, *v = nullptr;
  void *out = nullptr, *lse = nullptr;
  const void* mask = nullptr;
};

inline double rowsSpan(const AttentionShape& s, int64_t heads, int64_t rows, int64_t dim, const RowStrides& strides) {
  if (s.batch == 0 || heads == 0 || rows == 0 || dim == 0) return 0;
  return static_cast<double>((s.batch - 1) * int64_t{strides.batch} + (heads - 1) * strides.head + (rows - 1) * strides.row + dim);
}

inline int32_t checkAttention(int32_t dtype, const AttentionShape& s, const AttentionScalars& scalars) {
  if (dtype < AX_FLOAT32 || dtype > AX_FLOAT16) return fail(AX_ERROR_UNSUPPORTED, "attention is not available for dtype %d", dtype);
  for (const int32_t *entry = &s.batch, *end = entry + 40; entry < end; ++entry) {
    if (*entry < 0) return fail(AX_ERROR_ARGUMENT, "sizes and strides of attention must not be negative, got %d", *entry);
  }
  if (s.kv_heads == 0 ? s.heads != 0 : s.heads % s.kv_heads != 0) {
    return fail(AX_ERROR_ARGUMENT, "kv_heads must divide heads, got %d and %d", s.kv_heads, s.heads);
  }
  if (s.mask_kind > AX_ATTENTION_ADDED_MASK) return fail(AX_ERROR_ARGUMENT, "unknown kind of mask %d", s.mask_kind);
  if (s.mask_kind == AX_ATTENTION_ADDED_MASK && s.mask_dtype != dtype && !(s.mask_dtype == AX_FLOAT32 && dtype >= AX_BFLOAT16)) {
    return fail(AX_ERROR_ARGUMENT, "an added mask must have the dtype of q, or float32 with 16-bit operands");
  }
  if (!(scalars.dropout_p >= 0 && scalars.dropout_p < 1)) {
    return fail(AX_ERROR_ARGUMENT, "the dropout probability must be in [0, 1), got %g", scalars.dropout_p);
  }
  return AX_OK;
}

inline int32_t resolveAttention(int32_t dtype, const double* operands, const AttentionShape& s, bool is_backward, AttentionOperands* a) {
  const int32_t compute = dtype == AX_FLOAT64 ? AX_FLOAT64 : AX_FLOAT32;
  const double *next = operands;
  const auto take = [&](double count, int32_t type, auto** address) -> int32_t {
    const uint32_t id = static_cast<uint32_t>(next[0]);
    const double offset = next[1];
    next += 2;
    void* resolved = nullptr;
    AX_TRY(resolve(id, offset, count, type, &resolved));
    *address = resolved;
    return AX_OK;
  };
  if (is_backward) {
    AX_TRY(take(rowsSpan(s, s.heads, s.q_len, s.dim, s.grad_q), dtype, &a->grad_q));
    AX_TRY(take(rowsSpan(s, s.kv_heads, s.k_len, s.dim, s.grad_k), dtype, &a->grad_k));
    AX_TRY(take(rowsSpan(s, s.kv_heads, s.k_len, s.v_dim, s.grad_v), dtype, &a->grad_v));
    if (next[0] == 0) {
      next += 2;
    } else {
      AX_TRY(take(double{1} * s.batch * s.heads * s.q_len * s.k_len, compute, &a->grad_scores));
    }
    AX_TRY(take(rowsSpan(s, s.heads, s.q_len, s.v_dim, s.grad_out), dtype, &a->grad_out));
  } else {
    AX_TRY(take(rowsSpan(s, s.heads, s.q_len, s.v_dim, s.out), dtype, &a->out));
    AX_TRY(take(double{1} * s.batch * s.heads * s.q_len, compute, &a->lse));
  }
  AX_TRY(take(rowsSpan(s, s.heads, s.q_len, s.dim, s.q), dtype, &a->q));
  AX_TRY(take(rowsSpan(s, s.kv_heads, s.k_len, s.dim, s.k), dtype, &a->k));
  AX_TRY(take(rowsSpan(s, s.kv_heads, s.k_len, s.v_dim, s.v), dtype, &a->v));
  if (is_backward) {
    AX_TRY(take(rowsSpan(s, s.heads, s.q_len, s.v_dim, s.out), dtype, &a->out));
    AX_TRY(take(double{1} * s.batch * s.heads * s.q_len, compute, &a->lse));
  }
  if (s.mask_kind == AX_ATTENTION_NO_MASK) return AX_OK;
  double span = rowsSpan(s, s.heads, s.q_len, 1, {s.mask_batch, s.mask_head, s.mask_row});
  span = span == 0 || s.k_len == 0 ? 0 : span + (s.k_len - 1.0) * s.mask_column;
  return take(span, s.mask_kind == AX_ATTENTION_BOOL_MASK ? static_cast<int32_t>(AX_BOOL) : s.mask_dtype, &a->mask);
}

// call(operands, shape, scalars), again for each replay of a recorded step where dropout needs other random numbers: see common/live.h.
template <class Call>
int32_t withAttentionRandom(const void* operands, const void* shape, const void* scalars, bool is_backward, const Call& call) {
  const AttentionScalars numbers = *static_cast<const AttentionScalars*>(scalars);
  if (numbers.dropout_p == 0) return call(operands, shape, scalars);
  struct Copies {
    double operands[22];
    AttentionShape shape;
  } copies{{}, *static_cast<const AttentionShape*>(shape)};
  memcpy(copies.operands, operands, (is_backward ? 22 : 12) * sizeof(double));
  const RandomKey key{static_cast<uint32_t>(numbers.seed_low), static_cast<uint32_t>(numbers.seed_high), numbers.counter};
  return withRandom(key, [=](const RandomKey& now) {
    const AttentionScalars current{numbers.scale, numbers.dropout_p, static_cast<double>(now.seed_low), static_cast<double>(now.seed_high),
                                   now.counter};
    return call(copies.operands, &copies.shape, &current);
  });
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_COMMON_ATTENTION_H_
