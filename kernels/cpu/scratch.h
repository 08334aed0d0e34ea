// Memory that a thread keeps between calls.
#ifndef AX_CPU_SCRATCH_H_
#define AX_CPU_SCRATCH_H_
#include <stdint.h>
#include <stdlib.h>

namespace ax {
inline namespace AX_ISA {

// A thread_local one is given back when its thread ends.
class Scratch {
 public:
  ~Scratch() { free(memory_); }
  // 64-byte aligned, and not what it held before; null when the system has none.
  void* atLeast(int64_t bytes) {
    if (bytes <= bytes_) return memory_;
    free(memory_);
    bytes_ = (bytes + 4095) / 4096 * 4096;
    memory_ = aligned_alloc(64, static_cast<size_t>(bytes_));
    if (memory_ == nullptr) bytes_ = 0;
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_SCRATCH_H_
