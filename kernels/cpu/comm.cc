// The communicators that the CPU library does not have.
#include "common/comm.h"
#include "common/status.h"

namespace ax {

int32_t createGpuComm(int32_t backend, const CommOptions&, std::shared_ptr<Comm>*, int*) {
  return fail(AX_ERROR_UNSUPPORTED, "the CPU library has no communicators of kind %d", backend);
}

}  // namespace ax

using namespace ax;

int32_t ax_nccl_version(void*) { return fail(AX_ERROR_UNSUPPORTED, "the CPU library does not use NCCL"); }
int32_t ax_nccl_id(void*) { return fail(AX_ERROR_UNSUPPORTED, "the CPU library does not use NCCL"); }
int32_t ax_comm_describe(void*, int32_t, int32_t) { return fail(AX_ERROR_UNSUPPORTED, "the CPU library knows no GPUs"); }
