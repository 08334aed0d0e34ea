// Devices, streams and errors of the CUDA backend.
#include "cuda/runtime.h"

#include "common/comm.h"
#include "common/device_memory.h"
#include "cuda/device.h"
#include "cuda/recording.h"

namespace ax {
namespace {

struct Slot {
  std::once_flag once;
  cudaError_t status = cudaSuccess;
  Device* device = nullptr;
};

Slot g_slots[kMaxDevices];
thread_local int t_current = 0;

cudaError_t start(int index, Device* device) {
  device->index = index;
  int least = 0, greatest = 0;
  cudaError_t error = cudaDeviceGetStreamPriorityRange(&least, &greatest);
  if (error == cudaSuccess) error = cudaStreamCreateWithPriority(&device->compute, cudaStreamNonBlocking, least);
  if (error == cudaSuccess) error = cudaHostAlloc(reinterpret_cast<void**>(&device->index_flag), sizeof(int32_t), cudaHostAllocMapped);
  if (error != cudaSuccess) return error;
  *device->index_flag = 0;
  return cudaEventCreateWithFlags(&device->order_event, cudaEventDisableTiming);
}

}  // namespace

int32_t checkCuda(cudaError_t error, const char* action) {
  if (error == cudaSuccess) return AX_OK;
  cudaGetLastError();  // an error that is not sticky must not fail the next call
  const bool is_recording = error == cudaErrorStreamCaptureUnsupported || error == cudaErrorStreamCaptureInvalidated;
  return fail(is_recording ? AX_ERROR_CAPTURE : AX_ERROR_DEVICE, "cannot %s: %s", action, cudaGetErrorString(error));
}

int currentDevice() { return t_current; }

int32_t selectDevice(int index) {
  if (index == t_current) return AX_OK;
  if (index < 0 || index >= kMaxDevices) return fail(AX_ERROR_ARGUMENT, "device index must be in [0, %d), got %d", kMaxDevices, index);
  AX_TRY(checkCuda(cudaSetDevice(index), "select the GPU"));
  t_current = index;
  if (index != 0) checkEachDevice();
  return AX_OK;
}

int32_t currentDevice(Device** device) {
  Slot& slot = g_slots[t_current];
  std::call_once(slot.once, [&slot] {
    // A thread that never chose a device has the first one, but CUDA's own choice may be another.
    slot.status = cudaSetDevice(t_current);
    if (slot.status != cudaSuccess) return;
    slot.device = new Device;
    slot.status = start(t_current, slot.device);
  });
  *device = slot.device;
  return checkCuda(slot.status, "start the device");
}

int32_t deviceAt(int index, Device** device) {
  AX_TRY(selectDevice(index));
  return currentDevice(device);
}

Device* startedDevice(int index) { return g_slots[index].device; }

int32_t computeStream(cudaStream_t* stream) {
  Device* device;
  AX_TRY(currentDevice(&device));
  *stream = device->compute;
  return AX_OK;
}

int32_t orderAfter(cudaStream_t waiting, cudaStream_t other) {
  Device* device;
  AX_TRY(currentDevice(&device));
  // A wait refers to the record that was the last one when it was enqueued, so one event serves all.
  std::lock_guard<std::mutex> guard(device->order_lock);
  AX_TRY(checkCuda(cudaEventRecord(device->order_event, other), "record an event"));
  return checkCuda(cudaStreamWaitEvent(waiting, device->order_event, 0), "wait for an event");
}

int32_t indexFlag(int32_t** flag) {
  Device* device;
  AX_TRY(currentDevice(&device));
  *flag = device->index_flag;
  return AX_OK;
}

int32_t takeErrors(Device& device) {
  if (*device.index_flag == 0) return commFailure();
  *device.index_flag = 0;
  return fail(AX_ERROR_INDEX, "index tensor of an operation before this one held a value outside its dimension");
}

int32_t synchronizeStream() {
  Device* device;
  AX_TRY(currentDevice(&device));
  if (isRecording()) return fail(AX_ERROR_CAPTURE, "a recorded step cannot wait for the GPU");
  AX_TRY(checkCuda(cudaStreamSynchronize(device->compute), "finish the enqueued work"));
  return takeErrors(*device);
}

}  // namespace ax
