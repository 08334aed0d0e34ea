// Attention in blocks (Dao, Fu, Ermon, Rudra, Re: "FlashAttention", NeurIPS 2022): a block of queries walks over blocks of keys, with the
// running maximum and sum of each row. The keys of a block are transposed into panels once for all its queries; what a causal mask hides
// is skipped tile by tile.
#include <atomic>

#include "cpu/attention_rows.h"
#include "cpu/scratch.h"
#include "cpu/thread_pool.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// Queries of a unit of work, and rows of scores that lie in the cache at once.
constexpr int64_t kQueryBlock = 128, kScoreRows = 48;

template <class T>
struct Forward {
  const AttentionShape& s;
  const AttentionOperands& a;
  int32_t dtype;
  T scale;
  AttentionDropout dropout;
  int64_t q_ld, v_ld, query_blocks;

  static constexpr int64_t kPanel = TileLanes<T>::kPanel;

  struct Buffers {
    T *q, *rows, *panels, *v, *scores, *out, *largest, *sum;
  };

  int64_t roomFor() const {
    return kQueryBlock * (q_ld + v_ld + 2) + kKeyBlock * (2 * q_ld + v_ld) + kScoreRows * kKeyBlock;
  }

  Buffers divide(T* memory) const {
    Buffers b;
    b.q = memory;
    b.rows = b.q + kQueryBlock * q_ld;
    b.panels = b.rows + kKeyBlock * q_ld;
    b.v = b.panels + kKeyBlock * q_ld;
    b.scores = b.v + kKeyBlock * v_ld;
    b.out = b.scores + kScoreRows * kKeyBlock;
    b.largest = b.out + kQueryBlock * v_ld;
    b.sum = b.largest + kQueryBlock;
    return b;
  }

  // How many keys of the block from k0 on query `query` may see.
  int64_t visible(int64_t query, int64_t k0, int64_t keys) const {
    if (!s.isCausal()) return keys;
    const int64_t seen = query - k0 + 1;
    return seen < 0 ? 0 : seen < keys ? seen : keys;
  }

  // Scores of `rows` queries from `row` of the unit on, then their exponentials, then what they add to the output.
  void scoreRows(const Buffers& b, int64_t batch, int64_t head, int64_t q0, int64_t row, int64_t rows, int64_t k0, int64_t keys) const {
    for (int64_t panel = 0; panel < keys; panel += kPanel) {
      for (int64_t i = 0; i < rows; i += kTileRows) {
        const int64_t height = rows - i < kTileRows ? rows - i : kTileRows;
        const int64_t limit = visible(q0 + row + i + height - 1, k0, keys) - panel;
        if (limit <= 0) continue;
        tileProduct<T, false>(b.scores + i * kKeyBlock + panel, kKeyBlock, b.q + (row + i) * q_ld, q_ld, height,
                              b.panels + panel * s.dim, kPanel, limit < kPanel ? limit : kPanel, s.dim, false);
      }
    }
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t query = q0 + row + i, last = i / kTileRows * kTileRows + kTileRows - 1;
      const int64_t count = visible(query, k0, keys);
      const int64_t room = visible(q0 + row + (last < rows ? last : rows - 1), k0, keys);
      T* x = b.scores + i * kKeyBlock;
      maskRow(s, a.mask, x, batch, head, query, k0, count);
      const T factor = exponentiate(x, count, room, b.largest + row + i, b.sum + row + i);
      if (factor != T(1)) scaleRow(b.out + (row + i) * v_ld, v_ld, factor);
      if (dropout.p > 0) {
        T factors[kKeyBlock];
        dropoutFactors(dropout, factors, (batch * s.heads + head) * s.q_len + query, k0, count);
        for (int64_t j = 0; j < count; ++j) x[j] *= factors[j];
      }
    }
    for (int64_t column = 0; column < s.v_dim; column += kPanel) {
      for (int64_t i = 0; i < rows; i += kTileRows) {
        const int64_t height = rows - i < kTileRows ? rows - i : kTileRows;
        const int64_t limit = visible(q0 + row + i + height - 1, k0, keys);
        const int64_t width = s.v_dim - column < kPanel ? s.v_dim - column : kPanel;
        tileProduct<T, false>(b.out + (row + i) * v_ld + column, v_ld, b.scores + i * kKeyBlock, kKeyBlock, height, b.v + column, v_ld,
                              width, limit, true);
      }
    }
  }

  void unit(const Buffers& b, int64_t batch, int64_t head, int64_t q0) const {
    const int64_t rows = s.q_len - q0 < kQueryBlock ? s.q_len - q0 : kQueryBlock, kv_head = head / s.groupSize();
    loadRows(dtype, b.q, q_ld, a.q, rowOffset(s.q, batch, head, q0), s.q.row, rows, s.dim, scale);
    memset(b.out, 0, static_cast<size_t>(rows * v_ld) * sizeof(T));
    for (int64_t i = 0; i < rows; ++i) {
      b.largest[i] = T(-INFINITY);
      b.sum[i] = T(0);
    }
    const int64_t seen = visible(q0 + rows - 1, 0, s.k_len);
    for (int64_t k0 = 0; k0 < seen; k0 += kKeyBlock) {
      const int64_t keys = seen - k0 < kKeyBlock ? seen - k0 : kKeyBlock;
      loadRows(dtype, b.rows, q_ld, a.k, rowOffset(s.k, batch, kv_head, k0), s.k.row, keys, s.dim, T(1));
      transposeIntoPanels(b.panels, b.rows, q_ld, keys, s.dim);
      loadRows(dtype, b.v, v_ld, a.v, rowOffset(s.v, batch, kv_head, k0), s.v.row, keys, s.v_dim, T(1));
      int64_t row = s.isCausal() && k0 > q0 ? k0 - q0 : 0;
      for (; row < rows; row += kScoreRows) {
        scoreRows(b, batch, head, q0, row, rows - row < kScoreRows ? rows - row : kScoreRows, k0, keys);
      }
    }
    T* lse = static_cast<T*>(a.lse) + (batch * s.heads + head) * s.q_len + q0;
    for (int64_t i = 0; i < rows; ++i) {
      const bool sees = b.sum[i] != T(0);
      scaleRow(b.out + i * v_ld, v_ld, sees ? T(1) / b.sum[i] : T(0));
      lse[i] = sees ? b.largest[i] + static_cast<T>(log(b.sum[i])) : T(-INFINITY);
    }
    storeRows(dtype, a.out, rowOffset(s.out, batch, head, q0), s.out.row, b.out, v_ld, rows, s.v_dim, T(1));
  }

  int32_t run() const {
    std::atomic<bool> out_of_memory{false};
    parallelFor(int64_t{s.batch} * s.heads * query_blocks, 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch scratch;
      T* const memory = static_cast<T*>(scratch.atLeast(roomFor() * int64_t{sizeof(T)}));
      if (memory == nullptr) {
        out_of_memory = true;
        return;
      }
      const Buffers buffers = divide(memory);
      for (int64_t i = begin; i < end; ++i) {
        // Under a causal mask late queries see more keys: taking first and last blocks in turn gives every thread the same work.
        const int64_t turn = i % query_blocks, block = turn % 2 == 0 ? turn / 2 : query_blocks - 1 - turn / 2;
        const int64_t head = i / query_blocks;
        unit(buffers, head / s.heads, head % s.heads, block * kQueryBlock);
      }
    });
    return out_of_memory ? fail(AX_ERROR_OUT_OF_MEMORY, "no memory for blocks of attention") : AX_OK;
  }
};

template <class T>
int32_t runForward(int32_t dtype, const double* operands, const AttentionShape& s, const AttentionScalars& scalars) {
  AttentionOperands a;
  AX_TRY(resolveAttention(dtype, operands, s, false, &a));
  constexpr int64_t kPad = TileLanes<T>::kPad;
  const Forward<T> forward{s, a, dtype, static_cast<T>(scalars.scale), AttentionDropout(s, scalars), roundUp(s.dim, kPad),
                           roundUp(s.v_dim, kPad), (int64_t{s.q_len} + kQueryBlock - 1) / kQueryBlock};
  return forward.run();
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_attention_forward(int32_t dtype, const void* operands, const void* shape, const void* scalars) {
  const AttentionShape& s = *static_cast<const AttentionShape*>(shape);
  const AttentionScalars& numbers = *static_cast<const AttentionScalars*>(scalars);
  AX_TRY(checkAttention(dtype, s, numbers));
  const double* pairs = static_cast<const double*>(operands);
  if (dtype == AX_FLOAT64) return runForward<double>(dtype, pairs, s, numbers);
  return runForward<float>(dtype, pairs, s, numbers);
}
