// What the CPU library says about itself and its one device.
#include <stdio.h>
#include <string.h>

#include "common/status.h"
#include "cpu/thread_pool.h"

namespace ax {
const char* isaName();  // generated with the dispatch
}

using namespace ax;

namespace {
int32_t put(void* text, int32_t bytes, const char* value) {
  if (bytes < 1) return fail(AX_ERROR_ARGUMENT, "bytes must be at least 1, got %d", bytes);
  snprintf(static_cast<char*>(text), static_cast<size_t>(bytes), "%s", value);
  return AX_OK;
}
}  // namespace

int32_t ax_abi_hash(void* text, int32_t bytes) { return put(text, bytes, AX_ABI_HASH); }

int32_t ax_last_error(void* text, int32_t bytes) { return put(text, bytes, lastError()); }

int32_t ax_library_describe(void* text, int32_t bytes) {
  char description[128];
  snprintf(description, sizeof(description), "backend=cpu\nisa=%s\nthreads=%d\n", isaName(), threadCount());
  return put(text, bytes, description);
}

int32_t ax_device_count(void* count) {
  *static_cast<int32_t*>(count) = 1;
  return AX_OK;
}

int32_t ax_device_select(int32_t index) {
  return index == 0 ? AX_OK : fail(AX_ERROR_ARGUMENT, "the CPU is device 0, got %d", index);
}

int32_t ax_device_synchronize(int32_t index) { return ax_device_select(index); }

int32_t ax_device_synchronize_async(int32_t index, void* error, int32_t error_bytes) {
  const int32_t status = ax_device_select(index);
  if (status != AX_OK && error_bytes > 0) put(error, error_bytes, lastError());
  return status;
}

int32_t ax_graph_begin(int32_t) { return fail(AX_ERROR_UNSUPPORTED, "the CPU library records no steps: it runs them"); }
int32_t ax_graph_end(void*, int32_t) { return ax_graph_begin(0); }
int32_t ax_graph_replay(uint32_t, const void*, double, uint32_t, uint32_t, double) { return ax_graph_begin(0); }
int32_t ax_graph_release(uint32_t) { return ax_graph_begin(0); }
