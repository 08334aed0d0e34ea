// Checks of the primitives of sm_90a: a ring of tiles that one warp fills and a warpgroup multiplies, stored through the accelerator. Every
// value is a small integer, so results are exact; matrices end inside tiles, so that what lies outside is read as 0 and not written.
#include <stdint.h>

#include "hw/conformance.h"
#include "hw/conformance_arrays.h"
#include "hw/cuda.h"
#include "hw/wgmma.h"

namespace hw {
namespace {

constexpr int kRows = 64, kDepth = 64, kStages = 3, kThreads = 256;  // the second warpgroup multiplies
constexpr uint32_t kTileBytes = 64 * 128;

// out (rows, cols) = a b, where a is (rows, depth) or, with Major::kOther, stored as (depth, rows); b is (cols, depth) or (depth, cols).
template <Major kMajorA, Major kMajorB, int kCols>
__global__ void AX_MAX_THREADS(kThreads, 1) ringKernel(const __grid_constant__ TileMap a, const __grid_constant__ TileMap b,
                                                       const __grid_constant__ TileMap out, int depth) {
  AX_DYNAMIC_SHARED(memory);
  constexpr uint32_t kBytesB = kTileBytes * (kCols / 64), kStageBytes = kTileBytes + kBytesB;
  Mbarrier* const full = reinterpret_cast<Mbarrier*>(memory + kStages * kStageBytes + kRows * kCols * sizeof(float));
  Mbarrier* const empty = full + kStages;
  float* const results = reinterpret_cast<float*>(memory + kStages * kStageBytes);
  const int thread = threadIdx.x, steps = (depth + kDepth - 1) / kDepth;
  if (thread == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      initBarrier(full + stage, 1);
      initBarrier(empty + stage, 4);
    }
    fenceBarrierInit();
  }
  __syncthreads();
  if (thread < 128) {
    if (thread != 0) return;
    for (int step = 0; step < steps; ++step) {
      const int stage = step % kStages, turn = step / kStages % 2;
      unsigned char* const tile_a = memory + stage * kStageBytes;
      waitForPhase(empty + stage, turn ^ 1);
      arriveAndExpect(full + stage, kStageBytes);
      loadTile(tile_a, &a, full + stage, kMajorA == Major::kDepth ? step * kDepth : 0, kMajorA == Major::kDepth ? 0 : step * kDepth);
      for (int part = 0; part < kCols / 64; ++part) {
        loadTile(tile_a + kTileBytes * (1 + part), &b, full + stage, kMajorB == Major::kDepth ? step * kDepth : part * 64,
                 kMajorB == Major::kDepth ? part * 64 : step * kDepth);
      }
    }
    return;
  }
  float sums[kCols / 2];
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages, turn = step / kStages % 2;
    const uint32_t tile_a = sharedAddress(memory) + stage * kStageBytes, tile_b = tile_a + kTileBytes;
    waitForPhase(full + stage, turn);
    fenceProducts();
#pragma unroll
    for (int part = 0; part < kDepth / 16; ++part) {
      const uint32_t next_a = kMajorA == Major::kDepth ? 32 : 2048, next_b = kMajorB == Major::kDepth ? 32 : 2048;
      multiplyTiles<TileType::kBFloat16, kMajorA, kMajorB, kCols>(sums, describeOperand(tile_a + part * next_a, kMajorA, kTileBytes),
                                                                  describeOperand(tile_b + part * next_b, kMajorB, kTileBytes),
                                                                  step > 0 || part > 0);
    }
    commitProducts();
    waitForProducts<0>();
    if (thread % 32 == 0) arrive(empty + stage);
  }
  const int row = thread % 128 / 32 * 16 + thread % 32 / 4, col = thread % 4 * 2;
#pragma unroll
  for (int i = 0; i < kCols / 2; ++i) results[(row + i / 2 % 2 * 8) * kCols + i / 4 * 8 + col + i % 2] = sums[i];
  fenceForTiles();
  syncSome(1, 128);
  if (thread != 128) return;
  storeTile(&out, results, 0, 0);
  commitStores();
  waitForStores<0>();
  addTile(&out, results, 0, 0);  // twice the product
  commitStores();
  waitForStores<0>();
}

template <Major kMajorA, Major kMajorB, int kCols>
int checkRing() {
  constexpr int kRowsThere = 61, kColsThere = kCols - 3, kSteps = 64 * 7 - 8, kPitch = 512;  // 7 steps in a ring of 3
  const auto valueA = [](int row, int k) { return (row * 7 + k * 3) % 11 - 5; };
  const auto valueB = [](int k, int col) { return (k * 5 + col * 13) % 9 - 4; };
  std::vector<uint16_t> a(kPitch * kPitch), b(kPitch * kPitch);
  const auto encode = [](int value) { return static_cast<uint16_t>(bitsOf(static_cast<float>(value)) >> 16); };
  for (int k = 0; k < kSteps; ++k) {
    for (int row = 0; row < kRowsThere; ++row) a[kMajorA == Major::kDepth ? row * kPitch + k : k * kPitch + row] = encode(valueA(row, k));
    for (int col = 0; col < kColsThere; ++col) b[kMajorB == Major::kDepth ? col * kPitch + k : k * kPitch + col] = encode(valueB(k, col));
  }
  std::vector<float> expected(kRows * kCols, -1.0f);
  for (int row = 0; row < kRowsThere; ++row) {
    for (int col = 0; col < kColsThere; ++col) {
      int sum = 0;
      for (int k = 0; k < kSteps; ++k) sum += valueA(row, k) * valueB(k, col);
      expected[row * kCols + col] = static_cast<float>(2 * sum);
    }
  }
  const DeviceArray<uint16_t> a_there(a), b_there(b);
  const DeviceArray<float> out(std::vector<float>(expected.size(), -1.0f));
  const auto matrix = [](const uint16_t* address, Major major, int other, int depth) {
    const uint64_t inner = major == Major::kDepth ? depth : other, outer = major == Major::kDepth ? other : depth;
    return TileLayout{address, TileType::kBFloat16, inner, outer, kPitch * 2, 64, 64, Swizzle::k128Bytes};
  };
  TileMap map_a, map_b, map_out;
  if (encodeTiles(&map_a, matrix(a_there.get(), kMajorA, kRowsThere, kSteps)) != cudaSuccess) return 1;
  if (encodeTiles(&map_b, matrix(b_there.get(), kMajorB, kColsThere, kSteps)) != cudaSuccess) return 1;
  const TileLayout result{out.get(), TileType::kFloat32, kColsThere, kRowsThere, kCols * 4, kCols, kRows, Swizzle::kNone};
  if (encodeTiles(&map_out, result) != cudaSuccess) return 1;
  const auto kernel = ringKernel<kMajorA, kMajorB, kCols>;
  const size_t shared = kStages * (kTileBytes + kTileBytes * (kCols / 64)) + kRows * kCols * sizeof(float) + 2 * kStages * sizeof(Mbarrier);
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)) != cudaSuccess) return 1;
  launch(kernel, 1, kThreads, shared, nullptr, map_a, map_b, map_out, kSteps);
  return countDifferences(out, expected);
}

}  // namespace

const std::vector<ConformanceCheck>& hopperChecks() {
  static const std::vector<ConformanceCheck> checks = {
      {"TMA, mbarrier, wgmma n64, both operands by depth", checkRing<Major::kDepth, Major::kDepth, 64>},
      {"wgmma n64, a by rows", checkRing<Major::kOther, Major::kDepth, 64>},
      {"wgmma n128, b by columns", checkRing<Major::kDepth, Major::kOther, 128>},
      {"wgmma n192, neither by depth", checkRing<Major::kOther, Major::kOther, 192>},
      {"wgmma n256, both by depth", checkRing<Major::kDepth, Major::kDepth, 256>},
  };
  return checks;
}

}  // namespace hw
