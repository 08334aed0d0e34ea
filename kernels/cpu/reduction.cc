// How reductions walk their operand: see cpu/reduction.h. Where cuts lie depends on the shape alone, so that a result is the same for
// every number of threads.
#include "cpu/reduction.h"

#include <stdlib.h>

#include <type_traits>

#include "cpu/thread_pool.h"
#include "cpu/tile.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int64_t kGrain = 1 << 15;       // elements below which another thread is not worth waking
constexpr int64_t kPiece = 1 << 16;       // elements of a part of a reduction that is split
constexpr int64_t kMaxPieces = 64;
constexpr int64_t kColumns = kTileElements;
constexpr int64_t kRowsPerTotal = 256;    // rows that are added before they join a total: keeps rounding errors small

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

struct Cut {
  int64_t begin, end;
};
Cut cut(int64_t count, int64_t pieces, int64_t piece) { return {count * piece / pieces, count * (piece + 1) / pieces}; }

// Into how many parts a reduction of `total` elements for each of `tasks` is split.
int64_t piecesFor(int64_t tasks, int64_t total, int64_t width) {
  if (tasks >= 16 || total < 2) return 1;
  const int64_t pieces = least(tasks * total * width / kPiece, kMaxPieces);
  return pieces < 2 ? 1 : least(pieces, total);
}

template <class C>
struct FreeLater {
  C* values = nullptr;
  ~FreeLater() { free(values); }
  int32_t allocate(int64_t count) {
    values = static_cast<C*>(malloc(static_cast<size_t>(count) * sizeof(C)));
    return values != nullptr ? AX_OK : fail(AX_ERROR_OUT_OF_MEMORY, "out of memory in a reduction");
  }
};

// Totals of pairs of pairs of blocks.
template <class C>
class Cascade {
 public:
  explicit Cascade(const Reduction<C>& f) : f_(f) {}
  void add(C value) {
    int level = 0;
    for (; count_ >> level & 1; ++level) {
      f_.merge(&levels_[level], &value, 1);
      value = levels_[level];
    }
    levels_[level] = value;
    ++count_;
  }
  C total() {
    if (count_ == 1) return levels_[0];
    C value = f_.identity;
    bool first = true;
    for (int level = 0; count_ >> level != 0; ++level) {
      if ((count_ >> level & 1) == 0) continue;
      if (!first) f_.merge(&levels_[level], &value, 1);
      value = levels_[level];
      first = false;
    }
    return value;
  }

 private:
  const Reduction<C>& f_;
  C levels_[48];
  uint64_t count_ = 0;
};

// The reduced elements at one kept position, block by block, as contiguous values of the computed type.
template <class C>
class Blocks {
 public:
  Blocks(const Operand& x, const Walk& walk) : x_(x), walk_(walk), bytes_(kDtypeBytes[x.dtype]) {
    const int32_t inner = walk.reduced_ndim - 1;
    run_ = inner < 0 ? 1 : walk.reduced[inner];
    stride_ = inner < 0 ? 1 : walk.reduced[2 * inner + 1];
    is_direct_ = x.dtype == kDtypeOf<C> && (stride_ == 1 || run_ == 1);
  }

  // Calls use(values, first, count) for [begin, end) of the reduced elements at kept position `kept`.
  template <class Use>
  void each(int64_t kept, int64_t begin, int64_t end, const Use& use) {
    const char* base = static_cast<const char*>(x_.data) + (walk_.kept_ndim == 1 ? kept * walk_.kept[1] : walk_.keptPosition(kept)) * bytes_;
    if (is_direct_ && walk_.reduced_ndim <= 1) {
      for (int64_t count; begin < end; begin += count) {
        count = least(end - begin, 4 * kTileElements);
        use(reinterpret_cast<const C*>(base) + begin, begin, count);
      }
      return;
    }
    while (begin < end) {
      const int64_t in_run = begin % run_;
      if (is_direct_ && run_ - in_run >= least(end - begin, 64)) {
        const int64_t count = least(least(run_ - in_run, end - begin), 4 * kTileElements);
        use(reinterpret_cast<const C*>(base + walk_.reducedPosition(begin) * bytes_), begin, count);
        begin += count;
      } else {
        const int64_t count = least(end - begin, kTileElements);
        fill(base, begin, count);
        use(values_, begin, count);
        begin += count;
      }
    }
  }

 private:
  void fill(const char* base, int64_t begin, int64_t count) {
    const bool convert = x_.dtype != kDtypeOf<C>;
    char* to = convert ? raw_ : reinterpret_cast<char*>(values_);
    for (int64_t done = 0; done < count;) {
      const int64_t in_run = (begin + done) % run_, length = least(run_ - in_run, count - done);
      const char* from = base + walk_.reducedPosition(begin + done) * bytes_;
      if (convert && length == count && stride_ == 1) {
        convertBlock(values_, kDtypeOf<C>, from, x_.dtype, count);
        return;
      }
      gatherTile(to + done * bytes_, from, bytes_, 1, length, 0, stride_);
      done += length;
    }
    if (convert) convertBlock(values_, kDtypeOf<C>, raw_, x_.dtype, count);
  }

  const Operand& x_;
  const Walk& walk_;
  const int32_t bytes_;
  int64_t run_, stride_;
  bool is_direct_;
  alignas(64) C values_[kTileElements];
  alignas(64) char raw_[kTileElements * 8];
};

// out[first ...] = scale * totals + beta * out.
template <class C>
void finish(const Operand& out, int64_t first, C* totals, int64_t count, double scale, double beta) {
  char* to = static_cast<char*>(out.data) + first * kDtypeBytes[out.dtype];
  if (scale != 1) {
    for (int64_t j = 0; j < count; ++j) totals[j] = static_cast<C>(totals[j] * static_cast<C>(scale));
  }
  if (beta != 0) {
    C before[64];
    for (int64_t at = 0; at < count; at += 64) {
      const int64_t n = least(count - at, 64);
      convertBlock(before, kDtypeOf<C>, to + at * kDtypeBytes[out.dtype], out.dtype, n);
      for (int64_t j = 0; j < n; ++j) totals[at + j] = static_cast<C>(totals[at + j] + static_cast<C>(beta) * before[j]);
    }
  }
  convertBlock(to, out.dtype, totals, kDtypeOf<C>, count);
}

// Whether whole rows of kept positions are combined at once: where these are neighbours in memory, and where there are so few elements
// to reduce that setting out for each position would cost more than they do.
bool isByColumns(const Walk& walk) {
  const int32_t kept = walk.kept_ndim - 1, reduced = walk.reduced_ndim - 1;
  if (kept < 0 || reduced < 0 || walk.kept[kept] < 16) return false;
  if (walk.kept[2 * kept + 1] == 1 && walk.reduced[2 * reduced + 1] != 1) return true;
  return walk.kept[kept] >= 64 && walk.reducedCount() <= 32;
}

// Kept positions in chunks of neighbours, each with [begin, end) of the reduced elements.
template <class C>
class Columns {
 public:
  Columns(const Operand& x, const Walk& walk)
      : x_(x), walk_(walk), bytes_(kDtypeBytes[x.dtype]), width_(walk.kept[walk.kept_ndim - 1]), stride_(walk.kept[2 * walk.kept_ndim - 1]) {}

  int64_t chunksPerRow() const { return (width_ + kColumns - 1) / kColumns; }
  int64_t chunks() const { return walk_.keptCount() / width_ * chunksPerRow(); }
  int64_t first(int64_t chunk) const { return chunk / chunksPerRow() * width_ + chunk % chunksPerRow() * kColumns; }
  int64_t count(int64_t chunk) const { return least(kColumns, width_ - chunk % chunksPerRow() * kColumns); }

  // Calls use(values, r) for the row of each reduced element r.
  template <class Use>
  void each(int64_t chunk, int64_t begin, int64_t end, const Use& use) const {
    alignas(64) C buffer[kColumns];
    alignas(64) char raw[kColumns * 8];
    const char* base = static_cast<const char*>(x_.data) + walk_.keptPosition(first(chunk)) * bytes_;
    const int64_t n = count(chunk);
    for (int64_t r = begin; r < end; ++r) {
      const char* row = base + (walk_.reduced_ndim == 1 ? r * walk_.reduced[1] : walk_.reducedPosition(r)) * bytes_;
      if (x_.dtype == kDtypeOf<C> && stride_ == 1) {
        use(reinterpret_cast<const C*>(row), r);
        continue;
      }
      if (stride_ != 1) gatherTile(raw, row, bytes_, 1, n, 0, stride_);
      convertBlock(buffer, kDtypeOf<C>, stride_ == 1 ? row : raw, x_.dtype, n);
      use(buffer, r);
    }
  }

 private:
  const Operand& x_;
  const Walk& walk_;
  const int32_t bytes_;
  const int64_t width_, stride_;
};

template <class C>
void totalColumns(const Reduction<C>& f, const Columns<C>& columns, int64_t chunk, Cut range, C* totals) {
  const int64_t n = columns.count(chunk);
  C part[kColumns];
  for (int64_t j = 0; j < n; ++j) totals[j] = f.identity;
  for (int64_t begin = range.begin; begin < range.end; begin += kRowsPerTotal) {
    const int64_t end = least(range.end, begin + kRowsPerTotal);
    const bool whole = range.end - range.begin <= kRowsPerTotal;
    C* to = whole ? totals : part;
    if (!whole) {
      for (int64_t j = 0; j < n; ++j) part[j] = f.identity;
    }
    columns.each(chunk, begin, end, [&](const C* row, int64_t) { f.rows(to, row, n); });
    if (!whole) f.merge(totals, part, n);
  }
}

template <class C>
int32_t reduceColumns(const Reduction<C>& f, const Operand& out, const Operand& x, const Walk& walk, double scale, double beta) {
  const Columns<C> columns(x, walk);
  const int64_t total = walk.reducedCount(), chunks = columns.chunks(), kept = walk.keptCount();
  const int64_t pieces = piecesFor(chunks, total, columns.count(0));
  FreeLater<C> partial;
  if (pieces > 1) AX_TRY(partial.allocate(pieces * kept));
  parallelFor(chunks * pieces, kGrain * pieces / (columns.count(0) * total + 1) + 1, [&](int64_t begin, int64_t end) {
    C totals[kColumns];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task % chunks, piece = task / chunks;
      C* to = pieces == 1 ? totals : partial.values + piece * kept + columns.first(chunk);
      totalColumns(f, columns, chunk, cut(total, pieces, piece), to);
      if (pieces == 1) finish(out, columns.first(chunk), totals, columns.count(chunk), scale, beta);
    }
  });
  if (pieces == 1) return AX_OK;
  for (int64_t step = 1; step < pieces; step *= 2) {
    for (int64_t piece = 0; piece + step < pieces; piece += 2 * step) {
      f.merge(partial.values + piece * kept, partial.values + (piece + step) * kept, kept);
    }
  }
  finish(out, 0, partial.values, kept, scale, beta);
  return AX_OK;
}

template <class C>
struct Best {
  C value;
  int64_t index;
  // The first NaN wins, then the first extreme value.
  void offer(C candidate, int64_t at, bool maximum) {
    if (value != value || (candidate == candidate && !(maximum ? candidate > value : candidate < value))) return;
    value = candidate;
    index = at;
  }
};

// Where a block holds its extreme value first.
template <class C>
int64_t find(const C* values, int64_t count, C wanted) {
  for (int64_t i = 0; i < count; ++i) {
    if (wanted == wanted ? values[i] == wanted : values[i] != values[i]) return i;
  }
  return 0;
}

// An index as wide as the values, so that one comparison selects both.
template <class C>
using IndexOf = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;

template <class C, bool kMaximum>
void bestRows(C* best, IndexOf<C>* index, const C* x, IndexOf<C> row, int64_t count) {
#pragma GCC ivdep
  for (int64_t j = 0; j < count; ++j) {
    const bool better = (kMaximum ? x[j] > best[j] : x[j] < best[j]) | ((x[j] != x[j]) & (best[j] == best[j]));
    best[j] = better ? x[j] : best[j];
    index[j] = better ? row : index[j];
  }
}

template <class C>
int32_t argReduceColumns(int64_t* out, const Operand& x, const Walk& walk, bool maximum) {
  const Columns<C> columns(x, walk);
  const int64_t total = walk.reducedCount();
  parallelFor(columns.chunks(), kGrain / (columns.count(0) * total + 1) + 1, [&](int64_t begin, int64_t end) {
    C best[kColumns];
    IndexOf<C> index[kColumns];
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t n = columns.count(chunk);
      columns.each(chunk, 0, total, [&](const C* row, int64_t r) {
        if (r == 0) {
          for (int64_t j = 0; j < n; ++j) {
            best[j] = row[j];
            index[j] = 0;
          }
        } else {
          (maximum ? bestRows<C, true> : bestRows<C, false>)(best, index, row, static_cast<IndexOf<C>>(r), n);
        }
      });
      convertBlock(out + columns.first(chunk), AX_INT64, index, kDtypeOf<IndexOf<C>>, n);
    }
  });
  return AX_OK;
}

}  // namespace

template <class C>
int32_t reduceBlocks(const Reduction<C>& f, const Operand& out, const Operand& x, const Walk& walk, double scale, double beta) {
  const int64_t kept = walk.keptCount(), total = walk.reducedCount();
  if (kept == 0) return AX_OK;
  if (total > 0 && isByColumns(walk)) return reduceColumns(f, out, x, walk, scale, beta);
  const int64_t pieces = piecesFor(kept, total, 1);
  C partial[16 * kMaxPieces];
  parallelFor(kept * pieces, kGrain * pieces / (total + 1) + 1, [&](int64_t begin, int64_t end) {
    Blocks<C> blocks(x, walk);
    C totals[64];  // waiting for finish()
    for (int64_t task = begin; task < end; ++task) {
      const Cut range = pieces == 1 ? Cut{0, total} : cut(total, pieces, task % pieces);
      Cascade<C> cascade(f);
      blocks.each(pieces == 1 ? task : task / pieces, range.begin, range.end,
                  [&](const C* values, int64_t, int64_t count) { cascade.add(f.run(values, count)); });
      if (pieces > 1) {
        partial[task] = cascade.total();
        continue;
      }
      const int64_t waiting = (task - begin) % 64;
      totals[waiting] = cascade.total();
      if (waiting == 63 || task == end - 1) finish(out, task - waiting, totals, waiting + 1, scale, beta);
    }
  });
  for (int64_t k = 0; pieces > 1 && k < kept; ++k) {
    Cascade<C> cascade(f);
    for (int64_t piece = 0; piece < pieces; ++piece) cascade.add(partial[k * pieces + piece]);
    C value = cascade.total();
    finish(out, k, &value, 1, scale, beta);
  }
  return AX_OK;
}

template <class C>
int32_t argReduceBlocks(int64_t* out, const Operand& x, const Walk& walk, bool maximum) {
  const int64_t kept = walk.keptCount(), total = walk.reducedCount();
  if (kept == 0) return AX_OK;
  if (isByColumns(walk) && total <= INT32_MAX) return argReduceColumns<C>(out, x, walk, maximum);
  const int64_t pieces = piecesFor(kept, total, 1);
  Best<C> partial[16 * kMaxPieces];
  const auto run = maximum ? reduceRun<maths::Max, C> : reduceRun<maths::Min, C>;
  parallelFor(kept * pieces, kGrain * pieces / (total + 1) + 1, [&](int64_t begin, int64_t end) {
    Blocks<C> blocks(x, walk);
    for (int64_t task = begin; task < end; ++task) {
      const Cut range = cut(total, pieces, task % pieces);
      Best<C> best{};
      blocks.each(task / pieces, range.begin, range.end, [&](const C* values, int64_t first, int64_t count) {
        const C extreme = run(values, count);
        if (first == range.begin) {
          best = {extreme, first + find(values, count, extreme)};
        } else {
          const Best<C> before = best;
          best.offer(extreme, first, maximum);
          if (best.index != before.index) best.index = first + find(values, count, extreme);
        }
      });
      if (pieces == 1) out[task] = best.index;
      else partial[task] = best;
    }
  });
  for (int64_t k = 0; pieces > 1 && k < kept; ++k) {
    Best<C> best = partial[k * pieces];
    for (int64_t piece = 1; piece < pieces; ++piece) best.offer(partial[k * pieces + piece].value, partial[k * pieces + piece].index, maximum);
    out[k] = best.index;
  }
  return AX_OK;
}

#define AX_INSTANTIATE(C)                                                                                                   \
  template int32_t reduceBlocks(const Reduction<C>&, const Operand&, const Operand&, const Walk&, double, double);           \
  template int32_t argReduceBlocks<C>(int64_t*, const Operand&, const Walk&, bool);
AX_INSTANTIATE(float)
AX_INSTANTIATE(double)
AX_INSTANTIATE(int64_t)
#undef AX_INSTANTIATE

}  // namespace AX_ISA
}  // namespace ax
