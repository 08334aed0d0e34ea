// Running totals of rows on a GPU. A block walks over its row in tiles; a long row is cut into chunks, whose totals come first.
#ifndef AX_CUDA_SCAN_CUH_
#define AX_CUDA_SCAN_CUH_
#include <stdint.h>

#include "cuda/combine.cuh"
#include "cuda/launch.cuh"
#include "cuda/scratch.h"

namespace ax {
inline namespace AX_ISA {

constexpr int kScanOfThread = 4;
constexpr int64_t kScanTile = kScanOfThread * kThreads, kScanChunk = 16 * kScanTile;

// Rows (rows, count) of T, totals in W. With `reverse` they run from the end.
template <class T, class W>
struct Scan {
  T* out;
  const T* x;
  int64_t rows, count, chunks;
  bool reverse, product;
  W* totals;  // (rows, chunks), of each chunk or up to its end; null where a row is one chunk

  AX_DEVICE W nothing() const { return W(product ? 1 : 0); }
  AX_DEVICE W combine(W a, W b) const { return product ? a * b : a + b; }
  AX_DEVICE int64_t at(int64_t row, int64_t i) const { return row * count + (reverse ? count - 1 - i : i); }
  AX_DEVICE int64_t end(int64_t chunk) const { return min(count, (chunk + 1) * kScanChunk); }
};

template <class T, class W>
__global__ void AX_MAX_THREADS(kThreads) chunkTotalKernel(Scan<T, W> s) {
  const uint32_t chunks = static_cast<uint32_t>(s.chunks);
  const int64_t row = blockIdx.x / chunks, chunk = blockIdx.x % chunks, end = s.end(chunk);
  W total = s.nothing();
  for (int64_t i = chunk * kScanChunk + threadIdx.x; i < end; i += kThreads) total = s.combine(total, static_cast<W>(s.x[s.at(row, i)]));
  total = combineBlock(total, [&](W a, W b) { return s.combine(a, b); });
  if (threadIdx.x == 0) s.totals[blockIdx.x] = total;
}

// With totals: of each chunk, with what comes before it in s.totals.
template <class T, class W>
__global__ void AX_MAX_THREADS(kThreads) scanKernel(Scan<T, W> s) {
  AX_SHARED(W, of_warps, [2][kWarps]);
  const uint32_t chunks = static_cast<uint32_t>(s.chunks);
  const int64_t row = blockIdx.x / chunks, chunk = blockIdx.x % chunks, end = s.totals == nullptr ? s.count : s.end(chunk);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  W before = chunk == 0 ? s.nothing() : s.totals[blockIdx.x - 1];
  int turn = 0;
#pragma unroll 1
  for (int64_t tile = chunk * kScanChunk; tile < end; tile += kScanTile, turn ^= 1) {
    const int64_t first = tile + threadIdx.x * kScanOfThread;
    W values[kScanOfThread], total = s.nothing();
#pragma unroll
    for (int k = 0; k < kScanOfThread; ++k) {
      values[k] = total = s.combine(total, first + k < end ? static_cast<W>(s.x[s.at(row, first + k)]) : s.nothing());
    }
    W up_to = total;
#pragma unroll 1
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const W other = __shfl_up_sync(0xffffffff, up_to, distance);
      if (lane >= distance) up_to = s.combine(other, up_to);
    }
    // Two arrays by turns: a thread that is late still reads the other.
    if (lane == kWarp - 1) of_warps[turn][warp] = up_to;
    __syncthreads();
    W here = before;
#pragma unroll 1
    for (int other = 0; other < kWarps; ++other) {
      if (other == warp) here = before;
      before = s.combine(before, of_warps[turn][other]);
    }
    const W lanes_before = __shfl_up_sync(0xffffffff, up_to, 1);
    if (lane > 0) here = s.combine(here, lanes_before);
#pragma unroll
    for (int k = 0; k < kScanOfThread; ++k) {
      if (first + k < end) s.out[s.at(row, first + k)] = static_cast<T>(s.combine(here, values[k]));
    }
  }
}

template <class T, class W>
int32_t scanRows(T* out, const T* x, int64_t rows, int64_t count, bool reverse, bool product) {
  if (rows * count == 0) return AX_OK;
  Scan<T, W> scan{out, x, rows, count, 1, reverse, product, nullptr};
  const int64_t chunks = (count + kScanChunk - 1) / kScanChunk;
  if (chunks > 1) {
    scan.chunks = chunks;
    void* totals;
    AX_TRY(scratch(static_cast<uint64_t>(rows * chunks) * sizeof(W), &totals));
    scan.totals = static_cast<W*>(totals);
    AX_TRY(launch(chunkTotalKernel<T, W>, static_cast<unsigned>(rows * chunks), scan));
    AX_TRY(launch(scanKernel<W, W>, static_cast<unsigned>(rows),
                  Scan<W, W>{scan.totals, scan.totals, rows, chunks, 1, false, product, nullptr}));
  }
  return launch(scanKernel<T, W>, static_cast<unsigned>(rows * scan.chunks), scan);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_SCAN_CUH_
