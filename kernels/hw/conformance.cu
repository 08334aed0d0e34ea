// Every expectation is a plain loop over matrices; every value is an integer that the dtype holds, so results are exact.
#include "hw/conformance.h"

#include <stdint.h>
#include <string.h>

#include "hw/async_copy.h"
#include "hw/conformance_arrays.h"
#include "hw/cuda.h"
#include "hw/mma.h"

namespace hw {
namespace {

constexpr int kWarp = 32;

// ldmatrix. Rows lie 48 bytes apart and in another order than the lanes, so that an address is taken from the right lane.
constexpr int kRowElements = 24;

__host__ __device__ constexpr int placeOfRow(int row) { return (row * 5 + 3) % kWarp; }

template <int kCount, bool kTransposed>
__global__ void loadMatricesKernel(uint32_t* out) {
  AX_SHARED(uint16_t, elements, [kWarp * kRowElements]);
  const int lane = threadIdx.x;
  for (int col = 0; col < 8; ++col) elements[placeOfRow(lane) * kRowElements + col] = static_cast<uint16_t>(lane * 8 + col);
  __syncwarp();
  uint32_t registers[kCount];
  loadMatrices<kCount, kTransposed>(registers, elements + placeOfRow(lane) * kRowElements);
  for (int i = 0; i < kCount; ++i) out[lane * kCount + i] = registers[i];
}

template <int kCount, bool kTransposed>
int checkLoadMatrices() {
  std::vector<uint32_t> expected(kWarp * kCount);
  for (int lane = 0; lane < kWarp; ++lane) {
    for (int i = 0; i < kCount; ++i) {
      const int row = lane / 4, col = lane % 4 * 2;
      const int first = kTransposed ? (i * 8 + col) * 8 + row : (i * 8 + row) * 8 + col;
      const int second = kTransposed ? (i * 8 + col + 1) * 8 + row : first + 1;
      expected[lane * kCount + i] = static_cast<uint32_t>(first | second << 16);
    }
  }
  const DeviceArray<uint32_t> out(std::vector<uint32_t>(expected.size(), ~0u));
  launch(loadMatricesKernel<kCount, kTransposed>, 1, kWarp, 0, nullptr, out.get());
  return countDifferences(out, expected);
}

// mma.sync. An operand is given as bits, row by row.
enum class Element { kBFloat16, kFloat16, kTf32 };

template <Element kElement>
__global__ void mmaKernel(const uint32_t* a, const uint32_t* b, const float* c, float* d) {
  const int lane = threadIdx.x, row = lane / 4, rest = lane % 4;
  uint32_t part_a[4], part_b[2];
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[(row + i / 2 * 8) * 8 + rest * 2 + i % 2];
  if constexpr (kElement == Element::kTf32) {
    for (int i = 0; i < 4; ++i) part_a[i] = a[(row + i % 2 * 8) * 8 + rest + i / 2 * 4];
    for (int i = 0; i < 2; ++i) part_b[i] = b[(rest + i * 4) * 8 + row];
    mmaTf32(sums, part_a, part_b);
  } else {
    for (int i = 0; i < 4; ++i) {
      const int at = (row + i % 2 * 8) * 16 + rest * 2 + i / 2 * 8;
      part_a[i] = a[at] | a[at + 1] << 16;
    }
    for (int i = 0; i < 2; ++i) part_b[i] = b[(rest * 2 + i * 8) * 8 + row] | b[(rest * 2 + 1 + i * 8) * 8 + row] << 16;
    if constexpr (kElement == Element::kBFloat16) mmaBFloat16(sums, part_a, part_b);
    if constexpr (kElement == Element::kFloat16) mmaFloat16(sums, part_a, part_b);
  }
  for (int i = 0; i < 4; ++i) d[(row + i / 2 * 8) * 8 + rest * 2 + i % 2] = sums[i];
}

// Bits of a small integer.
template <Element kElement>
uint32_t encode(int value) {
  const uint32_t bits = bitsOf(static_cast<float>(value));
  if (kElement == Element::kTf32) return bits;
  if (kElement == Element::kBFloat16) return bits >> 16;
  const uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;  // float16: 5 bits of exponent, 10 of fraction
  return value == 0 ? 0 : (bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff);
}

template <Element kElement>
int checkMma() {
  constexpr int kDepth = kElement == Element::kTf32 ? 8 : 16;
  std::vector<uint32_t> a, b;
  std::vector<float> c, d(16 * 8);
  const auto valueA = [](int row, int k) { return (row * 7 + k * 3) % 17 - 8; };
  const auto valueB = [](int k, int col) { return (k * 5 + col * 11) % 13 - 6; };
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < kDepth; ++k) a.push_back(encode<kElement>(valueA(row, k)));
  }
  for (int k = 0; k < kDepth; ++k) {
    for (int col = 0; col < 8; ++col) b.push_back(encode<kElement>(valueB(k, col)));
  }
  for (int row = 0; row < 16; ++row) {
    for (int col = 0; col < 8; ++col) {
      c.push_back(static_cast<float>(row * 100 - col));
      int sum = row * 100 - col;
      for (int k = 0; k < kDepth; ++k) sum += valueA(row, k) * valueB(k, col);
      d[row * 8 + col] = static_cast<float>(sum);
    }
  }
  const DeviceArray<uint32_t> a_there(a), b_there(b);
  const DeviceArray<float> c_there(c), d_there(std::vector<float>(d.size()));
  launch(mmaKernel<kElement>, 1, kWarp, 0, nullptr, a_there.get(), b_there.get(), c_there.get(), d_there.get());
  return countDifferences(d_there, d);
}

__global__ void roundToTf32Kernel(const uint32_t* values, uint32_t* out) {
  float value;
  memcpy(&value, values + threadIdx.x, sizeof value);
  out[threadIdx.x] = roundToTf32(value);
}

int checkRoundToTf32() {
  std::vector<uint32_t> values, expected;
  const auto expect = [&](uint32_t value, uint32_t rounded) {
    values.insert(values.end(), {value, value | 0x80000000});
    expected.insert(expected.end(), {rounded, rounded | 0x80000000});
  };
  expect(0x3f800000, 0x3f800000);  // 1
  expect(0x3f800fff, 0x3f800000);  // below half of the last place
  expect(0x3f801000, 0x3f802000);  // a tie goes away from zero
  expect(0x3f803000, 0x3f804000);
  expect(0x3fffffff, 0x40000000);  // to the next power of two
  expect(0x7f7fffff, 0x7f800000);  // beyond the largest
  expect(0x7f800000, 0x7f800000);
  const DeviceArray<uint32_t> in(values), out(std::vector<uint32_t>(values.size()));
  launch(roundToTf32Kernel, 1, static_cast<unsigned>(values.size()), 0, nullptr, in.get(), out.get());
  return countDifferences(out, expected);
}

// cp.async: thread t copies with t % (kBytes + 1) source bytes, first into one place, then, as a second group, into another; both are
// read by the thread's neighbour after a barrier.
constexpr int kCopyThreads = 96;

template <int kBytes>
__global__ void copyAsyncKernel(const unsigned char* from, unsigned char* out) {
  AX_SHARED(longlong2, memory, [2 * kCopyThreads]);
  unsigned char* const bytes = reinterpret_cast<unsigned char*>(memory);
  const int thread = threadIdx.x, other = (thread + 37) % kCopyThreads;
  unsigned char *const first = bytes, *const second = bytes + kCopyThreads * kBytes;
  copyAsync<kBytes>(first + thread * kBytes, from + thread * kBytes, thread % (kBytes + 1));
  commitCopies();
  copyAsync<kBytes>(second + thread * kBytes, from + other * kBytes);
  commitCopies();
  waitForCopies<1>();
  __syncthreads();
  for (int i = 0; i < kBytes; ++i) out[other * kBytes + i] = first[other * kBytes + i];
  waitForAllCopies();
  __syncthreads();
  unsigned char* const out2 = out + kCopyThreads * kBytes;
  for (int i = 0; i < kBytes; ++i) out2[other * kBytes + i] = second[other * kBytes + i];
}

template <int kBytes>
int checkCopyAsync() {
  constexpr int kCount = kCopyThreads * kBytes;
  std::vector<unsigned char> from(kCount), expected(2 * kCount);
  for (int i = 0; i < kCount; ++i) from[i] = static_cast<unsigned char>(i * 7 + 1);
  for (int i = 0; i < kCount; ++i) {
    const int thread = i / kBytes, other = (thread + 37) % kCopyThreads;
    expected[i] = i % kBytes < thread % (kBytes + 1) ? from[i] : 0;
    expected[kCount + i] = from[other * kBytes + i % kBytes];
  }
  const DeviceArray<unsigned char> in(from), out(std::vector<unsigned char>(expected.size()));
  launch(copyAsyncKernel<kBytes>, 1, kCopyThreads, 0, nullptr, in.get(), out.get());
  return countDifferences(out, expected);
}

}  // namespace

const std::vector<ConformanceCheck>& conformanceChecks() {
  static const std::vector<ConformanceCheck> checks = {
      {"ldmatrix.x1", checkLoadMatrices<1, false>},
      {"ldmatrix.x2", checkLoadMatrices<2, false>},
      {"ldmatrix.x4", checkLoadMatrices<4, false>},
      {"ldmatrix.x1.trans", checkLoadMatrices<1, true>},
      {"ldmatrix.x2.trans", checkLoadMatrices<2, true>},
      {"ldmatrix.x4.trans", checkLoadMatrices<4, true>},
      {"mma.m16n8k16.bf16", checkMma<Element::kBFloat16>},
      {"mma.m16n8k16.f16", checkMma<Element::kFloat16>},
      {"mma.m16n8k8.tf32", checkMma<Element::kTf32>},
      {"cvt.rna.tf32", checkRoundToTf32},
      {"cp.async 4", checkCopyAsync<4>},
      {"cp.async 8", checkCopyAsync<8>},
      {"cp.async 16", checkCopyAsync<16>},
  };
  return checks;
}

}  // namespace hw
