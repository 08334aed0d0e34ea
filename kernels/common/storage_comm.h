// The communicator whose values go through the host's memory, for the devices of either library.
#ifndef AX_COMMON_STORAGE_COMM_H_
#define AX_COMMON_STORAGE_COMM_H_
#include <memory>

#include "common/comm.h"

namespace ax {

int32_t createStorageComm(const CommOptions& options, std::shared_ptr<Comm>* comm, int* failed_rank);

}  // namespace ax

#endif  // AX_COMMON_STORAGE_COMM_H_
