// What the CUDA library says about itself and its devices.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <string>

#include "cuda/dynamic_library.h"
#include "cuda/runtime.h"

using namespace ax;

namespace {

int32_t put(void* text, int32_t bytes, const char* value) {
  if (text == nullptr || bytes < 1) return fail(AX_ERROR_ARGUMENT, "bytes must be at least 1, got %d", bytes);
  snprintf(static_cast<char*>(text), static_cast<size_t>(bytes), "%s", value);
  return AX_OK;
}

// A line about a library that may be missing: its file, or why there is none.
std::string describeLibrary(const char* key, void* library, const char* symbol, const std::string& why) {
  if (library == nullptr) return std::string(key) + "=missing: " + why + "\n";
  Dl_info info;
  void* const address = dlsym(library, symbol);
  return std::string(key) + "=" + (address != nullptr && dladdr(address, &info) != 0 ? info.dli_fname : "found") + "\n";
}

std::string describeOptionalLibraries() {
  std::string why, why_older;
  std::string text = describeLibrary("nccl", openLibrary("ACCELERATE_NCCL_LIBRARY", "libnccl.so.2", "nccl", &why), "ncclGetVersion", why);
  void* library = openLibrary("ACCELERATE_CUBLASLT_LIBRARY", "libcublasLt.so.13", "cu13", &why);
  if (library == nullptr) library = openLibrary("ACCELERATE_CUBLASLT_LIBRARY", "libcublasLt.so.12", "cublas", &why_older);
  return text + describeLibrary("cublaslt", library, "cublasLtGetVersion", why);
}

}  // namespace

int32_t ax_abi_hash(void* text, int32_t bytes) { return put(text, bytes, AX_ABI_HASH); }

int32_t ax_last_error(void* text, int32_t bytes) { return put(text, bytes, lastError()); }

int32_t ax_library_describe(void* text, int32_t bytes) {
  int runtime = 0, driver = 0, count = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);
  std::string description = "backend=cuda\nruntime=" + std::to_string(runtime) + "\ndriver=" + std::to_string(driver) + "\n";
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) description += std::string("devices=") + cudaGetErrorString(error) + "\n";
  for (int i = 0; error == cudaSuccess && i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    description += "device=" + std::string(properties.name) + ", compute capability " + std::to_string(properties.major) + "." +
                   std::to_string(properties.minor) + ", " + std::to_string(properties.totalGlobalMem >> 20) + " MiB\n";
  }
  cudaGetLastError();
  return put(text, bytes, (description + describeOptionalLibraries()).c_str());
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
