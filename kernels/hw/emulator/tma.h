// Tile copies on an emulated GPU. A load poisons its destination at once and lands when nothing else can run, or at random before; a store
// reads shared memory only when its thread waits for it.
#ifndef AX_HW_EMULATOR_TMA_H_
#define AX_HW_EMULATOR_TMA_H_
#include <string.h>

#include "hw/emulator/mbarrier.h"

namespace hw {

struct TileMap {
  TileLayout layout;
};

namespace emulator {

constexpr uint32_t kSwizzledRowBytes = 128, kSwizzleBytes = 1024;

inline uint32_t swizzled(uint32_t offset) { return offset ^ ((offset >> 7 & 7) << 4); }

inline char* elementOf(const TileLayout& layout, char* tile, uint32_t row, uint32_t col) {
  const uint32_t offset = (row * layout.box_inner + col) * elementBytes(layout.type);
  return tile + (layout.swizzle == Swizzle::kNone ? offset : swizzled(offset));
}

// Calls f(element in the tile, element in the matrix or null).
template <class F>
void eachElement(const TileLayout& layout, char* tile, int32_t inner, int32_t outer, const F& f) {
  for (uint32_t row = 0; row < layout.box_outer; ++row) {
    for (uint32_t col = 0; col < layout.box_inner; ++col) {
      const int64_t y = int64_t{outer} + row, x = int64_t{inner} + col;
      const bool inside = y >= 0 && x >= 0 && y < static_cast<int64_t>(layout.outer) && x < static_cast<int64_t>(layout.inner);
      char* const there = static_cast<char*>(const_cast<void*>(layout.address)) + y * static_cast<int64_t>(layout.pitch_bytes) +
                          x * elementBytes(layout.type);
      f(elementOf(layout, tile, row, col), inside ? there : nullptr);
    }
  }
}

inline uint32_t tileBytes(const TileLayout& layout) { return layout.box_inner * layout.box_outer * elementBytes(layout.type); }

inline void checkTile(const TileLayout& layout, const void* tile, const char* operation) {
  checkShared(tile, tileBytes(layout), layout.swizzle == Swizzle::kNone ? 128 : kSwizzleBytes, operation);
}

inline void addElement(TileType type, char* to, const char* from) {
  if (type == TileType::kFloat32) {
    float a, b;
    memcpy(&a, to, sizeof a);
    memcpy(&b, from, sizeof b);
    a += b;
    memcpy(to, &a, sizeof a);
  } else {
    failKernel("cp.reduce.async.bulk: only float32 is added");
  }
}

inline void startStore(const TileMap* map, const void* from, int32_t inner, int32_t outer, bool adds) {
  const TileLayout layout = map->layout;
  checkTile(layout, from, "cp.async.bulk.tensor");
  char* const tile = static_cast<char*>(const_cast<void*>(from));
  currentThread().open_stores.push_back([=] {
    eachElement(layout, tile, inner, outer, [&](char* here, char* there) {
      if (there == nullptr) return;
      if (adds) {
        addElement(layout.type, there, here);
      } else {
        memcpy(there, here, elementBytes(layout.type));
      }
    });
  });
}

}  // namespace emulator

inline cudaError_t encodeTiles(TileMap* map, const TileLayout& layout) {
  const bool fits = reinterpret_cast<uintptr_t>(layout.address) % 16 == 0 && layout.pitch_bytes % 16 == 0 && layout.box_inner > 0 &&
                    layout.box_inner <= 256 && layout.box_outer > 0 && layout.box_outer <= 256 &&
                    layout.box_inner * elementBytes(layout.type) % 16 == 0 &&
                    (layout.swizzle == Swizzle::kNone || layout.box_inner * elementBytes(layout.type) == emulator::kSwizzledRowBytes);
  map->layout = layout;
  return fits ? cudaSuccess : cudaErrorInvalidValue;
}

inline void prefetchMap(const TileMap*) {}

inline void loadTile(void* to, const TileMap* map, Mbarrier* barrier, int32_t inner, int32_t outer) {
  using namespace emulator;
  const TileLayout layout = map->layout;
  checkTile(layout, to, "cp.async.bulk.tensor");
  phaseOf(barrier, "cp.async.bulk.tensor");
  Block* const block = currentThread().block;
  memset(to, kPoison, tileBytes(layout));
  block->landings.push_back([=] {
    eachElement(layout, static_cast<char*>(to), inner, outer, [&](char* here, char* there) {
      if (there == nullptr) {
        memset(here, 0, elementBytes(layout.type));
      } else {
        memcpy(here, there, elementBytes(layout.type));
      }
    });
    completeBytes(*block, barrier, tileBytes(layout));
  });
}

inline void storeTile(const TileMap* map, const void* from, int32_t inner, int32_t outer) {
  emulator::startStore(map, from, inner, outer, false);
}
inline void addTile(const TileMap* map, const void* from, int32_t inner, int32_t outer) {
  emulator::startStore(map, from, inner, outer, true);
}
inline void fenceForTiles() {}

inline void commitStores() {
  emulator::Thread& thread = emulator::currentThread();
  thread.store_groups.emplace_back();
  thread.store_groups.back().swap(thread.open_stores);
}
template <int kOpen>
__attribute__((always_inline)) inline void waitForStores() {
  if (emulator::isDropped("waitForStores")) return;
  auto& groups = emulator::currentThread().store_groups;
  while (groups.size() > kOpen) {  // groups are not ordered among each other
    const auto chosen = groups.begin() + emulator::randomBelow(static_cast<uint32_t>(groups.size() - kOpen));
    for (auto& store : *chosen) store();
    groups.erase(chosen);
  }
}
template <int kOpen>
__attribute__((always_inline)) inline void waitForStoreReads() {
  waitForStores<kOpen>();
}

}  // namespace hw
#endif  // AX_HW_EMULATOR_TMA_H_
