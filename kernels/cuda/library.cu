// What the CUDA library says about itself and its devices.
#include <stdio.h>
#include <string.h>

#include "cuda/device.h"
#include "cuda/runtime.h"

using namespace ax;

namespace {

int32_t put(void* text, int32_t bytes, const char* value) {
  if (text == nullptr || bytes < 1) return fail(AX_ERROR_ARGUMENT, "bytes must be at least 1, got %d", bytes);
  snprintf(static_cast<char*>(text), static_cast<size_t>(bytes), "%s", value);
  return AX_OK;
}

}  // namespace

int32_t ax_abi_hash(void* text, int32_t bytes) { return put(text, bytes, AX_ABI_HASH); }

int32_t ax_last_error(void* text, int32_t bytes) { return put(text, bytes, lastError()); }

int32_t ax_library_describe(void* text, int32_t bytes) {
  int runtime = 0, driver = 0, count = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);
  char description[512];
  int length = snprintf(description, sizeof description, "backend=cuda\nruntime=%d\ndriver=%d\n", runtime, driver);
  cudaDeviceProp properties;
  if (cudaGetDeviceCount(&count) == cudaSuccess && currentDevice() < count &&
      cudaGetDeviceProperties(&properties, currentDevice()) == cudaSuccess) {
    snprintf(description + length, sizeof description - static_cast<size_t>(length), "device=%s\ncapability=%d.%d\n", properties.name,
             properties.major, properties.minor);
  }
  cudaGetLastError();
  return put(text, bytes, description);
}

int32_t ax_threads_set(int32_t count) {
  return count >= 1 && count <= 1024 ? AX_OK : fail(AX_ERROR_ARGUMENT, "count is %d, want 1 to 1024", count);
}

int32_t ax_device_count(void* count) {
  if (count == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_device_count: count is null");
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  const int32_t value = error == cudaSuccess ? devices : 0;
  memcpy(count, &value, sizeof value);
  return checkCuda(error, "count the GPUs");
}

int32_t ax_device_select(int32_t index) { return selectDevice(index); }

int32_t ax_device_synchronize(int32_t index) {
  AX_TRY(selectDevice(index));
  return synchronizeStream();
}

int32_t ax_device_synchronize_async(int32_t index, void* error, int32_t error_bytes) {
  const int32_t status = ax_device_synchronize(index);
  if (status != AX_OK && error != nullptr && error_bytes > 0) put(error, error_bytes, lastError());
  return status;
}
