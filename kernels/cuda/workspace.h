// Memory of a kernel for partial results that several launches of one call share.
#ifndef AX_CUDA_WORKSPACE_H_
#define AX_CUDA_WORKSPACE_H_
#include <stdint.h>

#include "common/device_memory.h"
#include "cuda/recording.h"
#include "cuda/runtime.h"

namespace ax {

// A block of the current device for the time of one call. Work that the call has enqueued may use it after it was given back: whoever gets it
// next enqueues later. Unlike scratch() there may be several at a time.
class Workspace {
 public:
  Workspace() = default;
  ~Workspace() {
    if (is_owned_) releaseBlock(device_, address_, note_);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Once, after the operands were resolved, which makes their device the current one.
  int32_t take(uint64_t bytes) {
    // A call that updates a recorded step tells its nodes of the memory that they have.
    if (recordedAddress(&address_)) return AX_OK;
    device_ = currentDevice();
    AX_TRY(allocateBlock(device_, bytes, &address_, &note_));
    is_owned_ = true;
    noteAddress(address_);
    return AX_OK;
  }
  void* address() const { return address_; }

 private:
  bool is_owned_ = false;
  int32_t device_ = 0;
  void* address_ = nullptr;
  uint64_t note_ = 0;
};

}  // namespace ax

#endif  // AX_CUDA_WORKSPACE_H_
