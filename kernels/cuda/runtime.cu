// Streams and errors of the CUDA backend, and the library's own functions. All state is made on first use: the library loads on
// machines without a driver.
#include <stdio.h>
#include <string.h>

#include <mutex>

#include "cuda/runtime.h"

namespace ax {
namespace {

constexpr int kMaxDevices = 64;

struct DeviceState {
  std::once_flag once;
  cudaError_t status = cudaSuccess;
  cudaStream_t stream = nullptr;
  int32_t* flag = nullptr;  // pinned and mapped
};

DeviceState g_devices[kMaxDevices];
thread_local int g_current = 0;

int32_t currentState(DeviceState** state) {
  DeviceState& device = g_devices[g_current];
  std::call_once(device.once, [&device] {
    device.status = cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking);
    if (device.status != cudaSuccess) return;
    device.status = cudaHostAlloc(reinterpret_cast<void**>(&device.flag), sizeof(int32_t), cudaHostAllocMapped);
    if (device.status == cudaSuccess) *device.flag = 0;
  });
  *state = &device;
  return checkCuda(device.status, "start the device");
}

}  // namespace

int32_t checkCuda(cudaError_t error, const char* action) {
  if (error == cudaSuccess) return AX_OK;
  cudaGetLastError();  // an error that is not sticky must not fail the next call
  return fail(AX_ERROR_DEVICE, "cannot %s: %s", action, cudaGetErrorString(error));
}

int32_t computeStream(cudaStream_t* stream) {
  DeviceState* state;
  AX_TRY(currentState(&state));
  *stream = state->stream;
  return AX_OK;
}

int32_t indexFlag(int32_t** flag) {
  DeviceState* state;
  AX_TRY(currentState(&state));
  *flag = state->flag;
  return AX_OK;
}

int32_t synchronizeStream() {
  DeviceState* state;
  AX_TRY(currentState(&state));
  AX_TRY(checkCuda(cudaStreamSynchronize(state->stream), "finish the enqueued work"));
  if (*state->flag == 0) return AX_OK;
  *state->flag = 0;
  return fail(AX_ERROR_INDEX, "index tensor of an operation before this one held a value outside its dimension");
}

}  // namespace ax

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
  if (cudaGetDeviceCount(&count) == cudaSuccess && g_current < count &&
      cudaGetDeviceProperties(&properties, g_current) == cudaSuccess) {
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
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  const int32_t value = error == cudaSuccess ? devices : 0;
  memcpy(count, &value, sizeof value);
  return checkCuda(error, "count the GPUs");
}

int32_t ax_device_select(int32_t index) {
  if (index < 0 || index >= kMaxDevices) return fail(AX_ERROR_ARGUMENT, "device index must be in [0, %d), got %d", kMaxDevices, index);
  AX_TRY(checkCuda(cudaSetDevice(index), "select the GPU"));
  g_current = index;
  return AX_OK;
}

int32_t ax_device_synchronize(void) { return synchronizeStream(); }

int32_t ax_device_synchronize_async(int32_t index, void* error, int32_t error_bytes) {
  int32_t status = ax_device_select(index);
  if (status == AX_OK) status = synchronizeStream();
  if (status != AX_OK && error != nullptr && error_bytes > 0) put(error, error_bytes, lastError());
  return status;
}
