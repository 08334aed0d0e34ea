// A block's tile of a product on the ordinary units, in float or double.
//
// 256 threads have a part of the tile each, 8 x 8 in the large one: of a step along k a thread reads 64 bytes of shared memory for 64
// multiplications. Two tiles of kDepth steps lie in shared memory, as rows of one place on k: while one is multiplied, the next is on its
// way through registers.
#ifndef AX_CUDA_MATMUL_SIMT_CUH_
#define AX_CUDA_MATMUL_SIMT_CUH_
#include "cuda/matmul/work.cuh"

namespace ax {
inline namespace AX_ISA {

template <class T>
struct alignas(16) Quad {
  T v[4];
};

template <class T_, int kM_, int kN_, int kDepth_, int kBlocks_>
struct SimtTile {
  using T = T_;
  static constexpr int kM = kM_, kN = kN_, kDepth = kDepth_, kBlocks = kBlocks_, kThreads = 256;
  // 16 x 16 threads; a thread has groups of 4 rows and 4 columns, 64 apart.
  static constexpr int kGroupsM = kM / 64, kGroupsN = kN / 64;
  // Padding: the threads that turn quads along k into columns write to different banks.
  static constexpr int kLdA = kM + 4, kLdB = kN + 4;
  static constexpr int kStage = kDepth * (kLdA + kLdB);
  static constexpr int kStrip = 16 * kN;  // one row of every thread
  static constexpr int kSharedBytes = (2 * kStage > kStrip ? 2 * kStage : kStrip) * static_cast<int>(sizeof(T));
};

// An operand's part of a block, as a thread walks through it: it brings one quad of each tile, which lies along the rows of the matrix.
template <class T, int kLines, int kDepth>
struct SimtOperand {
  static_assert(kLines * kDepth == 4 * 256);
  const T* from;
  int64_t step;             // to the quad of the next tile
  int32_t rows_left, cols_left;  // of the matrix, from the quad on; below 1 outside
  bool along_k, has_quads;

  // `data` is the element of line 0 and place 0 on k, `lines` and `depth` what is left of the matrix from there.
  AX_DEVICE SimtOperand(const T* data, int64_t ld, int32_t lines, int32_t depth, bool along_k_, bool has_quads_)
      : along_k(along_k_), has_quads(has_quads_) {
    const int row = along_k ? line() : place(), col = along_k ? place() : line();
    from = data + row * ld + col;
    step = along_k ? kDepth : kDepth * ld;
    rows_left = (along_k ? lines : depth) - row;
    cols_left = (along_k ? depth : lines) - col;
  }

  AX_DEVICE int line() const { return along_k ? threadIdx.x / (kDepth / 4) : threadIdx.x % (kLines / 4) * 4; }
  AX_DEVICE int place() const { return along_k ? threadIdx.x % (kDepth / 4) * 4 : threadIdx.x / (kLines / 4); }

  AX_DEVICE Quad<T> load() const {
    Quad<T> quad{};
    if (rows_left < 1) return quad;
    if (has_quads && cols_left >= 4) return *reinterpret_cast<const Quad<T>*>(from);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < cols_left) quad.v[i] = from[i];
    }
    return quad;
  }

  AX_DEVICE void advance() {
    from += step;
    if (along_k) cols_left -= kDepth;
    else rows_left -= kDepth;
  }

  AX_DEVICE void store(T* tile, int tile_ld, const Quad<T>& quad) const {
    T* const to = tile + place() * tile_ld + line();
    if (along_k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) to[i * tile_ld] = quad.v[i];
    } else {
      *reinterpret_cast<Quad<T>*>(to) = quad;
    }
  }
};

// Where a thread's first groups begin. A warp is 4 x 8 threads: its quads of a are 64 bytes, those of b 128.
AX_DEVICE int firstRowOfThread() { return (threadIdx.x / 64 * 4 + threadIdx.x % 32 / 8) * 4; }
AX_DEVICE int firstColOfThread() { return (threadIdx.x / 32 % 2 * 8 + threadIdx.x % 8) * 4; }

// Products of one tile in shared memory.
template <class Tile, class T>
AX_DEVICE void multiplyTile(T (&sums)[Tile::kGroupsM * 4][Tile::kGroupsN * 4], const T* tile_a, const T* tile_b, int row, int col) {
#pragma unroll
  for (int k = 0; k < Tile::kDepth; ++k) {
    Quad<T> a[Tile::kGroupsM], b[Tile::kGroupsN];
#pragma unroll
    for (int g = 0; g < Tile::kGroupsM; ++g) a[g] = *reinterpret_cast<const Quad<T>*>(tile_a + k * Tile::kLdA + g * 64 + row);
#pragma unroll
    for (int g = 0; g < Tile::kGroupsN; ++g) b[g] = *reinterpret_cast<const Quad<T>*>(tile_b + k * Tile::kLdB + g * 64 + col);
#pragma unroll
    for (int i = 0; i < Tile::kGroupsM * 4; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::kGroupsN * 4; ++j) sums[i][j] += a[i / 4].v[i % 4] * b[j / 4].v[j % 4];
    }
  }
}

// Hands the sums to `write(row, col, sum)`, with places in the tile, one row of every thread at a time: registers have no index at run time,
// and what follows a sum must stand once.
template <class Tile, class T, class Write>
AX_DEVICE void writeTile(const T (&sums)[Tile::kGroupsM * 4][Tile::kGroupsN * 4], T* strip, int row, int col, const Write& write) {
#pragma unroll 1
  for (int i = 0; i < Tile::kGroupsM * 4; ++i) {
    __syncthreads();
#pragma unroll
    for (int known = 0; known < Tile::kGroupsM * 4; ++known) {
      if (known != i) continue;
#pragma unroll
      for (int g = 0; g < Tile::kGroupsN; ++g) {
        Quad<T> quad;
#pragma unroll
        for (int j = 0; j < 4; ++j) quad.v[j] = sums[known][g * 4 + j];
        *reinterpret_cast<Quad<T>*>(strip + row / 4 * Tile::kN + g * 64 + col) = quad;
      }
    }
    __syncthreads();
#pragma unroll 1
    for (int e = threadIdx.x; e < Tile::kStrip; e += Tile::kThreads) write(i / 4 * 64 + e / Tile::kN * 4 + i % 4, e % Tile::kN, strip[e]);
  }
}

template <class Tile>
__global__ void AX_MAX_THREADS(Tile::kThreads, Tile::kBlocks)
    simtProductKernel(const __grid_constant__ Work<typename Tile::T> work, bool quads_a, bool quads_b) {
  using T = typename Tile::T;
  AX_DYNAMIC_SHARED(shared);
  AX_SHARED(TilePlace, kept);
  const ProductShape& s = work.s;
  const TilePlace place = placeOfBlock(work, Tile::kM, Tile::kN);
  if (threadIdx.x == 0) kept = place;  // for the end: registers are scarce meanwhile
  const T* const a = work.a + int64_t{place.batch} * s.batch_a;
  const T* const b = work.b + int64_t{place.batch} * s.batch_b;
  SimtOperand<T, Tile::kM, Tile::kDepth> part_a(
      a + (s.transpose_a ? place.row + int64_t{place.k} * s.lda : place.row * int64_t{s.lda} + place.k), s.lda, s.m - place.row, place.depth,
      s.transpose_a == 0, quads_a);
  SimtOperand<T, Tile::kN, Tile::kDepth> part_b(
      b + (s.transpose_b ? place.col * int64_t{s.ldb} + place.k : place.col + int64_t{place.k} * s.ldb), s.ldb, s.n - place.col, place.depth,
      s.transpose_b != 0, quads_b);
  T* const stages = reinterpret_cast<T*>(shared);
  const int row = firstRowOfThread(), col = firstColOfThread();
  const int tiles = (place.depth + Tile::kDepth - 1) / Tile::kDepth;
  T sums[Tile::kGroupsM * 4][Tile::kGroupsN * 4] = {};
  if (tiles > 0) {
    part_a.store(stages, Tile::kLdA, part_a.load());
    part_b.store(stages + Tile::kDepth * Tile::kLdA, Tile::kLdB, part_b.load());
  }
  __syncthreads();
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    const T* const now = stages + tile % 2 * Tile::kStage;
    T* const next = stages + (tile + 1) % 2 * Tile::kStage;
    const bool is_last = tile + 1 == tiles;
    Quad<T> quad_a{}, quad_b{};
    if (!is_last) {
      part_a.advance();
      part_b.advance();
      quad_a = part_a.load();
      quad_b = part_b.load();
    }
    multiplyTile<Tile>(sums, now, now + Tile::kDepth * Tile::kLdA, row, col);
    if (!is_last) {
      part_a.store(next, Tile::kLdA, quad_a);
      part_b.store(next + Tile::kDepth * Tile::kLdA, Tile::kLdB, quad_b);
    }
    __syncthreads();
  }
  writeTile<Tile>(sums, stages, row, col, [&](int tile_row, int tile_col, T sum) {
    const int32_t to_row = kept.row + tile_row, to_col = kept.col + tile_col;
    if (to_row >= s.m || to_col >= s.n) return;
    if (work.partials != nullptr) {
      *partialOf(work, kept.split, kept.batch, to_row, to_col) = sum;
    } else {
      work.finish.store(kept.batch, to_row, to_col, sum);
    }
  });
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_SIMT_CUH_
