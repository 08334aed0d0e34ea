// Which communicators GPUs have, and what the ranks of a job must know of each other before they make one.
#include <stdio.h>
#include <string.h>

#include "cuda/gpu_comm.h"
#include "cuda/nccl.h"

namespace ax {

int32_t createGpuComm(int32_t backend, const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank) {
  if (backend == AX_COMM_IPC) return createIpcComm(options, comm, failed_rank);
  if (backend == AX_COMM_NCCL) return createNcclComm(options, comm, failed_rank);
  return fail(AX_ERROR_ARGUMENT, "backend is %d, want 0 to 2", backend);
}

}  // namespace ax

using namespace ax;

int32_t ax_nccl_version(void* version) {
  if (version == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_nccl_version: version is null");
  const char* why;
  const nccl::Functions* const functions = nccl::load(&why);
  const int32_t value = functions == nullptr ? 0 : functions->version;
  memcpy(version, &value, sizeof value);
  if (functions == nullptr) fail(AX_ERROR_UNSUPPORTED, "%s", why);
  return AX_OK;
}

int32_t ax_nccl_id(void* id) {
  if (id == nullptr) return fail(AX_ERROR_ARGUMENT, "ax_nccl_id: id is null");
  const char* why;
  const nccl::Functions* const functions = nccl::load(&why);
  if (functions == nullptr) return fail(AX_ERROR_UNSUPPORTED, "%s", why);
  nccl::UniqueId made = {};
  const nccl::Result result = functions->ncclGetUniqueId(&made);
  if (result != nccl::kSuccess) return fail(AX_ERROR_DEVICE, "NCCL cannot make an id: %s", functions->ncclGetErrorString(result));
  static_assert(sizeof made == AX_NCCL_ID_BYTES);
  memcpy(id, &made, sizeof made);
  return AX_OK;
}

int32_t ax_comm_describe(void* text, int32_t bytes, int32_t device) {
  if (text == nullptr || bytes < 1) return fail(AX_ERROR_ARGUMENT, "ax_comm_describe: bytes must be at least 1, got %d", bytes);
  int driver = 0, runtime = 0;
  cudaDeviceProp properties;
  char bus[32] = "";
  AX_TRY(checkCuda(cudaDriverGetVersion(&driver), "read the version of the driver"));
  AX_TRY(checkCuda(cudaRuntimeGetVersion(&runtime), "read the version of the runtime"));
  AX_TRY(checkCuda(cudaGetDeviceProperties(&properties, device), "read the properties of the GPU"));
  AX_TRY(checkCuda(cudaDeviceGetPCIBusId(bus, sizeof bus, device), "read the bus address of the GPU"));
  snprintf(static_cast<char*>(text), static_cast<size_t>(bytes), "gpu=%s\ncapability=%d.%d\ndriver=%d.%d\nruntime=%d.%d\nbus=%s\n", properties.name,
           properties.major, properties.minor, driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10, bus);
  return AX_OK;
}
