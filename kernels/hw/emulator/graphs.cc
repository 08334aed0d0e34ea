// Events, and the capture of streams in graphs: see hw/emulator/runtime.h.
#include "hw/emulator/streams.h"

using namespace hw::emulator;

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Lock lock(runtime().lock);
  stream = of(stream);
  if (event->capture != nullptr) {  // the order of the captured operations already respects it
    if (stream->capture == nullptr) {
      stream->capture = event->capture;
      stream->captured = 0;
      stream->seen.clear();
      event->capture->members.push_back(stream);
    }
    merge(stream->seen, event->seen);
    return cudaSuccess;
  }
  if (stream->capture != nullptr) return cudaSuccess;  // recorded before the capture: a graph does not wait for it
  if (!event->state->is_recorded) return cudaSuccess;
  Operation operation;
  operation.event = event->state;
  operation.is_wait = true;
  return done(enqueue(stream, std::move(operation)));
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new Event;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Lock lock(runtime().lock);
  stream = of(stream);
  event->capture = stream->capture;
  if (stream->capture != nullptr) {
    event->seen = stream->seen;
    event->seen[stream] = stream->captured;
    return cudaSuccess;
  }
  // Who waits for an earlier record goes on waiting for that one.
  event->state = std::make_shared<EventState>();
  event->state->is_recorded = true;
  Operation operation;
  operation.event = event->state;
  return done(enqueue(stream, std::move(operation)));
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Lock lock(runtime().lock);
  if (event->capture != nullptr) return done(cudaErrorStreamCaptureUnsupported);
  return done(driveUntil(lock, [state = event->state] { return !state->is_recorded || state->is_completed; }));
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  Lock lock(runtime().lock);
  const std::shared_ptr<EventState> held = event->state;
  const EventState& state = *held;
  if (runtime().broken == cudaSuccess && state.is_recorded && !state.is_completed) advance(true);
  if (runtime().broken != cudaSuccess) return done(runtime().broken);
  return !state.is_recorded || state.is_completed ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  Lock lock(runtime().lock);
  const EventState &from = *start->state, &to = *end->state;
  if (!from.is_recorded || !to.is_recorded) return done(cudaErrorInvalidResourceHandle);
  if (!from.is_completed || !to.is_completed) return done(cudaErrorNotReady);
  *milliseconds = static_cast<float>(to.time_ms - from.time_ms);
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, t_capture_mode);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  Lock lock(runtime().lock);
  if (stream == nullptr || stream->capture != nullptr) return done(cudaErrorStreamCaptureUnsupported);
  stream->capture = new Graph;
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  stream->capture->members.push_back(stream);
  stream->captured = 0;
  stream->seen.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  Lock lock(runtime().lock);
  *graph = nullptr;
  if (stream == nullptr || stream->capture == nullptr || stream->capture->origin != stream) return done(cudaErrorStreamCaptureUnmatched);
  Graph* const captured = stream->capture;
  cudaError_t error = captured->is_invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
  for (Stream* member : captured->members) {
    if (member != stream && stream->seen[member] < member->captured && error == cudaSuccess) error = cudaErrorStreamCaptureUnjoined;
    member->capture = nullptr;
  }
  captured->members.clear();
  if (error != cudaSuccess) {
    delete captured;
    return done(error);
  }
  *graph = captured;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  Lock lock(runtime().lock);
  stream = of(stream);
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->capture->is_invalid ? cudaStreamCaptureStatusInvalidated
                                          : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new Graph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  Lock lock(runtime().lock);
  for (const Operation& operation : executable->operations) {
    const cudaError_t error = enqueue(of(stream), operation);
    if (error != cudaSuccess) return done(error);
  }
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, void*, size_t* count) {
  *count = graph->operations.size();
  return cudaSuccess;
}

namespace hw::emulator {

// A node is the index of its operation, + 1, so that none is null.
cudaError_t lastCapturedNode(Stream* stream, GraphNode** node) {
  Lock lock(runtime().lock);
  stream = of(stream);
  if (stream->capture == nullptr || stream->capture->is_invalid) return done(cudaErrorStreamCaptureInvalidated);
  *node = reinterpret_cast<GraphNode*>(stream->last_node);
  return cudaSuccess;
}

cudaError_t setKernelNode(Graph* executable, GraphNode* node, const void* function, dim3 grid, dim3 block, size_t shared_bytes,
                          const std::function<void()>& body) {
  Lock lock(runtime().lock);
  const cudaError_t error = checkLaunch(function, grid, block, shared_bytes);
  if (error != cudaSuccess) return done(error);
  const size_t index = reinterpret_cast<uintptr_t>(node) - 1;
  if (index >= executable->operations.size() || executable->operations[index].kernel == nullptr) return done(cudaErrorInvalidValue);
  executable->operations[index].kernel = makeLaunch(body, grid, block, shared_bytes);
  return cudaSuccess;
}

}  // namespace hw::emulator
