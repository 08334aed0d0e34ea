// See gemm_driver.h for how a product is cut.
#include "cpu/gemm.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "cpu/gemm_driver.h"
#include "cpu/gemm_kernel.h"
#include "cpu/gemm_pack.h"
#include "cpu/gemm_small.h"
#include "cpu/scratch.h"
#include "cpu/thread_pool.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// Steps along k that are packed at once: a strip of A then fills a third of the first-level cache.
constexpr int64_t kDepth = 256;
// Multiplications below which another thread is not worth waking.
constexpr int64_t kGrain = 1 << 17;
constexpr int64_t kPartsPerThread = 4;
// Strips of A that are packed at once where its rows are its columns in memory.
constexpr int64_t kStrips = 4;

thread_local Scratch t_panels, t_sums;

int64_t blockBytes() {
  static const int64_t bytes = [] {
    const long second_level = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return std::clamp<int64_t>(second_level / 2, 128 << 10, 512 << 10);
  }();
  return bytes;
}

template <class P>
class Driver {
  using T = typename GemmSum<P>::type;
  static constexpr int kLanes = Vector<P>::kLanes, kTileCols = kTileColsOf<P>;

 public:
  Driver(const GemmTask<P>& task, bool parallel) : task_(task), parallel_(parallel) {}

  void run() {
    const int64_t depth_room = std::min(task_.k, kDepth);
    block_cols_ = std::min(roundUp(task_.n, kTileCols), blockBytes() / int64_t{sizeof(P)} / kDepth / kTileCols * kTileCols);
    // Sums that have no place in C wait in a block until k is complete.
    block_rows_ = task_.c == nullptr ? std::min<int64_t>(task_.m, kSumRows) : task_.m;
    panels_ = static_cast<P*>(t_panels.atLeast((block_cols_ * depth_room + kLanes) * int64_t{sizeof(P)}));
    if (task_.c == nullptr) sums_ = static_cast<T*>(t_sums.atLeast(block_rows_ * block_cols_ * int64_t{sizeof(T)}));
    alignas(64) P small_panel[kTileCols * kSmallDepth + kLanes];
    alignas(64) T small_sums[kTileRows * kTileCols];
    if (panels_ == nullptr || (task_.c == nullptr && sums_ == nullptr)) {
      // Without memory the product is cut into blocks that the stack holds: slow, but no failure.
      max_depth_ = kSmallDepth;
      block_cols_ = kTileCols;
      block_rows_ = task_.c == nullptr ? kTileRows : task_.m;
      panels_ = small_panel;
      sums_ = small_sums;
    }
    for (int64_t col = 0; col < task_.n; col += block_cols_) {
      col_ = col;
      cols_ = std::min(block_cols_, task_.n - col);
      for (int64_t row = 0; row < task_.m; row += block_rows_) {
        row_ = row;
        rows_ = std::min(block_rows_, task_.m - row);
        for (int64_t start = 0; start == 0 || start < task_.k; start += max_depth_) {
          start_ = start;
          depth_ = std::min(max_depth_, task_.k - start);
          packB();
          multiplyBlock();
        }
      }
    }
  }

 private:
  static constexpr int64_t kSumRows = 1024, kSmallDepth = 32;

  template <class Body>
  void forParts(int64_t count, int64_t grain, const Body& body) {
    if (parallel_) {
      parallelFor(count, grain, body);
    } else {
      body(int64_t{0}, count);
    }
  }

  template <int kWidth>
  static void pack(P* panel, const GemmLines<P>& lines, int64_t first, int64_t count, int64_t start, int64_t depth) {
    if (lines.pack != nullptr) {
      lines.pack(lines.source, panel, kWidth, first, count, start, depth);
    } else if constexpr (std::is_floating_point_v<P>) {
      packLines<P, P, kWidth>(panel, lines.x, lines.ld, lines.contiguous, first, count, start, depth);
    }
  }

  void packB() {
    const int64_t panels = (cols_ + kTileCols - 1) / kTileCols;
    forParts(panels, kGrain / 8 / (kTileCols * (depth_ + 1)) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        pack<kTileCols>(panels_ + j * kTileCols * depth_, task_.b, col_ + j * kTileCols,
                        std::min<int64_t>(kTileCols, cols_ - j * kTileCols), start_, depth_);
      }
    });
  }

  // The block is cut into more parts than there are threads, which take the next one when they are done: a thread that other
  // processes hold up then delays the others little. What a part computes does not depend on who takes it.
  void multiplyBlock() {
    const int64_t threads = parallel_ && rows_ * cols_ * (depth_ + 1) > kGrain ? threadCount() : 1;
    const int64_t panels = (cols_ + kTileCols - 1) / kTileCols;
    int64_t strips = (rows_ + kTileRows - 1) / kTileRows, row_parts = 1, col_parts = 1;
    if (threads > 1) {
      const int64_t wanted = kPartsPerThread * threads;
      // Equal parts: as many strips in each.
      strips = std::min(roundUp(strips, strips < wanted ? threads : wanted), rows_);
      row_parts = std::min(strips, wanted);
      col_parts = std::min(panels, wanted / row_parts);
    }
    const auto multiplyPart = [&](int64_t part) {
      const int64_t r = part / col_parts, c = part % col_parts;
      const int64_t left = c * panels / col_parts * kTileCols, right = std::min((c + 1) * panels / col_parts * kTileCols, cols_);
      const int64_t last = (r + 1) * strips / row_parts;
      for (int64_t s = r * strips / row_parts, count; s < last; s += count) {
        count = std::min(kStrips, last - s);
        // Strips have nearly the same height, so that the last one is as good as the others.
        int64_t tops[kStrips + 1];
        for (int64_t i = 0; i <= count; ++i) tops[i] = (s + i) * rows_ / strips;
        multiplyStrips(tops, count, left, right);
      }
    };
    const int64_t parts = row_parts * col_parts;
    if (threads == 1) return multiplyPart(0);
    std::atomic<int64_t> next{0};
    parallelFor(std::min(threads, parts), 1, [&](int64_t, int64_t) {
      for (int64_t part = next++; part < parts; part = next++) multiplyPart(part);
    });
  }

  // Strip i has the rows from tops[i] to tops[i + 1].
  void multiplyStrips(const int64_t* tops, int64_t count, int64_t left, int64_t right) {
    constexpr int64_t kStrip = kTileRows * kDepth;
    alignas(64) P strips[kStrips * kStrip + kLanes];
    const GemmLines<P>& a = task_.a;
    if constexpr (std::is_floating_point_v<P>) {
      const int64_t first = row_ + tops[0];
      if (a.pack == nullptr && !a.contiguous && count > 1 && row_ + tops[count - 1] + kTileRows <= task_.m) {
        int64_t lines[kStrips];
        for (int64_t i = 0; i < count; ++i) lines[i] = row_ + tops[i] - first;
        packNeighbourPanels<P, kTileRows>(strips, kStrip, a.x + start_ * a.ld + first, a.ld, lines, count, depth_);
        for (int64_t i = 0; i < count; ++i) multiplyStrip(strips + i * kStrip, tops[i], tops[i + 1], left, right);
        return;
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      pack<kTileRows>(strips, a, row_ + tops[i], tops[i + 1] - tops[i], start_, depth_);
      multiplyStrip(strips, tops[i], tops[i + 1], left, right);
    }
  }

  void multiplyStrip(const P* strip, int64_t top, int64_t bottom, int64_t left, int64_t right) {
    const int64_t rows = bottom - top;
    const T beta = start_ == 0 ? task_.beta : T(1);
    const Kernel<P> wide = kernelFor<P>(rows, 2), narrow = kernelFor<P>(rows, 1);
    T* const sums = task_.c == nullptr ? sums_ + top * block_cols_ : task_.c + (row_ + top) * task_.ldc + col_;
    const int64_t ld = task_.c == nullptr ? block_cols_ : task_.ldc;
    for (int64_t j = left; j < right; j += kTileCols) {
      const P* const panel = panels_ + j * depth_;
      const int64_t cols = right - j;
      if (cols >= kTileCols) {
        wide(depth_, strip, panel, sums + j, ld, task_.alpha, beta);
      } else if (cols == kLanes) {
        narrow(depth_, strip, panel, sums + j, ld, task_.alpha, beta);
      } else {
        alignas(64) T tile[kTileRows * kTileCols];
        (cols > kLanes ? wide : narrow)(depth_, strip, panel, tile, kTileCols, task_.alpha, T(0));
        addTile(sums + j, ld, tile, rows, cols, beta);
      }
    }
    const bool is_last = start_ + depth_ >= task_.k;
    if (is_last && task_.finish != nullptr) {
      task_.finish(task_.context, sums + left, ld, row_ + top, col_ + left, rows, right - left);
    }
  }

  const GemmTask<P>& task_;
  const bool parallel_;
  int64_t max_depth_ = kDepth, block_cols_ = 0, block_rows_ = 0;
  int64_t col_ = 0, cols_ = 0, row_ = 0, rows_ = 0, start_ = 0, depth_ = 0;  // the current block
  P* panels_ = nullptr;
  T* sums_ = nullptr;
};

template <class T>
GemmTask<T> taskOf(const Gemm<T>& g) {
  return {g.m, g.n, g.k, g.a, g.b, g.c, g.ldc, g.alpha, g.beta, nullptr, nullptr};
}

}  // namespace

template <class P>
void runGemm(const GemmTask<P>& task, bool parallel) {
  if (task.m == 0 || task.n == 0) return;
  if constexpr (std::is_floating_point_v<P>) {
    if (isVector(task)) return multiplyVector(task, parallel ? kGrain / 4 / (task.k + 1) + 1 : 0);
    if (isSmall(task)) return multiplySmall(task, parallel && task.m * task.n * task.k > kGrain ? threadCount() : 1);
  }
  Driver<P>(task, parallel).run();
}

template <class T>
void gemmSerial(const Gemm<T>& product) {
  runGemm<T>(taskOf(product), false);
}

template <class T>
void gemm(const Gemm<T>& product) {
  runGemm<T>(taskOf(product), true);
}

template void runGemm<float>(const GemmTask<float>&, bool);
template void runGemm<double>(const GemmTask<double>&, bool);
#ifdef __AVX512F__
template void runGemm<BFloat16Pair>(const GemmTask<BFloat16Pair>&, bool);
#endif
template void gemmSerial<float>(const Gemm<float>&);
template void gemmSerial<double>(const Gemm<double>&);
template void gemm<float>(const Gemm<float>&);
template void gemm<double>(const Gemm<double>&);

}  // namespace AX_ISA
}  // namespace ax
