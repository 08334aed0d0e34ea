#include "hw/emulator/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <thread>

namespace hw::emulator {

thread_local cudaError_t t_last_error = cudaSuccess;
thread_local int t_device = 0;
thread_local cudaStreamCaptureMode t_capture_mode = cudaStreamCaptureModeGlobal;

Runtime& runtime() {
  static Runtime* const instance = new Runtime;
  return *instance;
}

namespace {

Stream* defaultStream() {
  Runtime& r = runtime();
  static std::map<int, Stream*>* const streams = new std::map<int, Stream*>;
  Stream*& stream = (*streams)[t_device];
  if (stream == nullptr) {
    r.streams.push_back(std::make_unique<Stream>());
    stream = r.streams.back().get();
    stream->device = t_device;
  }
  return stream;
}

double nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// Does the stream's next operations up to a kernel. Whether anything was done.
bool startNext(Stream& stream) {
  bool progressed = false;
  while (stream.active == nullptr && !stream.queue.empty()) {
    Operation& next = stream.queue.front();
    if (next.is_wait && !next.event->is_completed) return progressed;
    if (next.kernel != nullptr) {
      stream.active = std::make_shared<Launch>(*next.kernel);
      Machine::instance().add(stream.active);
    } else if (next.attempt != nullptr) {
      if (!next.attempt(next.data)) return progressed;
    } else if (next.work) {
      next.work();
    } else if (!next.is_wait) {
      next.event->is_completed = true;
      next.event->time_ms = nowMs();
    }
    stream.queue.pop_front();
    progressed = true;
  }
  return progressed;
}

void breakDown(const std::string& message) {
  Runtime& r = runtime();
  fprintf(stderr, "emulated GPU: %s\n", message.c_str());
  r.broken = cudaErrorLaunchFailure;
  for (auto& stream : r.streams) {
    stream->queue.clear();
    stream->active.reset();
  }
}

}  // namespace

cudaError_t done(cudaError_t error) {
  if (error != cudaSuccess) t_last_error = error;
  return error;
}

int deviceCount() {
  const char* text = getenv("ACCELERATE_EMULATED_GPUS");
  const int count = text == nullptr ? 1 : atoi(text);
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return count;
  // As CUDA: those named, up to the first that is not there.
  int seen = 0;
  for (const char* at = visible; *at != 0 && *at >= '0' && *at <= '9' && atoi(at) < count; ++seen) {
    while (*at >= '0' && *at <= '9') ++at;
    if (*at == ',') ++at;
  }
  return seen;
}

bool isIdle(const Stream& stream) { return stream.queue.empty() && stream.active == nullptr; }

bool advance(bool hold_back) {
  Runtime& r = runtime();
  bool progressed = false;
  const size_t first = r.streams.empty() ? 0 : randomBelow(static_cast<uint32_t>(r.streams.size()));
  for (size_t i = 0; i < r.streams.size(); ++i) {
    Stream& stream = *r.streams[(first + i) % r.streams.size()];
    if (hold_back && randomBelow(2) == 0) continue;
    progressed |= startNext(stream);
  }
  Machine& machine = Machine::instance();
  progressed |= machine.step();
  const std::string error = machine.takeError();
  if (!error.empty()) breakDown(error);
  for (auto& stream : r.streams) {
    if (stream->active != nullptr && stream->active->finished_blocks == stream->active->blockCount()) stream->active.reset();
  }
  return progressed;
}

Stream* of(Stream* stream) { return stream == nullptr ? defaultStream() : stream; }

cudaError_t enqueue(Stream* stream, Operation operation) {
  Runtime& r = runtime();
  if (r.broken != cudaSuccess) return r.broken;
  if (stream->capture != nullptr) {
    if (stream->capture->is_invalid) return cudaErrorStreamCaptureInvalidated;
    stream->capture->operations.push_back(std::move(operation));
    stream->last_node = stream->capture->operations.size();
    ++stream->captured;
    return cudaSuccess;
  }
  stream->queue.push_back(std::move(operation));
  return cudaSuccess;
}

cudaError_t enqueueAttempt(Stream* stream, Attempt attempt, void* data) {
  Lock lock(runtime().lock);
  startImporterThread();
  Operation operation;
  operation.attempt = attempt;
  operation.data = data;
  return enqueue(of(stream), std::move(operation));
}

cudaError_t forbidCapture() {
  cudaError_t error = cudaSuccess;
  for (auto& stream : runtime().streams) {
    const Graph* const capture = stream->capture;
    if (capture == nullptr || t_capture_mode == cudaStreamCaptureModeRelaxed || capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread != std::this_thread::get_id()) continue;
    stream->capture->is_invalid = true;
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

cudaError_t synchronize(Lock& lock, Stream* stream) {
  if (stream->capture != nullptr) {
    stream->capture->is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return driveUntil(lock, [=] { return isIdle(*stream); });
}

cudaError_t synchronizeAll(Lock& lock) {
  return driveUntil(lock, [] {
    for (auto& stream : runtime().streams) {
      if (!isIdle(*stream)) return false;
    }
    return true;
  });
}

void merge(Seen& into, const Seen& from) {
  for (auto& [stream, position] : from) {
    size_t& known = into[stream];
    if (known < position) known = position;
  }
}

void startImporterThread() {
  Runtime& r = runtime();
  if (r.has_importer) return;
  r.has_importer = true;
  std::thread([&r] {
    for (;;) {
      usleep(500);
      Lock lock(r.lock);
      for (int round = 0; round < 64 && r.broken == cudaSuccess && advance(false); ++round) {
        if (Machine::instance().isSpinning()) break;
      }
    }
  }).detach();
}

cudaError_t driveUntil(Lock& lock, const std::function<bool()>& condition) {
  Runtime& r = runtime();
  while (r.broken == cudaSuccess && !condition()) {
    if (advance(true) || advance(false)) {
      if (!Machine::instance().isSpinning()) continue;
      lock.unlock();  // what it spins for comes from another thread or process
      usleep(20);
      lock.lock();
      continue;
    }
    if (r.has_importer) {
      lock.unlock();
      usleep(20);
      lock.lock();
    } else {
      breakDown("deadlock: streams wait for events that nobody records");
    }
  }
  return r.broken;
}

cudaError_t checkLaunch(const void* function, dim3 grid, dim3 block, size_t shared_bytes) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64 || uint64_t{grid.x} * grid.y * grid.z == 0 || grid.y > 65535 || grid.z > 65535) {
    return cudaErrorInvalidConfiguration;
  }
  const auto limit = runtime().shared_limits.find(function);
  const size_t allowed = limit == runtime().shared_limits.end() ? kSharedBytesByDefault : static_cast<size_t>(limit->second);
  return shared_bytes > std::max(allowed, kSharedBytesByDefault) ? cudaErrorInvalidValue : cudaSuccess;
}

std::shared_ptr<Launch> makeLaunch(const std::function<void()>& body, dim3 grid, dim3 block, size_t shared_bytes) {
  auto launch = std::make_shared<Launch>();
  launch->body = body;
  launch->grid = grid;
  launch->block = block;
  launch->shared_bytes = shared_bytes;
  return launch;
}

cudaError_t enqueueKernel(const void* function, dim3 grid, dim3 block, size_t shared_bytes, Stream* stream, const std::function<void()>& body) {
  Lock lock(runtime().lock);
  const cudaError_t error = checkLaunch(function, grid, block, shared_bytes);
  if (error != cudaSuccess) return done(error);
  stream = of(stream);
  if (stream->device != t_device) return done(cudaErrorInvalidResourceHandle);
  Operation operation;
  operation.kernel = makeLaunch(body, grid, block, shared_bytes);
  return done(enqueue(stream, std::move(operation)));
}

void resetAfterError() {
  Lock lock(runtime().lock);
  runtime().broken = cudaSuccess;
  t_last_error = cudaSuccess;
}

}  // namespace hw::emulator
