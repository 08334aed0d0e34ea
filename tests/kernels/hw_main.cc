// Prints one line for each check of kernels/hw/conformance.cu and, for an emulated GPU, for each misuse that it must find: its name, a tab,
// and how many results are wrong.
#include <stdio.h>

#include "hw/async_copy.h"
#include "hw/conformance.h"
#include "hw/cuda.h"
#include "hw/mma.h"

#ifndef __CUDACC__
namespace {

void misalignedRow() {
  AX_SHARED(uint32_t, words, [64]);
  uint32_t registers[1];
  hw::loadMatrices<1>(registers, words + 1 + threadIdx.x % 8 * 4);
}

void rowOutside() {
  AX_SHARED(uint32_t, words, [64]);
  uint32_t registers[2];
  hw::loadMatrices<2>(registers, words + 4 + 4 * threadIdx.x);
}

void laneMissing() {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x != 5) hw::mmaBFloat16(d, a, b);
}

void differentOperations() {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x < 16) hw::mmaBFloat16(d, a, b);
  else hw::mmaFloat16(d, a, b);
}

void unroundedTf32() {
  float d[4] = {};
  const uint32_t a[4] = {0x3f800001}, b[2] = {};
  hw::mmaTf32(d, a, b);
}

void misalignedCopy(const char* from) {
  AX_SHARED(longlong2, memory, [32]);
  hw::copyAsync<16>(&memory[threadIdx.x], from + 8);
  hw::waitForAllCopies();
}

void copyOutside(const char* from) {
  AX_SHARED(longlong2, memory, [31]);
  hw::copyAsync<16>(&memory[threadIdx.x], from);
  hw::waitForAllCopies();
}

void copyNotAwaited(const char* from) {
  AX_SHARED(longlong2, memory, [32]);
  hw::copyAsync<16>(&memory[threadIdx.x], from);
  hw::commitCopies();
}

// The copy is read before it is waited for: -1 is what must be seen.
void copyReadEarly(const char* from, long long* out) {
  AX_SHARED(longlong2, memory, [32]);
  hw::copyAsync<16>(&memory[threadIdx.x], from);
  hw::commitCopies();
  out[threadIdx.x] = memory[threadIdx.x].x;
  hw::waitForCopies<0>();
}

template <class... Parameters, class... Arguments>
void expectFailure(const char* name, void (*kernel)(Parameters...), Arguments... arguments) {
  hw::launch(kernel, 1, 32, 0, nullptr, arguments...);
  printf("refuses %s\t%d\n", name, cudaDeviceSynchronize() == cudaSuccess ? 1 : 0);
  hw::emulator::resetAfterError();
}

void checkMisuse() {
  char* memory;
  cudaMalloc(&memory, 4096);
  expectFailure("a misaligned row", misalignedRow);
  expectFailure("a row outside shared memory", rowOutside);
  expectFailure("a product without all lanes", laneMissing);
  expectFailure("different operations in a warp", differentOperations);
  expectFailure("an operand that is not tf32", unroundedTf32);
  expectFailure("a misaligned copy", misalignedCopy, memory);
  expectFailure("a copy outside shared memory", copyOutside, memory);
  expectFailure("a copy that nobody waits for", copyNotAwaited, memory);
  cudaMalloc(&memory, 4096);
  long long* out;
  cudaMalloc(&out, 32 * sizeof *out);
  cudaMemsetAsync(memory, 1, 4096, nullptr);
  hw::launch(copyReadEarly, 1, 32, 0, nullptr, memory, out);
  long long seen[32];
  cudaMemcpy(seen, out, sizeof seen, cudaMemcpyDeviceToHost);
  int wrong = 0;
  for (const long long value : seen) wrong += value == -1 ? 0 : 1;
  printf("shows a copy that was read early\t%d\n", wrong);
}

}  // namespace
#endif

namespace {

int run(const std::vector<hw::ConformanceCheck>& checks) {
  int failures = 0;
  for (const hw::ConformanceCheck& check : checks) {
    const int count = check.countFailures();
    printf("%s\t%d\n", check.primitive, count);
    failures += count;
  }
  return failures;
}

}  // namespace

int main() {
  int failures = run(hw::conformanceChecks());
#ifdef __CUDACC__
  int major = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) != cudaSuccess) return 1;
  if (major == 9) failures += run(hw::hopperChecks());
#else
  failures += run(hw::hopperChecks());
  checkMisuse();
#endif
  return failures == 0 ? 0 : 1;
}
