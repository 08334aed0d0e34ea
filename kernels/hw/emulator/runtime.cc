// Errors, devices, memory and streams: see hw/emulator/runtime.h.
#include "hw/emulator/runtime.h"

#include <stdio.h>
#include <string.h>

#include "hw/emulator/memory.h"
#include "hw/emulator/streams.h"

using namespace hw::emulator;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorNotReady: return "device not ready";
    case cudaErrorPeerAccessAlreadyEnabled: return "peer access is already enabled";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorNotSupported: return "operation not supported";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureUnmatched: return "the capture was not initiated in this stream";
    case cudaErrorStreamCaptureUnjoined: return "the capture has streams that were not joined to it";
  }
  return "unrecognized error code";
}

cudaError_t cudaGetLastError() {
  Lock lock(runtime().lock);
  const cudaError_t error = runtime().broken != cudaSuccess ? runtime().broken : t_last_error;
  t_last_error = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() {
  Lock lock(runtime().lock);
  return runtime().broken != cudaSuccess ? runtime().broken : t_last_error;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = deviceCount();
  return *count > 0 ? cudaSuccess : done(cudaErrorNoDevice);
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= deviceCount()) return done(cudaErrorInvalidDevice);
  t_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = t_device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= deviceCount()) return done(cudaErrorInvalidDevice);
  size_t free_bytes;
  *properties = {};
  snprintf(properties->name, sizeof properties->name, "Emulated GPU");
  deviceMemory(device, &free_bytes, &properties->totalGlobalMem);
  properties->major = 8;
  properties->multiProcessorCount = 4;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= deviceCount()) return done(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = 4; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: *value = 8; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = kMaxSharedBytes; return cudaSuccess;
  }
  return done(cudaErrorInvalidValue);
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int bytes, int device) {
  snprintf(text, static_cast<size_t>(bytes), "0000:%02x:00.0", device + 1);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  Lock lock(runtime().lock);
  const cudaError_t forbidden = forbidCapture();
  return done(forbidden != cudaSuccess ? forbidden : synchronizeAll(lock));
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return cudaSuccess; }
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  Lock lock(runtime().lock);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > static_cast<int>(kMaxSharedBytes)) {
    return done(cudaErrorInvalidValue);
  }
  runtime().shared_limits[function] = value;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, size_t bytes) {
  Lock lock(runtime().lock);
  const cudaError_t forbidden = forbidCapture();
  return done(forbidden != cudaSuccess ? forbidden : allocateDevice(t_device, address, bytes));
}
cudaError_t cudaFree(void* address) {
  Lock lock(runtime().lock);
  const cudaError_t forbidden = forbidCapture();
  if (forbidden != cudaSuccess) return done(forbidden);
  const cudaError_t error = synchronizeAll(lock);
  return done(error != cudaSuccess ? error : freeDevice(address));
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  Lock lock(runtime().lock);
  deviceMemory(t_device, free_bytes, total_bytes);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned) {
  Lock lock(runtime().lock);
  const cudaError_t forbidden = forbidCapture();
  return done(forbidden != cudaSuccess ? forbidden : allocatePinned(address, bytes));
}
cudaError_t cudaFreeHost(void* address) {
  Lock lock(runtime().lock);
  const cudaError_t error = synchronizeAll(lock);
  return done(error != cudaSuccess ? error : freePinned(address));
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  Lock lock(runtime().lock);
  stream = of(stream);
  const bool is_captured = stream->capture != nullptr;
  Operation operation;
  operation.work = [=] { memmove(to, from, bytes); };
  if (kind == cudaMemcpyHostToDevice && !isPinned(from, bytes) && !is_captured) {
    // The runtime has read pageable memory when it returns.
    auto staged = std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    operation.work = [=] { memcpy(to, staged->data(), bytes); };
  }
  const bool waits = kind == cudaMemcpyDeviceToHost && !isPinned(to, bytes);
  if (kind == cudaMemcpyDeviceToHost && !waits && !is_captured) memset(to, 0xff, bytes);
  if (waits && is_captured) {
    stream->capture->is_invalid = true;
    return done(cudaErrorStreamCaptureUnsupported);
  }
  const cudaError_t error = enqueue(stream, std::move(operation));
  return done(error != cudaSuccess || !waits ? error : synchronize(lock, stream));
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  if (error != cudaSuccess) return error;
  return cudaStreamSynchronize(nullptr);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  Lock lock(runtime().lock);
  Operation operation;
  operation.work = [=] { memset(to, value, bytes); };
  return done(enqueue(of(stream), std::move(operation)));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  Lock lock(runtime().lock);
  if (t_device >= deviceCount()) return done(cudaErrorNoDevice);
  runtime().streams.push_back(std::make_unique<Stream>());
  *stream = runtime().streams.back().get();
  (*stream)->device = t_device;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) { return cudaStreamCreateWithFlags(stream, flags); }
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Lock lock(runtime().lock);
  const cudaError_t error = synchronize(lock, stream);
  auto& streams = runtime().streams;
  for (size_t i = 0; i < streams.size(); ++i) {
    if (streams[i].get() != stream) continue;
    streams.erase(streams.begin() + static_cast<long>(i));
    break;
  }
  return done(error);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Lock lock(runtime().lock);
  return done(synchronize(lock, of(stream)));
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  Lock lock(runtime().lock);
  stream = of(stream);
  if (runtime().broken == cudaSuccess && !isIdle(*stream)) advance(true);
  if (runtime().broken != cudaSuccess) return done(runtime().broken);
  return isIdle(*stream) ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*function)(void*), void* data) {
  Lock lock(runtime().lock);
  Operation operation;
  operation.work = [=] { function(data); };
  return done(enqueue(of(stream), std::move(operation)));
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* address) {
  Lock lock(runtime().lock);
  startImporterThread();
  return done(exportMemory(handle, address));
}
cudaError_t cudaIpcOpenMemHandle(void** address, cudaIpcMemHandle_t handle, unsigned) {
  Lock lock(runtime().lock);
  startImporterThread();
  return done(importMemory(address, handle));
}
cudaError_t cudaIpcCloseMemHandle(void* address) {
  Lock lock(runtime().lock);
  const cudaError_t error = synchronizeAll(lock);
  return done(error != cudaSuccess ? error : closeImported(address));
}
