#include "cuda/recording.h"

#include <string.h>

#include <functional>
#include <memory>
#include <vector>

#include "common/device_memory.h"
#include "common/live.h"
#include "common/status.h"

namespace ax {
namespace {

// The numbers of a live call as doubles; those of a random one are key low, key high and counter.
using LiveFunction = std::function<int32_t(const double*)>;

struct LiveCall {
  LiveFunction call;
  bool is_random;
  std::vector<double> numbers;  // that its nodes have
  double first_counter;         // of a random one, when it was recorded
  std::vector<void*> addresses;
  std::vector<cudaGraphNode_t> nodes;
};

struct Recording {
  Device* device = nullptr;
  Allocator::Pool* pool = nullptr;
  HeldBlock scratch;
  cudaGraphExec_t graph = nullptr;
  std::vector<std::unique_ptr<LiveCall>> live;
  size_t live_numbers = 0;
};

// What the calling thread does: it records, perhaps a live call, or it updates one.
struct ThreadState {
  std::unique_ptr<Recording> recording;
  LiveCall* open = nullptr;
  LiveCall* updating = nullptr;
  cudaGraphExec_t updating_graph = nullptr;
  size_t next_address = 0, next_node = 0;
};
thread_local ThreadState t_state;

// Recorded steps by id, which is an index + 1; ids are not used again.
std::mutex g_lock;
std::vector<std::shared_ptr<Recording>>& recordings() {
  static auto* const instance = new std::vector<std::shared_ptr<Recording>>;
  return *instance;
}

std::shared_ptr<Recording> find(uint32_t id) {
  std::lock_guard<std::mutex> guard(g_lock);
  return id >= 1 && id <= recordings().size() ? recordings()[id - 1] : nullptr;
}

int32_t record(const double* numbers, int32_t count, bool is_random, LiveFunction call) {
  ThreadState& state = t_state;
  // A live call inside another one is a part of it.
  if (state.open != nullptr) return call(numbers);
  Recording& recording = *state.recording;
  recording.live.push_back(std::make_unique<LiveCall>(LiveCall{std::move(call), is_random, {numbers, numbers + count}, numbers[count - 1], {}, {}}));
  if (!is_random) recording.live_numbers += static_cast<size_t>(count);
  state.open = recording.live.back().get();
  const int32_t status = state.open->call(numbers);
  state.open = nullptr;
  return status;
}

// Gives the nodes of a live call the arguments that follow from other numbers.
int32_t update(LiveCall& live, const double* numbers, cudaGraphExec_t graph) {
  if (memcmp(numbers, live.numbers.data(), live.numbers.size() * sizeof(double)) == 0) return AX_OK;
  ThreadState& state = t_state;
  state.updating = &live;
  state.updating_graph = graph;
  state.next_address = state.next_node = 0;
  const int32_t status = live.call(numbers);
  const bool is_complete = state.next_node == live.nodes.size();
  state.updating = nullptr;
  AX_TRY(status);
  if (!is_complete) return fail(AX_ERROR_CAPTURE, "a call of the recorded step would now launch other kernels");
  live.numbers.assign(numbers, numbers + live.numbers.size());
  return AX_OK;
}

// What hw::launch() calls once a step was recorded.
cudaError_t launchKernel(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, hw::Arguments arguments) {
  ThreadState& state = t_state;
  if (state.updating != nullptr) {
    if (state.next_node == state.updating->nodes.size()) return cudaErrorInvalidValue;
    return hw::setKernelNode(state.updating_graph, state.updating->nodes[state.next_node++], kernel, grid, block, shared_bytes, arguments);
  }
  const cudaError_t error = hw::enqueueKernel(kernel, grid, block, shared_bytes, stream, arguments);
  if (state.open == nullptr || error != cudaSuccess) return error;
  cudaGraphNode_t node;
  const cudaError_t answer = hw::lastCapturedNode(stream, &node);
  if (answer == cudaSuccess) state.open->nodes.push_back(node);
  return answer;
}

// Destroys what a recording holds; its memory is common again.
void dispose(Recording& recording) {
  if (recording.graph != nullptr) cudaGraphExecDestroy(recording.graph);  // a running one is destroyed when it ends
  Device& device = *recording.device;
  std::lock_guard<std::mutex> guard(device.memory_lock);
  if (recording.scratch.address != nullptr) device.allocator.release(recording.scratch.address, recording.scratch.note);
  device.allocator.destroyPool(recording.pool);
}

}  // namespace

bool isRecording() { return t_state.recording != nullptr; }

Allocator::Pool* recordingPool(const Device& device) {
  const Recording* const recording = t_state.recording.get();
  return recording != nullptr && recording->device == &device ? recording->pool : nullptr;
}

HeldBlock* recordingScratch() { return &t_state.recording->scratch; }

void noteAddress(void* address) {
  if (t_state.open != nullptr) t_state.open->addresses.push_back(address);
}

bool recordedAddress(void** address) {
  ThreadState& state = t_state;
  if (state.updating == nullptr || state.next_address == state.updating->addresses.size()) return false;
  *address = state.updating->addresses[state.next_address++];
  return true;
}

int32_t recordNumbers(const double* numbers, int32_t count, LiveFunction call) {
  return record(numbers, count, false, std::move(call));
}

int32_t recordRandom(const RandomKey& key, std::function<int32_t(const RandomKey&)> call) {
  const double numbers[] = {static_cast<double>(key.seed_low), static_cast<double>(key.seed_high), key.counter};
  return record(numbers, 3, true, [call = std::move(call)](const double* now) {
    return call(RandomKey{static_cast<uint32_t>(now[0]), static_cast<uint32_t>(now[1]), now[2]});
  });
}

}  // namespace ax

using namespace ax;

int32_t ax_graph_begin(int32_t device_index) {
  if (isRecording()) return fail(AX_ERROR_CAPTURE, "this thread records a step already");
  Device* device;
  AX_TRY(deviceAt(device_index, &device));
  checkEachDevice();
  hw::launch_function = launchKernel;
  auto recording = std::make_unique<Recording>();
  recording->device = device;
  // Other threads may allocate and wait meanwhile; this one does neither.
  AX_TRY(checkCuda(cudaStreamBeginCapture(device->compute, cudaStreamCaptureModeThreadLocal), "record the step"));
  std::lock_guard<std::mutex> guard(device->memory_lock);
  recording->pool = device->allocator.createPool();
  t_state.recording = std::move(recording);
  return AX_OK;
}

int32_t ax_graph_end(void* graph_id, int32_t keep) {
  if (!isRecording()) return fail(AX_ERROR_CAPTURE, "this thread records no step");
  const std::shared_ptr<Recording> recording = std::move(t_state.recording);
  cudaGraph_t graph = nullptr;
  int32_t status = checkCuda(cudaStreamEndCapture(recording->device->compute, &graph), "record the step");
  if (status == AX_OK && keep != 0) status = checkCuda(cudaGraphInstantiate(&recording->graph, graph, 0), "make the recorded step runnable");
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (status == AX_OK && keep != 0 && graph_id == nullptr) status = fail(AX_ERROR_ARGUMENT, "ax_graph_end: graph is null");
  if (status != AX_OK || keep == 0) {
    dispose(*recording);
    return keep == 0 ? AX_OK : status;
  }
  std::lock_guard<std::mutex> guard(g_lock);
  recordings().push_back(recording);
  const uint32_t id = static_cast<uint32_t>(recordings().size());
  memcpy(graph_id, &id, sizeof id);
  return AX_OK;
}

int32_t ax_graph_replay(uint32_t graph, const void* numbers, double count, uint32_t seed_low, uint32_t seed_high, double random_shift) {
  const std::shared_ptr<Recording> recording = find(graph);
  if (recording == nullptr) return fail(AX_ERROR_ARGUMENT, "recorded step %u is unknown or was released", graph);
  if (count != static_cast<double>(recording->live_numbers) || (numbers == nullptr && count > 0)) {
    return fail(AX_ERROR_ARGUMENT, "recorded step %u takes %zu numbers, got %.0f", graph, recording->live_numbers, count);
  }
  if (isRecording()) return fail(AX_ERROR_CAPTURE, "a recorded step cannot replay another one");
  AX_TRY(selectDevice(recording->device->index));
  const double* next = static_cast<const double*>(numbers);
  for (const auto& live : recording->live) {
    if (live->is_random) {
      const double now[] = {static_cast<double>(seed_low), static_cast<double>(seed_high), live->first_counter + random_shift};
      AX_TRY(update(*live, now, recording->graph));
    } else {
      AX_TRY(update(*live, next, recording->graph));
      next += live->numbers.size();
    }
  }
  return checkCuda(cudaGraphLaunch(recording->graph, recording->device->compute), "replay the recorded step");
}

int32_t ax_graph_release(uint32_t graph) {
  const std::shared_ptr<Recording> recording = find(graph);
  if (recording == nullptr) return fail(AX_ERROR_ARGUMENT, "recorded step %u is unknown or was released", graph);
  {
    std::lock_guard<std::mutex> guard(g_lock);
    recordings()[graph - 1] = nullptr;
  }
  dispose(*recording);
  return AX_OK;
}
