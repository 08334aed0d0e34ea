// What the files of the CUDA backend share: the devices with their streams, and errors. All state is made on first use, so that the library
// loads on machines without a driver, and never destroyed: the driver may be gone before static destructors run.
#ifndef AX_CUDA_RUNTIME_H_
#define AX_CUDA_RUNTIME_H_
#include <stdint.h>

#include "common/status.h"
#include "hw/cuda.h"

namespace ax {

constexpr int kMaxDevices = 64;

// AX_OK, or AX_ERROR_DEVICE with what CUDA says about `action`; AX_ERROR_CAPTURE when it refuses that in a recorded step.
int32_t checkCuda(cudaError_t error, const char* action);

// The calling thread's device; operations set it to that of their operands (see useDevice in common/device_memory.h).
int currentDevice();
int32_t selectDevice(int index);

// The stream of the calling thread's device in which all operations run. Collectives have streams of their own, of a higher priority.
int32_t computeStream(cudaStream_t* stream);

// What is enqueued in `waiting` from now on begins after all that is in `other` by now. Costs the host nothing, and is recorded in graphs.
int32_t orderAfter(cudaStream_t waiting, cudaStream_t other);

// A word that the device can write: 1 when an index was out of range since the last synchronisation.
int32_t indexFlag(int32_t** flag);

// Waits for the compute stream, and reports what kernels have left in the index flag. AX_ERROR_CAPTURE while a step is recorded.
int32_t synchronizeStream();

}  // namespace ax

#endif  // AX_CUDA_RUNTIME_H_
