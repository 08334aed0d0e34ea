// A lock for critical sections of a few nanoseconds, such as taking a block from a free list.
#ifndef AX_COMMON_SPIN_LOCK_H_
#define AX_COMMON_SPIN_LOCK_H_
#include <sched.h>

#include <atomic>

namespace ax {

class SpinLock {
 public:
  void lock() {
    // The holder may have been preempted: after a short spin, let it run.
    for (int spins = 0; locked_.exchange(true, std::memory_order_acquire); ++spins) {
      while (locked_.load(std::memory_order_relaxed)) {
        if (++spins < 1000) {
          __builtin_ia32_pause();
        } else {
          sched_yield();
        }
      }
    }
  }
  void unlock() { locked_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> locked_{false};
};

}  // namespace ax

#endif  // AX_COMMON_SPIN_LOCK_H_
