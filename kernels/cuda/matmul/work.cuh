// What every kernel over tiles is told, and which tile a block has.
#ifndef AX_CUDA_MATMUL_WORK_CUH_
#define AX_CUDA_MATMUL_WORK_CUH_
#include "cuda/matmul/finish.cuh"
#include "cuda/matmul/plan.h"

namespace ax {
inline namespace AX_ISA {

template <class S>
struct Work {
  using T = Compute<S>;
  ProductShape s;
  const S *a, *b;
  Finish<S> finish;
  T* partials;  // (split, batch, m, n), where k is split
  int32_t tiles_m, tiles_n, splits, split_depth;

  int64_t blocks() const { return int64_t{tiles_m} * tiles_n * splits * s.batch; }
};

// A block's tile and its part of k. Blocks are numbered so that those that run at the same time share rows and columns in the second-level
// cache: down kGroup tiles, then to the right.
struct TilePlace {
  int32_t row, col, k, depth, split, batch;
};

template <class S>
AX_DEVICE TilePlace placeOfBlock(const Work<S>& work, int32_t tile_m, int32_t tile_n) {
  constexpr int32_t kGroup = 8;
  const int32_t tiles = work.tiles_m * work.tiles_n;
  const int32_t tile = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(tiles));
  const int32_t rest = static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(tiles));
  const int32_t group = tile / (kGroup * work.tiles_n), in_group = tile % (kGroup * work.tiles_n);
  const int32_t group_rows = min(work.tiles_m - group * kGroup, kGroup);
  TilePlace place;
  place.row = (group * kGroup + in_group % group_rows) * tile_m;
  place.col = in_group / group_rows * tile_n;
  place.split = rest % work.splits;
  place.batch = rest / work.splits;
  place.k = place.split * work.split_depth;
  place.depth = min(work.s.k - place.k, work.split_depth);
  return place;
}

// Where split `split` keeps its sum for an element.
template <class S>
AX_DEVICE typename Work<S>::T* partialOf(const Work<S>& work, int64_t split, int64_t batch, int64_t row, int64_t col) {
  return work.partials + ((split * work.s.batch + batch) * work.s.m + row) * work.s.n + col;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_WORK_CUH_
