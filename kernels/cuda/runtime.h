// What the files of the CUDA backend share: the current stream, errors, and the flag for bad indices.
#ifndef AX_CUDA_RUNTIME_H_
#define AX_CUDA_RUNTIME_H_
#include <stdint.h>

#include "common/status.h"
#include "hw/cuda.h"

namespace ax {

// The compute stream of the calling thread's device; created on first use.
int32_t computeStream(cudaStream_t* stream);

// AX_OK, or AX_ERROR_DEVICE with what CUDA says about `action`.
int32_t checkCuda(cudaError_t error, const char* action);

// A word that the device can write: 1 when an index was out of range since the last synchronisation.
int32_t indexFlag(int32_t** flag);

// Waits for the stream, and reports what kernels have left in the index flag.
int32_t synchronizeStream();

}  // namespace ax

#endif  // AX_CUDA_RUNTIME_H_
