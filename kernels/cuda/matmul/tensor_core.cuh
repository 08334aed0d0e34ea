// A block's tile of a product on the tensor cores: copies of the next tiles are under way while warps multiply the present one.
//
// kStages tiles of both operands lie in shared memory. A warp has its part of the block's tile in registers (64 x 64 in the large ones: a
// step of 16 along k reads 4 KiB of shared memory, 32 clocks, for 65,536 multiplications, 64 clocks on sm_80), and reads the fragments of a
// step while it multiplies those of the step before.
#ifndef AX_CUDA_MATMUL_TENSOR_CORE_CUH_
#define AX_CUDA_MATMUL_TENSOR_CORE_CUH_
#include "cuda/matmul/operand_tile.cuh"
#include "cuda/matmul/work.cuh"

namespace ax {
inline namespace AX_ISA {

// Sizes of a block's tile, of a warp's part, and how many tiles are kept; kBlocks blocks share a multiprocessor.
template <int kM_, int kN_, int kWarpM_, int kWarpN_, int kStages_, int kBlocks_>
struct TensorTile {
  static constexpr int kM = kM_, kN = kN_, kWarpM = kWarpM_, kWarpN = kWarpN_, kStages = kStages_, kBlocks = kBlocks_;
  static constexpr int kDepthBytes = 64, kSteps = kDepthBytes / 32;
  static constexpr int kWarpsM = kM / kWarpM, kThreads = kWarpsM * (kN / kWarpN) * 32;
  static constexpr int kStageBytes = (kM + kN) * kDepthBytes;
  // Results pass through shared memory in strips of 16 rows; the padding keeps 4 rows in different banks.
  static constexpr int kStripLd = kWarpN + 8;
  static constexpr int kPipelineBytes = kStages * kStageBytes, kStripBytes = kThreads / 32 * 16 * kStripLd * 4;
  static constexpr int kSharedBytes = kPipelineBytes > kStripBytes ? kPipelineBytes : kStripBytes;
};

// What the tensor cores multiply.
struct BFloat16Product {
  using Storage = BFloat16;
  AX_DEVICE static void prepare(uint32_t (&)[4]) {}
  AX_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { hw::mmaBFloat16(d, a, b); }
};
struct Float16Product {
  using Storage = Float16;
  AX_DEVICE static void prepare(uint32_t (&)[4]) {}
  AX_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { hw::mmaFloat16(d, a, b); }
};
struct Tf32Product {
  using Storage = float;
  AX_DEVICE static void prepare(uint32_t (&registers)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) registers[i] = hw::roundToTf32(__uint_as_float(registers[i]));
  }
  AX_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { hw::mmaTf32(d, a, b); }
};

// A warp's fragments of one step.
template <class P, class Tile>
struct Fragments {
  uint32_t a[Tile::kWarpM / 16][4], b[Tile::kWarpN / 16][4];

  template <class TileA, class TileB>
  AX_DEVICE void load(const unsigned char* stage, int row, int col, int step) {
#pragma unroll
    for (int i = 0; i < Tile::kWarpM / 16; ++i) TileA::fragment(a[i], stage, row + i * 16, step);
#pragma unroll
    for (int j = 0; j < Tile::kWarpN / 16; ++j) TileB::fragment(b[j], stage + TileA::kBytes, col + j * 16, step);
  }

  AX_DEVICE void prepare() {
#pragma unroll
    for (int i = 0; i < Tile::kWarpM / 16; ++i) P::prepare(a[i]);
#pragma unroll
    for (int j = 0; j < Tile::kWarpN / 16; ++j) P::prepare(b[j]);
  }

  AX_DEVICE void multiplyInto(float (&sums)[Tile::kWarpM / 16][Tile::kWarpN / 8][4]) const {
#pragma unroll
    for (int i = 0; i < Tile::kWarpM / 16; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::kWarpN / 16; ++j) {
        const uint32_t left[2] = {b[j][0], b[j][2]}, right[2] = {b[j][1], b[j][3]};
        P::multiply(sums[i][2 * j], a[i], left);
        P::multiply(sums[i][2 * j + 1], a[i], right);
      }
    }
  }
};

// Brings a warp's sums to where they belong. `strip` is the warp's own part of shared memory.
template <class Tile, class S>
AX_DEVICE void writeSums(const float (&sums)[Tile::kWarpM / 16][Tile::kWarpN / 8][4], float* strip, const Work<S>& work, const TilePlace& place,
                         int row0, int col0) {
  constexpr int kPairs = Tile::kWarpN / 2, kRowsAtOnce = 32 / kPairs;
  static_assert(kPairs <= 32);
  const int lane = threadIdx.x % 32;
  const int32_t col = col0 + lane % kPairs * 2;
#pragma unroll 1
  for (int i = 0; i < Tile::kWarpM / 16; ++i) {
#pragma unroll
    for (int known = 0; known < Tile::kWarpM / 16; ++known) {
      if (known != i) continue;  // registers have no index at run time
#pragma unroll
      for (int j = 0; j < Tile::kWarpN / 8; ++j) {
        float* const to = strip + lane / 4 * Tile::kStripLd + j * 8 + lane % 4 * 2;
        *reinterpret_cast<float2*>(to) = make_float2(sums[known][j][0], sums[known][j][1]);
        *reinterpret_cast<float2*>(to + 8 * Tile::kStripLd) = make_float2(sums[known][j][2], sums[known][j][3]);
      }
    }
    __syncwarp();
#pragma unroll 1
    for (int r = lane / kPairs; r < 16; r += kRowsAtOnce) {
      const int32_t row = row0 + i * 16 + r;
      if (row >= work.s.m || col >= work.s.n) break;
      const float2 pair = *reinterpret_cast<const float2*>(strip + r * Tile::kStripLd + lane % kPairs * 2);
      if (work.partials != nullptr) {
        float* const to = partialOf(work, place.split, place.batch, row, col);
        to[0] = pair.x;
        if (col + 1 < work.s.n) to[1] = pair.y;
      } else {
        work.finish.storePair(place.batch, row, col, pair.x, pair.y);
      }
    }
    __syncwarp();
  }
}

template <class P, class Tile, bool kTransposeA, bool kTransposeB, bool kIsAligned>
__global__ void AX_MAX_THREADS(Tile::kThreads, Tile::kBlocks) tensorProductKernel(const __grid_constant__ Work<typename P::Storage> work) {
  using S = typename P::Storage;
  using TileA = OperandTile<S, Tile::kM, Tile::kDepthBytes, !kTransposeA, kIsAligned, Tile::kThreads>;
  using TileB = OperandTile<S, Tile::kN, Tile::kDepthBytes, kTransposeB, kIsAligned, Tile::kThreads>;
  constexpr int kDepth = TileA::kDepth, kStages = Tile::kStages, kSteps = Tile::kSteps;
  static_assert(kSteps % 2 == 0 || kSteps == 1);
  AX_DYNAMIC_SHARED(shared);
  const ProductShape& s = work.s;
  const TilePlace place = placeOfBlock(work, Tile::kM, Tile::kN);
  // Without alignment the layout is known at run time only.
  const bool transposed_a = kIsAligned ? kTransposeA : s.transpose_a != 0, transposed_b = kIsAligned ? !kTransposeB : s.transpose_b == 0;
  const S* const a = work.a + int64_t{place.batch} * s.batch_a;
  const S* const b = work.b + int64_t{place.batch} * s.batch_b;
  const OperandPart<S> part_a = {a + (transposed_a ? place.row + int64_t{place.k} * s.lda : place.row * int64_t{s.lda} + place.k), s.lda,
                                 s.m - place.row, place.depth, transposed_a};
  const OperandPart<S> part_b = {b + (transposed_b ? place.col + int64_t{place.k} * s.ldb : place.col * int64_t{s.ldb} + place.k), s.ldb,
                                 s.n - place.col, place.depth, transposed_b};
  const int tiles = (place.depth + kDepth - 1) / kDepth;
  const auto bring = [&](int tile) {
    if (tile < tiles) {
      unsigned char* const stage = shared + tile % kStages * Tile::kStageBytes;
      TileA::copy(stage, part_a, tile * kDepth);
      TileB::copy(stage + TileA::kBytes, part_b, tile * kDepth);
    }
    hw::commitCopies();  // also when empty: groups are counted
  };

  const int warp = threadIdx.x / 32, row = warp % Tile::kWarpsM * Tile::kWarpM, col = warp / Tile::kWarpsM * Tile::kWarpN;
  float sums[Tile::kWarpM / 16][Tile::kWarpN / 8][4] = {};
  Fragments<P, Tile> fragments[2];
#pragma unroll 1
  for (int tile = 0; tile < kStages - 1; ++tile) bring(tile);
  hw::waitForCopies<kStages - 2>();
  __syncthreads();
  if (tiles > 0) fragments[0].template load<TileA, TileB>(shared, row, col, 0);
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      Fragments<P, Tile>&now = fragments[step % 2], &next = fragments[(step + 1) % 2];
      if (step == kSteps - 1) {
        // The next tile is there, and nobody reads this one any more.
        hw::waitForCopies<kStages - 2>();
        __syncthreads();
        next.template load<TileA, TileB>(shared + (tile + 1) % kStages * Tile::kStageBytes, row, col, 0);
      } else {
        next.template load<TileA, TileB>(shared + tile % kStages * Tile::kStageBytes, row, col, step + 1);
      }
      if (step == 0) bring(tile + kStages - 1);
      now.prepare();
      now.multiplyInto(sums);
    }
  }
  hw::waitForAllCopies();
  __syncthreads();  // behind the last step's look ahead, whose fragments nobody uses
  float* const strip = reinterpret_cast<float*>(shared) + warp * 16 * Tile::kStripLd;
  writeSums<Tile>(sums, strip, work, place, place.row + row, place.col + col);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_MATMUL_TENSOR_CORE_CUH_
