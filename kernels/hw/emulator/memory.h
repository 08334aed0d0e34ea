// Memory of the emulated GPUs: files in memory, so that another process can map them (CUDA IPC).
#ifndef AX_HW_EMULATOR_MEMORY_H_
#define AX_HW_EMULATOR_MEMORY_H_
#include "hw/emulator/runtime.h"

namespace hw::emulator {

cudaError_t allocateDevice(int device, void** address, size_t bytes);
cudaError_t freeDevice(void* address);
void deviceMemory(int device, size_t* free_bytes, size_t* total_bytes);
cudaError_t allocatePinned(void** address, size_t bytes);
cudaError_t freePinned(void* address);
// Whether all bytes are of one pinned block: then copies are asynchronous.
bool isPinned(const void* address, size_t bytes);
cudaError_t exportMemory(cudaIpcMemHandle_t* handle, void* address);
cudaError_t importMemory(void** address, const cudaIpcMemHandle_t& handle);
cudaError_t closeImported(void* address);

}  // namespace hw::emulator

#endif  // AX_HW_EMULATOR_MEMORY_H_
