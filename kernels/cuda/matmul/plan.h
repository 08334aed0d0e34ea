// How a matrix product is cut into work for a GPU: a pure function of sizes, layout and the number of multiprocessors.
#ifndef AX_CUDA_MATMUL_PLAN_H_
#define AX_CUDA_MATMUL_PLAN_H_
#include <stdint.h>

#include "common/product.h"

namespace ax {
inline namespace AX_ISA {

enum class Method : int32_t {
  kThread,  // a thread for each result
  kWarp,    // a warp for each result
  kTiles,   // a block for each tile
};

// Sizes of a tile and what it costs. `rate` is the share of a multiprocessor's peak that a block of this tile can reach: a small tile
// reads more of shared and global memory for each multiplication.
struct TileShape {
  int32_t m, n;
  double rate;
};

struct Plan {
  Method method = Method::kTiles;
  int32_t tile = 0;    // index into the tiles that were offered
  int32_t splits = 1;  // parts of k, whose sums are added in order
  int32_t split_depth = 0;
};

// Constants of the model, in clocks of one multiprocessor.
struct Costs {
  double multiplications;      // a clock, at peak
  double block_start;          // filling the pipeline and writing results
  double bytes_a_clock = 16;   // of global memory, for the sums of a split product
  double second_launch = 4000;
};

constexpr int64_t kMaxSplits = 32, kLeastSplitDepth = 256;
// Kernels for few results and for sums of parts count in 32 bits.
constexpr int64_t kMaxCounted = int64_t{1} << 26;
constexpr int64_t kMaxThreadOutputs = 1 << 14, kMaxThreadDepth = 64, kMaxWarpOutputs = 512, kMaxSkinny = 4;

inline int64_t divideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Few results with a short sum take a thread each, few results with a long one a warp each. A matrix times a few vectors takes warps as
// long as both operands are read along k.
inline Method chooseMethod(const ProductShape& s) {
  const int64_t outputs = int64_t{s.batch} * s.m * s.n;
  if (s.k <= kMaxThreadDepth / 2 && outputs <= kMaxThreadOutputs) return Method::kThread;
  if (outputs <= kMaxWarpOutputs && s.k <= 4096) return Method::kWarp;
  if (s.k <= kMaxThreadDepth && outputs <= kMaxThreadOutputs) return Method::kThread;
  const bool is_skinny = s.m <= kMaxSkinny || s.n <= kMaxSkinny;
  const bool along_k = (s.m == 1 || s.transpose_a == 0) && (s.n == 1 || s.transpose_b != 0);
  return is_skinny && along_k && outputs <= kMaxCounted ? Method::kWarp : Method::kTiles;
}

// The tile, and the number of parts of k, for which the slowest multiprocessor is done first.
inline Plan choosePlan(const ProductShape& s, const TileShape* tiles, int32_t tile_count, int32_t multiprocessors, const Costs& costs,
                       int32_t depth) {
  Plan best;
  best.split_depth = s.k;
  best.method = chooseMethod(s);
  if (best.method != Method::kTiles) return best;
  double least = -1;
  for (int32_t t = 0; t < tile_count; ++t) {
    const int64_t blocks = divideUp(s.m, tiles[t].m) * divideUp(s.n, tiles[t].n) * s.batch;
    for (int64_t wanted = 1; wanted <= kMaxSplits; ++wanted) {
      const int64_t split_depth = divideUp(divideUp(s.k, wanted), depth) * depth;
      const int64_t splits = split_depth == 0 ? 1 : divideUp(s.k, split_depth);
      if (wanted > 1 && (int64_t{s.batch} * s.m * s.n > kMaxCounted || split_depth < kLeastSplitDepth || splits != wanted)) continue;
      const double rounds = static_cast<double>(divideUp(blocks * splits, multiprocessors));
      const double k = static_cast<double>(splits == 1 ? s.k : split_depth);
      double clocks = rounds * (tiles[t].m * tiles[t].n * k / (costs.multiplications * tiles[t].rate) + costs.block_start);
      if (splits > 1) {
        const double bytes = 2.0 * sizeof(float) * static_cast<double>(splits) * s.batch * s.m * s.n;
        clocks += costs.second_launch + bytes / (costs.bytes_a_clock * multiprocessors);
      }
      if (least >= 0 && clocks >= least) continue;
      least = clocks;
      best.tile = t;
      best.splits = static_cast<int32_t>(splits);
      best.split_depth = splits == 1 ? s.k : static_cast<int32_t>(split_depth);
    }
  }
  return best;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_PLAN_H_
