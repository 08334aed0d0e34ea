// The backward pass of attention in blocks: probabilities are computed again from the saved log-sum-exp. With D = rowsum(dO * O),
//   dV = P^T dO,  dS = P * (dO V^T - D),  dQ = scale dS K,  dK = scale dS^T Q.
// A unit of work is a key head, or some blocks of its keys where there are fewer heads than threads; each unit then sums dQ in memory of
// its own and the parts are added in order, so that the result does not depend on timing.
#include <atomic>

#include "cpu/attention_rows.h"
#include "cpu/scratch.h"
#include "cpu/thread_pool.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// Queries whose scores lie in the cache at once.
constexpr int64_t kScoreRows = 48;

template <class T>
struct Backward {
  const AttentionShape& s;
  const AttentionOperands& a;
  int32_t dtype;
  T scale;
  AttentionDropout dropout;
  int64_t q_ld, v_ld, key_blocks, splits;

  static constexpr int64_t kPanel = TileLanes<T>::kPanel;

  struct Buffers {
    T *q, *grad_out, *out, *k, *k_panels, *v, *v_panels, *grad_k, *grad_v, *probabilities, *gradients, *delta;
  };

  int64_t roomFor() const { return kScoreRows * (q_ld + 2 * v_ld + 2 * kKeyBlock + 1) + 3 * kKeyBlock * (q_ld + v_ld); }

  Buffers divide(T* memory) const {
    Buffers b;
    b.q = memory;
    b.grad_out = b.q + kScoreRows * q_ld;
    b.out = b.grad_out + kScoreRows * v_ld;
    b.k = b.out + kScoreRows * v_ld;
    b.k_panels = b.k + kKeyBlock * q_ld;
    b.v = b.k_panels + kKeyBlock * q_ld;
    b.v_panels = b.v + kKeyBlock * v_ld;
    b.grad_k = b.v_panels + kKeyBlock * v_ld;
    b.grad_v = b.grad_k + kKeyBlock * q_ld;
    b.probabilities = b.grad_v + kKeyBlock * v_ld;
    b.gradients = b.probabilities + kScoreRows * kKeyBlock;
    b.delta = b.gradients + kScoreRows * kKeyBlock;
    return b;
  }

  // How many keys of the block from k0 on query `query` may see.
  int64_t visible(int64_t query, int64_t k0, int64_t keys) const {
    if (!s.isCausal()) return keys;
    const int64_t seen = query - k0 + 1;
    return seen < 0 ? 0 : seen < keys ? seen : keys;
  }

  // Probabilities and gradients of scores of one row, and zeros behind the last key that it sees.
  void differentiateRow(T* p, T* g, int64_t batch, int64_t head, int64_t query, int64_t k0, int64_t keys, T delta) const {
    constexpr int64_t kWidth = TileLanes<T>::kWidth;
    const int64_t row = (batch * s.heads + head) * s.q_len + query, count = visible(query, k0, keys);
    maskRow(s, a.mask, p, batch, head, query, k0, count);
    const T lse = static_cast<const T*>(a.lse)[row];
    const int64_t seen = lse == T(-INFINITY) ? 0 : count;
    if (dropout.p > 0) {
      T factors[kKeyBlock + kWidth];
      dropoutFactors(dropout, factors, row, k0, seen);
      for (int64_t j = 0; j < seen; j += kWidth) {
        const auto value = expVector<T>(vectorAt(p + j) - lse), factor = vectorAt(factors + j);
        vectorAt(p + j) = value * factor;
        vectorAt(g + j) = value * (vectorAt(g + j) * factor - delta);
      }
    } else {
      for (int64_t j = 0; j < seen; j += kWidth) {
        const auto value = expVector<T>(vectorAt(p + j) - lse);
        vectorAt(p + j) = value;
        vectorAt(g + j) = value * (vectorAt(g + j) - delta);
      }
    }
    for (int64_t j = seen; j < keys; ++j) p[j] = g[j] = T(0);
    if (a.grad_scores != nullptr) memcpy(static_cast<T*>(a.grad_scores) + row * s.k_len + k0, g, static_cast<size_t>(keys) * sizeof(T));
  }

  void loadQueries(const Buffers& b, int64_t batch, int64_t head, int64_t q0, int64_t rows) const {
    loadRows(dtype, b.q, q_ld, a.q, rowOffset(s.q, batch, head, q0), s.q.row, rows, s.dim, scale);
    loadRows(dtype, b.grad_out, v_ld, a.grad_out, rowOffset(s.grad_out, batch, head, q0), s.grad_out.row, rows, s.v_dim, T(1));
    loadRows(dtype, b.out, v_ld, a.out, rowOffset(s.out, batch, head, q0), s.out.row, rows, s.v_dim, T(1));
    for (int64_t i = 0; i < rows; ++i) {
      typename TileLanes<T>::Vector total = {};
      for (int64_t d = 0; d < v_ld; d += TileLanes<T>::kWidth) {
        total += vectorAt(b.grad_out + i * v_ld + d) * vectorAt(b.out + i * v_ld + d);
      }
      b.delta[i] = sumOfLanes<T>(total);
    }
  }

  // out (rows, panel by panel of keys) = x (rows, dim) times the panels, as far as each tile of rows can see.
  void scores(T* out, const T* x, int64_t ld, const T* panels, int64_t dim, int64_t q0, int64_t rows, int64_t k0, int64_t keys) const {
    for (int64_t panel = 0; panel < keys; panel += kPanel) {
      for (int64_t i = 0; i < rows; i += kTileRows) {
        const int64_t height = rows - i < kTileRows ? rows - i : kTileRows;
        const int64_t limit = visible(q0 + i + height - 1, k0, keys) - panel;
        if (limit <= 0) continue;
        tileProduct<T, false>(out + i * kKeyBlock + panel, kKeyBlock, x + i * ld, ld, height, panels + panel * dim, kPanel,
                              limit < kPanel ? limit : kPanel, dim, false);
      }
    }
  }

  // out (keys, columns) += weights^T (keys, rows) x (rows, columns), from the first query on that sees each tile of keys.
  void addTransposed(T* out, const T* weights, const T* x, int64_t ld, int64_t columns, int64_t q0, int64_t rows, int64_t k0,
                     int64_t keys) const {
    for (int64_t column = 0; column < columns; column += kPanel) {
      const int64_t width = columns - column < kPanel ? columns - column : kPanel;
      for (int64_t j = 0; j < keys; j += kTileRows) {
        const int64_t first = s.isCausal() && k0 + j > q0 ? k0 + j - q0 : 0;
        if (first >= rows) break;
        tileProduct<T, true>(out + j * ld + column, ld, weights + first * kKeyBlock + j, kKeyBlock,
                             keys - j < kTileRows ? keys - j : kTileRows, x + first * ld + column, ld, width, rows - first, true);
      }
    }
  }

  void queryRows(const Buffers& b, T* grad_q, int64_t batch, int64_t head, int64_t q0, int64_t rows, int64_t k0, int64_t keys) const {
    loadQueries(b, batch, head, q0, rows);
    scores(b.probabilities, b.q, q_ld, b.k_panels, s.dim, q0, rows, k0, keys);
    scores(b.gradients, b.grad_out, v_ld, b.v_panels, s.v_dim, q0, rows, k0, keys);
    for (int64_t i = 0; i < rows; ++i) {
      differentiateRow(b.probabilities + i * kKeyBlock, b.gradients + i * kKeyBlock, batch, head, q0 + i, k0, keys, b.delta[i]);
    }
    for (int64_t column = 0; column < s.dim; column += kPanel) {
      const int64_t width = s.dim - column < kPanel ? s.dim - column : kPanel;
      for (int64_t i = 0; i < rows; i += kTileRows) {
        const int64_t height = rows - i < kTileRows ? rows - i : kTileRows;
        tileProduct<T, false>(grad_q + (q0 + i) * q_ld + column, q_ld, b.gradients + i * kKeyBlock, kKeyBlock, height, b.k + column,
                              q_ld, width, visible(q0 + i + height - 1, k0, keys), true);
      }
    }
    addTransposed(b.grad_v, b.probabilities, b.grad_out, v_ld, s.v_dim, q0, rows, k0, keys);
    addTransposed(b.grad_k, b.gradients, b.q, q_ld, s.dim, q0, rows, k0, keys);
  }

  // One block of keys with all queries of all heads that read it. grad_q (group, q_len, q_ld) collects.
  void keyBlock(const Buffers& b, T* grad_q, int64_t batch, int64_t kv_head, int64_t k0) const {
    const int64_t keys = s.k_len - k0 < kKeyBlock ? s.k_len - k0 : kKeyBlock;
    loadRows(dtype, b.k, q_ld, a.k, rowOffset(s.k, batch, kv_head, k0), s.k.row, keys, s.dim, T(1));
    transposeIntoPanels(b.k_panels, b.k, q_ld, keys, s.dim);
    loadRows(dtype, b.v, v_ld, a.v, rowOffset(s.v, batch, kv_head, k0), s.v.row, keys, s.v_dim, T(1));
    transposeIntoPanels(b.v_panels, b.v, v_ld, keys, s.v_dim);
    memset(b.grad_k, 0, static_cast<size_t>(kKeyBlock * (q_ld + v_ld)) * sizeof(T));  // grad_v lies behind it
    for (int64_t member = 0; member < s.groupSize(); ++member) {
      T* const rows_of_head = grad_q + member * s.q_len * q_ld;
      for (int64_t q0 = s.isCausal() ? k0 : 0; q0 < s.q_len; q0 += kScoreRows) {
        const int64_t rows = s.q_len - q0 < kScoreRows ? s.q_len - q0 : kScoreRows;
        queryRows(b, rows_of_head, batch, kv_head * s.groupSize() + member, q0, rows, k0, keys);
      }
    }
    storeRows(dtype, a.grad_k, rowOffset(s.grad_k, batch, kv_head, k0), s.grad_k.row, b.grad_k, q_ld, keys, s.dim, T(1));
    storeRows(dtype, a.grad_v, rowOffset(s.grad_v, batch, kv_head, k0), s.grad_v.row, b.grad_v, v_ld, keys, s.v_dim, T(1));
  }

  int64_t gradQRoom() const { return s.groupSize() * s.q_len * q_ld; }

  void storeGradQ(const T* grad_q, int64_t pair, int64_t member) const {
    const int64_t batch = pair / s.kv_heads, head = pair % s.kv_heads * s.groupSize() + member;
    storeRows(dtype, a.grad_q, rowOffset(s.grad_q, batch, head, 0), s.grad_q.row, grad_q, q_ld, s.q_len, s.dim, scale);
  }

  void addParts(T* parts, int64_t pair) const {
    T* const total = parts + pair * splits * gradQRoom();
    for (int64_t split = 1; split < splits; ++split) {
      const T* part = total + split * gradQRoom();
      for (int64_t i = 0; i < gradQRoom(); ++i) total[i] += part[i];
    }
    for (int64_t member = 0; member < s.groupSize(); ++member) storeGradQ(total + member * s.q_len * q_ld, pair, member);
  }

  int32_t run() const {
    const int64_t pairs = int64_t{s.batch} * s.kv_heads;
    std::atomic<bool> out_of_memory{false};
    T* parts = nullptr;
    if (splits > 1) {
      parts = static_cast<T*>(aligned_alloc(64, roundUp(pairs * splits * gradQRoom() * static_cast<int64_t>(sizeof(T)), 64)));
      if (parts == nullptr) return fail(AX_ERROR_OUT_OF_MEMORY, "no memory for gradients of attention");
    }
    parallelFor(pairs * splits, 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch scratch;
      const int64_t room = roomFor() + (parts == nullptr ? gradQRoom() : 0);
      T* const memory = static_cast<T*>(scratch.atLeast(room * int64_t{sizeof(T)}));
      if (memory == nullptr) {
        out_of_memory = true;
        return;
      }
      const int64_t own = parts == nullptr ? gradQRoom() : 0;
      const Buffers buffers = divide(memory + own);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t pair = i / splits;
        T* const grad_q = parts == nullptr ? memory : parts + i * gradQRoom();
        memset(grad_q, 0, static_cast<size_t>(gradQRoom()) * sizeof(T));
        for (int64_t block = i % splits; block < key_blocks; block += splits) {
          keyBlock(buffers, grad_q, pair / s.kv_heads, pair % s.kv_heads, block * kKeyBlock);
        }
        if (parts != nullptr) continue;
        for (int64_t member = 0; member < s.groupSize(); ++member) storeGradQ(grad_q + member * s.q_len * q_ld, pair, member);
      }
    });
    if (parts != nullptr && !out_of_memory) {
      parallelFor(pairs, 1, [&](int64_t begin, int64_t end) {
        for (int64_t pair = begin; pair < end; ++pair) addParts(parts, pair);
      });
    }
    free(parts);
    return out_of_memory ? fail(AX_ERROR_OUT_OF_MEMORY, "no memory for blocks of attention") : AX_OK;
  }
};

template <class T>
int32_t runBackward(int32_t dtype, const double* operands, const AttentionShape& s, const AttentionScalars& scalars) {
  AttentionOperands a;
  AX_TRY(resolveAttention(dtype, operands, s, true, &a));
  if (s.batch == 0 || s.heads == 0) return AX_OK;
  constexpr int64_t kPad = TileLanes<T>::kPad;
  const int64_t key_blocks = (int64_t{s.k_len} + kKeyBlock - 1) / kKeyBlock, pairs = int64_t{s.batch} * s.kv_heads;
  const int64_t wanted = (threadCount() + pairs - 1) / pairs;
  const int64_t splits = wanted < key_blocks ? wanted : key_blocks;
  const Backward<T> backward{s, a, dtype, static_cast<T>(scalars.scale), AttentionDropout(s, scalars), roundUp(s.dim, kPad),
                             roundUp(s.v_dim, kPad), key_blocks, splits > 1 ? splits : 1};
  return backward.run();
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_attention_backward(int32_t dtype, const void* operands, const void* shape, const void* scalars) {
  const AttentionShape& s = *static_cast<const AttentionShape*>(shape);
  const AttentionScalars& numbers = *static_cast<const AttentionScalars*>(scalars);
  AX_TRY(checkAttention(dtype, s, numbers));
  const double* pairs = static_cast<const double*>(operands);
  if (dtype == AX_FLOAT64) return runBackward<double>(dtype, pairs, s, numbers);
  return runBackward<float>(dtype, pairs, s, numbers);
}
