// Copies of tiles between global and shared memory by the tensor memory accelerator (sm_90 and newer).
//
// One thread starts a copy of a whole tile; a load reports its bytes to an mbarrier. A tile is `box_inner` elements by `box_outer` rows of
// a matrix in global memory; what lies outside the matrix is read as 0 and not written. In shared memory its rows follow each other. With
// Swizzle::k128Bytes a row has 128 bytes, the tile starts at a multiple of 1,024, and the 16-byte chunk c of row r lies at chunk c ^ (r % 8).
#ifndef AX_HW_TMA_H_
#define AX_HW_TMA_H_
#include <stdint.h>

#include "hw/mbarrier.h"

namespace hw {

enum class TileType { kBFloat16, kFloat16, kFloat32 };
enum class Swizzle { kNone, k128Bytes };

// A matrix in global memory and the tiles that are copied. `pitch_bytes`, from row to row, and the address are multiples of 16.
struct TileLayout {
  const void* address;
  TileType type;
  uint64_t inner, outer, pitch_bytes;
  uint32_t box_inner, box_outer;
  Swizzle swizzle;
};

inline uint32_t elementBytes(TileType type) { return type == TileType::kFloat32 ? 4 : 2; }

}  // namespace hw
#ifdef __CUDACC__
#include <cuda.h>

namespace hw {

using TileMap = CUtensorMap;

// Describes tiles to the hardware. Found through the runtime, so that nothing links to the driver.
inline cudaError_t encodeTiles(TileMap* map, const TileLayout& layout) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
  if (error != cudaSuccess || found != cudaDriverEntryPointSuccess) return error != cudaSuccess ? error : cudaErrorNotSupported;
  constexpr CUtensorMapDataType kTypes[] = {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, CU_TENSOR_MAP_DATA_TYPE_FLOAT32};
  const cuuint64_t sizes[] = {layout.inner, layout.outer}, pitches[] = {layout.pitch_bytes};
  const cuuint32_t box[] = {layout.box_inner, layout.box_outer}, steps[] = {1, 1};
  const CUresult result = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function)(
      map, kTypes[static_cast<int>(layout.type)], 2, const_cast<void*>(layout.address), sizes, pitches, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, layout.swizzle == Swizzle::kNone ? CU_TENSOR_MAP_SWIZZLE_NONE : CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

__device__ __forceinline__ void prefetchMap(const TileMap* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }

// Starts the load of the tile that begins at (outer, inner).
__device__ __forceinline__ void loadTile(void* to, const TileMap* map, Mbarrier* barrier, int32_t inner, int32_t outer) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(sharedAddress(to)),
      "l"(map), "r"(sharedAddress(barrier)), "r"(inner), "r"(outer)
      : "memory");
}

// Starts the store of a tile, or its addition to what is there. The tile's bytes were written by threads before fenceForTiles() and a barrier.
__device__ __forceinline__ void storeTile(const TileMap* map, const void* from, int32_t inner, int32_t outer) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map), "r"(sharedAddress(from)),
               "r"(inner), "r"(outer)
               : "memory");
}
__device__ __forceinline__ void addTile(const TileMap* map, const void* from, int32_t inner, int32_t outer) {
  asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
               "r"(sharedAddress(from)), "r"(inner), "r"(outer)
               : "memory");
}
__device__ __forceinline__ void fenceForTiles() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Closes a group of the thread's stores; waits until at most the newest kOpen groups are under way, or still read shared memory.
__device__ __forceinline__ void commitStores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
template <int kOpen>
__device__ __forceinline__ void waitForStores() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kOpen) : "memory");
}
template <int kOpen>
__device__ __forceinline__ void waitForStoreReads() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kOpen) : "memory");
}

}  // namespace hw
#else
#include "hw/emulator/tma.h"
#endif
#endif  // AX_HW_TMA_H_
