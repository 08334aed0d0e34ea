// Sorting rows by merging. An element's place in the merged run is its own place plus the number of elements of the other run before
// it, which a binary search finds: every element by itself, so a level is one pass without order among threads. Tiles of 1,024 elements
// are sorted in shared memory, longer rows by further passes over scratch memory.
#include "cuda/sort.h"

#include "common/sort_key.h"
#include "common/status.h"
#include "cuda/launch.cuh"
#include "cuda/operand.cuh"
#include "cuda/scratch.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int kTile = 1024, kOfThread = kTile / kThreads;

struct Sort {
  Operand x;
  int64_t rows, count;
  bool descending;
  // The result, of which the first `take` elements of a row are wanted; without `indices` it stays in scratch memory.
  void* values;
  int64_t* indices;
  int64_t take;

  __device__ uint64_t key(int64_t row, int64_t i) const {
    uint64_t result = 0;
    byAnyDtype(x.dtype, [&](auto stored) {
      result = sortKey(static_cast<const typename decltype(stored)::type*>(x.data)[row * count + i]);
    });
    return descending ? ~result : result;
  }

  template <class Word>
  __device__ void move(int64_t to, int64_t from) const {
    static_cast<Word*>(values)[to] = static_cast<const Word*>(x.data)[from];
  }
  __device__ void place(int64_t row, int64_t rank, uint32_t position) const {
    if (rank >= take) return;
    const int64_t to = row * take + rank, from = row * count + position;
    indices[to] = position;
    switch (x.dtype) {
      case AX_FLOAT64: case AX_INT64: return move<uint64_t>(to, from);
      case AX_FLOAT32: case AX_INT32: return move<uint32_t>(to, from);
      case AX_BFLOAT16: case AX_FLOAT16: return move<uint16_t>(to, from);
      default: return move<uint8_t>(to, from);
    }
  }
};

// Elements of a sorted run that come before `key`; with `or_equal` those that are equal too.
__device__ int64_t countBefore(const uint64_t* run, int64_t length, uint64_t key, bool or_equal) {
  int64_t first = 0;
  while (length > 0) {
    const int64_t half = length / 2;
    const uint64_t middle = run[first + half];
    if (middle < key || (or_equal && middle == key)) {
      first += half + 1;
      length -= half + 1;
    } else {
      length = half;
    }
  }
  return first;
}

// Where element i of an array goes when its runs of `width` elements are merged by pairs. Equal elements keep their order.
__device__ int64_t mergedPlace(const uint64_t* keys, int64_t count, int64_t width, int64_t i) {
  const int64_t run = i / width, other = (run ^ 1) * width;
  if (other >= count) return i;
  const int64_t length = min(width, count - other);
  return run / 2 * 2 * width + i % width + countBefore(keys + other, length, keys[i], (run & 1) != 0);
}

// A block sorts `slots` rows of at most `slot` elements, or one tile of a longer row.
__global__ void AX_MAX_THREADS(kThreads) sortTilesKernel(Sort sort, int slot, int64_t tiles, uint64_t* keys, uint32_t* positions) {
  AX_SHARED(uint64_t, tile_keys, [2][kTile]);
  AX_SHARED(uint32_t, tile_positions, [2][kTile]);
  const int slots = kTile / slot;
  const int64_t tile = blockIdx.x, first_row = tiles == 1 ? tile * slots : tile / tiles, begin = tile % tiles * kTile;
  for (int k = 0; k < kOfThread; ++k) {
    const int i = k * kThreads + threadIdx.x;
    const int64_t row = first_row + i / slot, position = begin + i % slot;
    const bool exists = row < sort.rows && position < sort.count;
    // What does not exist comes last, after equal keys too, because it lies behind them.
    tile_keys[0][i] = exists ? sort.key(row, position) : UINT64_MAX;
    tile_positions[0][i] = static_cast<uint32_t>(position);
  }
  __syncthreads();
  int now = 0;
  for (int width = 1; width < slot; width *= 2) {
    for (int k = 0; k < kOfThread; ++k) {
      const int i = k * kThreads + threadIdx.x, to = static_cast<int>(mergedPlace(tile_keys[now], kTile, width, i));
      tile_keys[now ^ 1][to] = tile_keys[now][i];
      tile_positions[now ^ 1][to] = tile_positions[now][i];
    }
    __syncthreads();
    now ^= 1;
  }
  for (int k = 0; k < kOfThread; ++k) {
    const int i = k * kThreads + threadIdx.x;
    const int64_t row = first_row + i / slot, rank = begin + i % slot;
    if (row >= sort.rows || rank >= sort.count) continue;
    if (keys == nullptr) {
      sort.place(row, rank, tile_positions[now][i]);
    } else {
      keys[row * sort.count + rank] = tile_keys[now][i];
      positions[row * sort.count + rank] = tile_positions[now][i];
    }
  }
}

__global__ void AX_MAX_THREADS(kThreads) mergeKernel(Sort sort, int64_t width, const uint64_t* keys, const uint32_t* positions,
                                                     uint64_t* keys_out, uint32_t* positions_out) {
  const int64_t all = sort.rows * sort.count;
  for (int64_t at = blockIdx.x * int64_t{kThreads} + threadIdx.x; at < all; at += int64_t{kThreads} * gridDim.x) {
    const int64_t row = at / sort.count, i = at % sort.count;
    const int64_t rank = mergedPlace(keys + row * sort.count, sort.count, width, i);
    if (keys_out == nullptr) {
      sort.place(row, rank, positions[at]);
    } else {
      keys_out[row * sort.count + rank] = keys[at];
      positions_out[row * sort.count + rank] = positions[at];
    }
  }
}

int32_t run(const Sort& sort, SortedRows* sorted) {
  const int64_t all = sort.rows * sort.count;
  if (all == 0) return AX_OK;
  if (sort.count > INT32_MAX) return fail(AX_ERROR_UNSUPPORTED, "a row of %.0f elements is too long to sort", static_cast<double>(sort.count));
  const bool one_tile = sort.count <= kTile, stays = sort.indices == nullptr;
  int slot = 1;
  while (slot < kTile && slot < sort.count) slot *= 2;
  const int64_t tiles = one_tile ? 1 : (sort.count + kTile - 1) / kTile;
  const int64_t blocks = one_tile ? (sort.rows + kTile / slot - 1) / (kTile / slot) : sort.rows * tiles;
  uint64_t* keys[2] = {nullptr, nullptr};
  uint32_t* positions[2] = {nullptr, nullptr};
  if (!one_tile || stays) {
    void* memory;
    AX_TRY(scratch(static_cast<uint64_t>(all) * 2 * (sizeof(uint64_t) + sizeof(uint32_t)), &memory));
    keys[0] = static_cast<uint64_t*>(memory);
    keys[1] = keys[0] + all;
    positions[0] = reinterpret_cast<uint32_t*>(keys[1] + all);
    positions[1] = positions[0] + all;
  }
  AX_TRY(launch(sortTilesKernel, static_cast<unsigned>(blocks), sort, slot, tiles, keys[0], positions[0]));
  int now = 0;
  for (int64_t width = kTile; width < sort.count; width *= 2) {
    const bool is_last = 2 * width >= sort.count && !stays;
    AX_TRY(launch(mergeKernel, gridFor(all), sort, width, static_cast<const uint64_t*>(keys[now]),
                  static_cast<const uint32_t*>(positions[now]), is_last ? nullptr : keys[now ^ 1], is_last ? nullptr : positions[now ^ 1]));
    now ^= 1;
  }
  if (stays) *sorted = {keys[now], positions[now]};
  return AX_OK;
}

}  // namespace

int32_t sortRows(const Operand& x, int64_t rows, int64_t count, SortedRows* sorted) {
  return run(Sort{x, rows, count, false, nullptr, nullptr, 0}, sorted);
}

}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_sort(int32_t dtype, uint32_t values, double values_offset, uint32_t indices, double indices_offset, uint32_t x,
                double x_offset, double rows, double count, double take, int32_t descending) {
  if (!(rows >= 0 && count >= 0 && take >= 0 && take <= count)) {
    return fail(AX_ERROR_ARGUMENT, "cannot take %.0f of %.0f elements", take, count);
  }
  if (!isDtype(dtype)) return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype);
  Sort sort{{nullptr, dtype}, static_cast<int64_t>(rows), static_cast<int64_t>(count), descending != 0, nullptr, nullptr,
            static_cast<int64_t>(take)};
  void* order;
  AX_TRY(resolve(values, values_offset, rows * take, dtype, &sort.values));
  AX_TRY(resolve(indices, indices_offset, rows * take, AX_INT64, &order));
  AX_TRY(resolve(x, x_offset, rows * count, dtype, &sort.x.data));
  sort.indices = static_cast<int64_t*>(order);
  return take == 0 ? AX_OK : run(sort, nullptr);
}
