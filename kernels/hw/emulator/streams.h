// Streams, events and graphs behind the emulated runtime. A stream's work waits in a queue until a host thread waits for it.
#ifndef AX_HW_EMULATOR_STREAMS_H_
#define AX_HW_EMULATOR_STREAMS_H_
#include <stdint.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hw/emulator/machine.h"
#include "hw/emulator/runtime.h"

namespace hw::emulator {

constexpr size_t kSharedBytesByDefault = 48 << 10, kMaxSharedBytes = 227 << 10;

// One record of an event.
struct EventState {
  bool is_recorded = false, is_completed = false;
  double time_ms = 0;
};

// Tries to do its work and returns whether that is done; must not block.
using Attempt = bool (*)(void* data);

struct Operation {
  std::function<void()> work;            // of the host's side: a copy
  Attempt attempt = nullptr;             // or a kernel of another library
  void* data = nullptr;
  std::shared_ptr<const Launch> kernel;  // or a kernel
  std::shared_ptr<EventState> event;     // or a record, or a wait for a record
  bool is_wait = false;
};

cudaError_t enqueueAttempt(Stream* stream, Attempt attempt, void* data);

struct Graph {
  std::vector<Operation> operations;  // in an order that respects every dependency
  bool is_invalid = false;
  Stream* origin = nullptr;
  std::vector<Stream*> members;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
};

// How far in the graph's operations of other streams something has seen.
using Seen = std::map<const Stream*, size_t>;

struct Stream {
  // First, so that another library, which shares no symbols with this one, can enqueue: tests/kernels/fake_nccl.cc.
  cudaError_t (*enqueue_attempt)(Stream*, Attempt, void* data) = enqueueAttempt;
  int device = 0;
  std::deque<Operation> queue;
  std::shared_ptr<Launch> active;
  Graph* capture = nullptr;
  size_t captured = 0;  // operations of this stream in the graph
  size_t last_node = 0;  // index + 1 of the last of them
  Seen seen;
};

struct Event {
  std::shared_ptr<EventState> state = std::make_shared<EventState>();
  Graph* capture = nullptr;
  Seen seen;
};

// All state is never destroyed, and used under its lock.
struct Runtime {
  std::mutex lock;
  std::vector<std::unique_ptr<Stream>> streams;
  std::map<const void*, int> shared_limits;
  cudaError_t broken = cudaSuccess;  // sticky
  bool has_importer = false;
};

Runtime& runtime();
using Lock = std::unique_lock<std::mutex>;

extern thread_local cudaError_t t_last_error;
extern thread_local int t_device;

// Remembers an error for cudaGetLastError.
cudaError_t done(cudaError_t error);
int deviceCount();

// The stream, or the current device's own for null.
Stream* of(Stream* stream);
bool isIdle(const Stream& stream);

// All below under the runtime's lock, which waiting gives up now and then.
cudaError_t enqueue(Stream* stream, Operation operation);
cudaError_t synchronize(Lock& lock, Stream* stream);
cudaError_t synchronizeAll(Lock& lock);
cudaError_t driveUntil(Lock& lock, const std::function<bool()>& condition);

// One round: streams in random order, some of them held back, then the machine. Whether anything was done.
bool advance(bool hold_back);

// What a capture forbids ends it: waiting for the device, and allocating. A thread in relaxed mode may do it; of captures in thread-local
// mode only the thread that began them is watched.
cudaError_t forbidCapture();
extern thread_local cudaStreamCaptureMode t_capture_mode;

// A kernel that may be launched so.
cudaError_t checkLaunch(const void* function, dim3 grid, dim3 block, size_t shared_bytes);
std::shared_ptr<Launch> makeLaunch(const std::function<void()>& body, dim3 grid, dim3 block, size_t shared_bytes);

// Another process may wait for what was enqueued here while this one does other things, so somebody must drive.
void startImporterThread();

void merge(Seen& into, const Seen& from);

}  // namespace hw::emulator

#endif  // AX_HW_EMULATOR_STREAMS_H_
