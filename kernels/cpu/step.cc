#include "cpu/step.h"

#include "common/dtype.h"
#include "cpu/thread_pool.h"
#include "cpu/tile.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int64_t kGrain = 1 << 13;  // a step does more for an element than a map, so fewer are worth a thread

char* atElement(const void* data, int64_t index, int32_t bytes) {
  return static_cast<char*>(const_cast<void*>(data)) + index * bytes;
}

void runWidened(const StepRange& range, StepKernel kernel, const void* step, int64_t begin, int64_t end) {
  alignas(64) float parameter[kTileElements], gradient[kTileElements], states[kMaxStates][kTileElements];
  void* const buffers[kMaxStates] = {states[0], states[1], states[2]};
  for (int64_t first = begin; first < end; first += kTileElements) {
    const int64_t count = end - first < kTileElements ? end - first : kTileElements;
    char* const p = atElement(range.parameter, first, 2);
    convertBlock(parameter, AX_FLOAT32, p, range.dtype, count);
    convertBlock(gradient, AX_FLOAT32, atElement(range.gradient, first, 2), range.dtype, count);
    for (int k = 0; k < range.state_count; ++k) convertBlock(states[k], AX_FLOAT32, atElement(range.states[k], first, 2), range.dtype, count);
    kernel(step, count, parameter, gradient, buffers);
    convertBlock(p, range.dtype, parameter, AX_FLOAT32, count);
    for (int k = 0; k < range.state_count; ++k) convertBlock(atElement(range.states[k], first, 2), range.dtype, states[k], AX_FLOAT32, count);
  }
}

// A block of the gradient is widened, the step runs over master and states where they lie, and the parameter is rounded while the
// block is in cache.
void runMaster(const StepRange& range, StepKernel kernel, const void* step, int64_t begin, int64_t end) {
  alignas(64) float gradient[kTileElements];
  for (int64_t first = begin; first < end; first += kTileElements) {
    const int64_t count = end - first < kTileElements ? end - first : kTileElements;
    convertBlock(gradient, AX_FLOAT32, atElement(range.gradient, first, 2), range.dtype, count);
    char* const master = atElement(range.master, first, 4);
    void* states[kMaxStates] = {};
    for (int k = 0; k < range.state_count; ++k) states[k] = atElement(range.states[k], first, 4);
    kernel(step, count, master, gradient, states);
    convertBlock(atElement(range.parameter, first, 2), range.dtype, master, AX_FLOAT32, count);
  }
}

}  // namespace

int32_t runBlocks(const StepRange& range, StepKernel kernel, const void* step) {
  const int32_t bytes = kDtypeBytes[range.dtype];
  parallelFor(range.count, kGrain, [&](int64_t begin, int64_t end) {
    if (range.master != nullptr) return runMaster(range, kernel, step, begin, end);
    if (bytes == 2) return runWidened(range, kernel, step, begin, end);
    void* states[kMaxStates] = {};
    for (int k = 0; k < range.state_count; ++k) states[k] = atElement(range.states[k], begin, bytes);
    kernel(step, end - begin, atElement(range.parameter, begin, bytes), atElement(range.gradient, begin, bytes), states);
  });
  return AX_OK;
}

}  // namespace AX_ISA
}  // namespace ax
