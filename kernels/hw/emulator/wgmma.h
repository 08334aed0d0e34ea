// Products of a warpgroup on an emulated GPU. From the moment a product begins its accumulators are NaN; it reads shared memory when its
// thread waits for the group, and only then the sums are there.
#ifndef AX_HW_EMULATOR_WGMMA_H_
#define AX_HW_EMULATOR_WGMMA_H_
#include <math.h>

#include "hw/emulator/mma.h"
#include "hw/emulator/tma.h"

namespace hw {
namespace emulator {

constexpr unsigned kWarpGroup = 128;

inline void meetWarp(const char* operation) {
  const char nothing = 0;
  meet(0xffffffff, &nothing, 1, operation);
}

// Element (other, depth) of an operand, where `other` is a row of a or a column of b.
inline uint16_t operandElement(const Block& block, uint64_t descriptor, Major major, uint32_t other, uint32_t depth) {
  const auto field = [=](int shift) { return static_cast<uint32_t>(descriptor >> shift & 0x3fff) << 4; };
  const uint32_t start = field(0), leading = field(16), rows_of_8 = field(32);
  uint32_t offset = start;
  if (major == Major::kDepth) {
    offset += other / 8 * rows_of_8 + other % 8 * kSwizzledRowBytes + depth * 2;
  } else {
    offset += other / 64 * leading + depth / 8 * rows_of_8 + depth % 8 * kSwizzledRowBytes + other % 64 * 2;
  }
  uint16_t bits;
  memcpy(&bits, block.dynamic_shared + swizzled(offset), sizeof bits);
  return bits;
}

inline float widen(TileType type, uint16_t bits) { return type == TileType::kBFloat16 ? BFloat16Bits::widen(bits) : Float16Bits::widen(bits); }

}  // namespace emulator

inline __attribute__((always_inline)) void fenceProducts() {
  if (emulator::isDropped("fenceProducts")) return;
  emulator::currentThread().has_fenced_products = true;
}

template <TileType kType, Major kMajorA, Major kMajorB, int kCols>
void multiplyTiles(float (&d)[kCols / 2], uint64_t descriptor_a, uint64_t descriptor_b, int32_t accumulate) {
  using namespace emulator;
  static_assert(kCols == 64 || kCols == 128 || kCols == 192 || kCols == 256);
  Thread& thread = currentThread();
  if (!thread.has_fenced_products) failKernel("wgmma: fenceProducts() must come before");
  if ((descriptor_a >> 62) != 1 || (descriptor_b >> 62) != 1) failKernel("wgmma: operands have the swizzle of 128 bytes");
  if (thread.block->threads.size() % kWarpGroup != 0) failKernel("wgmma: the block is not made of warpgroups");
  meetWarp("wgmma");
  float* const sums = d;
  auto known = thread.product_sums.find(sums);
  if (known == thread.product_sums.end()) known = thread.product_sums.emplace(sums, std::vector<float>(sums, sums + kCols / 2)).first;
  for (float& sum : d) sum = NAN;
  const Block& block = *thread.block;
  const unsigned warp = thread.rank % kWarpGroup / kWarpSize, row = warp * 16 + thread.rank % kWarpSize / 4, col = thread.rank % 4 * 2;
  std::vector<float>* const values = &known->second;
  thread.open_products.push_back([=, &block] {
    for (int part = 0; part < kCols / 2; ++part) {
      const uint32_t x = row + static_cast<uint32_t>(part / 2 % 2 * 8), y = static_cast<uint32_t>(part / 4 * 8) + col + static_cast<uint32_t>(part % 2);
      float sum = 0;
      for (uint32_t k = 0; k < 16; ++k) {
        sum += widen(kType, operandElement(block, descriptor_a, kMajorA, x, k)) * widen(kType, operandElement(block, descriptor_b, kMajorB, y, k));
      }
      float& total = (*values)[static_cast<size_t>(part)];
      total = accumulate != 0 ? total + sum : sum;
    }
  });
}

inline void commitProducts() {
  emulator::Thread& thread = emulator::currentThread();
  thread.product_groups.emplace_back();
  thread.product_groups.back().swap(thread.open_products);
}

template <int kOpen>
__attribute__((always_inline)) inline void waitForProducts() {
  if (emulator::isDropped("waitForProducts")) return;
  emulator::Thread& thread = emulator::currentThread();
  auto& groups = thread.product_groups;
  while (groups.size() > kOpen) {
    for (auto& product : groups.front()) product();
    groups.erase(groups.begin());
  }
  if (groups.empty() && thread.open_products.empty()) {
    for (auto& [sums, values] : thread.product_sums) memcpy(sums, values.data(), values.size() * sizeof(float));
    thread.product_sums.clear();
    thread.has_fenced_products = false;
  }
  emulator::meetWarp("wgmma.wait_group");
}

template <int kRegisters>
void releaseRegisters() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
}
template <int kRegisters>
void takeRegisters() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_WGMMA_H_
